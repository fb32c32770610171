"""Law 1 for conditioners: ours equal the real host's, with weights loaded strictly."""

from __future__ import annotations

import configs
import pytest
import torch

from lmdm_adapter.network.conditioners import ConditionerConfig, build_conditioners
from lmdm_adapter.network.text import TextEncoder
from tests.randomise import randomise

ROWS = [
    {"prompt": "124 BPM house in A minor", "seconds_start": 0, "seconds_total": 47.0, "bar": 3},
    {"prompt": "", "seconds_start": -3, "seconds_total": 1e6, "bar": 99},
    {"prompt": "dusty piano and slap bass and strings and punk", "seconds_start": 2.5, "seconds_total": 1, "bar": 0},
    {"prompt": "house punk " * 1000, "seconds_start": 0, "seconds_total": 9.0, "bar": 1},
]
INT = {"id": "bar", "type": "int", "config": {"min_val": 0, "max_val": 8}}


def pair(section, seed=1):
    """The host's multi-conditioner with redrawn weights, and ours with the same tensors and the same T5."""
    from stable_audio_tools.models.conditioners import create_multi_conditioner_from_conditioning_config

    host = randomise(create_multi_conditioner_from_conditioning_config(section).eval(), seed)
    entries = [ConditionerConfig(one["id"], one["type"], one["config"]) for one in section["configs"]]
    ours = build_conditioners(entries, section["cond_dim"], default_keys=section.get("default_keys"))
    ours.load_state_dict(host.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(host.state_dict())
    for name, module in host.conditioners.items():
        if hasattr(module, "tokenizer"):
            ours.conditioners[name].encoder = TextEncoder(module.tokenizer, module.__dict__["model"])
    return host, ours


def assert_equal(host, ours, rows, tolerance=1e-6):
    with torch.no_grad():
        theirs, mine = host(rows, "cpu"), ours(rows, "cpu")
    assert list(theirs) == list(mine)
    for name, (features, mask) in mine.items():
        scale = theirs[name][0].abs().max()
        assert features.dtype == theirs[name][0].dtype
        assert (features - theirs[name][0]).abs().max() <= tolerance * scale, name
        assert torch.equal(mask, theirs[name][1].bool()), name


@pytest.mark.parametrize("config", [configs.open_small(), configs.open_1_0()], ids=["small", "1.0"])
def test_published_shapes(config, tiny_t5):
    host, ours = pair(config["model"]["conditioning"])
    assert_equal(host, ours, ROWS)


@pytest.mark.parametrize("extra", [{}, {"project_out": True}], ids=["as it is", "project_out"])
def test_t5_of_equal_width(extra, tiny_t5):
    entry = {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-small", "max_length": 6, **extra}}
    host, ours = pair({"configs": [entry], "cond_dim": 512})
    assert bool(host.state_dict()) == bool(extra)
    assert_equal(host, ours, ROWS)


def test_t5_loaded_by_ourselves_in_the_hosts_precision(tiny_t5):
    entry = {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-base", "max_length": 6}}
    host, ours = pair({"configs": [entry], "cond_dim": 16})
    conditioner = ours.conditioners["prompt"]
    conditioner.encoder = None
    assert_differs_little(host, ours)
    conditioner.encoder, conditioner.dtype = None, torch.float16
    assert_equal(host, ours, ROWS)


def assert_differs_little(host, ours):
    with torch.no_grad():
        theirs, mine = host(ROWS, "cpu")["prompt"][0], ours(ROWS, "cpu")["prompt"][0]
    difference = (theirs - mine).abs().max() / theirs.abs().max()
    assert 1e-6 < difference < 1e-2


def test_int_and_default_keys():
    section = {"configs": [INT, configs.number("length")], "cond_dim": 8, "default_keys": {"length": "seconds_total"}}
    host, ours = pair(section)
    assert_equal(host, ours, ROWS)


def test_other_weights_give_other_features(tiny_t5):
    """The negative control: parity is not a property of the inputs alone."""
    section = configs.open_small()["model"]["conditioning"]
    host, ours = pair(section)
    randomise(ours, 2)
    with torch.no_grad():
        theirs, mine = host(ROWS, "cpu"), ours(ROWS, "cpu")
    assert all((theirs[name][0] - mine[name][0]).abs().max() > 0.1 for name in theirs)


def test_host_ignores_a_section_it_does_not_know(host_model):
    """Offline conditioners are declared beside the model section, so that the host builds and loads the rest."""
    config = configs.without_text(configs.open_small())
    words = {"id": "prompt", "type": "hashed_words", "config": {"vocabulary": ["house"]}}
    declared = {**config, "lmdm": {"conditioners": [words]}}
    state = host_model(config, 1).state_dict()
    loaded = host_model(declared, 2)
    loaded.load_state_dict(state, strict=True)
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())
