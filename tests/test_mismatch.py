"""A config that disagrees with its tensors: the sentence names the tensor, both shapes and the config's values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.loading import load
from lmdm_adapter.network.model import Network, build
from tests.cli import edit_config, save_live, save_offline, sentence

Change = Callable[[dict[str, Any]], object]


def dit(**changes: object) -> Change:
    """Change values of `model.diffusion.config`."""
    return lambda config: config["model"]["diffusion"]["config"].update(changes)


def codec(part: str, **changes: object) -> Change:
    """Change values of one half of the codec."""
    return lambda config: config["model"]["pretransform"]["config"][part]["config"].update(changes)


def both(**changes: object) -> Change:
    """Change values of both halves of the codec."""
    return lambda config: [codec(part, **changes)(config) for part in ("encoder", "decoder")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (dit(embed_dim=128), ("(64,", "(128,", "model.diffusion.config.embed_dim=128")),
        (dit(depth=3), ("misses key model.model.transformer.layers.2.", "model.diffusion.config.depth=3")),
        (dit(depth=1), ("the unknown key model.model.transformer.layers.1.", "model.diffusion.config.depth=1")),
        (dit(num_heads=1), ("_norm.", "(32,)", "(64,)", "model.diffusion.config.num_heads=1")),
        (dit(attn_kwargs={}), ("_norm.", "model.diffusion.config.attn_kwargs.qk_norm='none'")),
        (dit(cond_token_dim=24), ("to_cond_embed.0.weight", "(64, 16)", "model.diffusion.config.cond_token_dim=24")),
        (dit(global_cond_dim=24), ("to_global_embed.0.weight", "model.diffusion.config.global_cond_dim=24")),
        (both(channels=8), ("pretransform.model.", "model.pretransform.config.encoder.config.channels=8")),
        (lambda config: config["model"]["conditioning"].update(cond_dim=32),
         ("conditioner.conditioners.seconds_total.", "model.conditioning.cond_dim=32")),
        (lambda config: config["model"].pop("pretransform"), ("pretransform.model.", "model.pretransform=None")),
    ],
)  # fmt: skip
def test_both_sides_are_named(tmp_path: Path, change: Change, says: tuple[str, ...]) -> None:
    folder = edit_config(save_offline(tmp_path / "model"), change)
    with pytest.raises(LmdmError, match="has shape|misses key|unknown key") as caught:
        load(folder, regime="outpaint") if "pretransform=None" not in says[-1] else built(folder)
    assert all(word in str(caught.value) for word in says), caught.value


UNRELATED = ["model.model.foo", "model.model.transformer.foo", "model.model.transformer.layers.0.foo", "foo",
             "pretransform.foo", "pretransform.model.foo", "conditioner.foo"]  # fmt: skip


@pytest.mark.parametrize("key", UNRELATED)
def test_a_key_that_no_option_asks_for_is_named_alone(tmp_path: Path, key: str) -> None:
    folder = save_offline(tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, key: torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(LmdmError) as caught:
        built(folder)
    expected = f"The checkpoint has the unknown key {key}; do the config and the weights belong together?"
    assert str(caught.value) == expected


def test_nearly_every_key_of_a_network_has_its_options(tmp_path: Path) -> None:
    """What the noise level goes through first is the same in every network."""
    folder = save_offline(tmp_path / "model")
    tensors = {**read_checkpoint(folder).tensors, **read_checkpoint(folder).adapter}
    network = built(folder)
    silent = set()
    for key in tensors:
        with pytest.raises(LmdmError) as caught:
            build(network.config, {name: tensor for name, tensor in tensors.items() if name != key})
        assert f"misses key {key}" in str(caught.value)
        if "the config has" not in str(caught.value):
            silent.add(key)
    assert silent == {"model.model.timestep_features.weight"}


def built(folder: Path) -> Network:
    """The network of a folder whose config cannot tell its window."""
    from lmdm_adapter.conversion import offline_network

    return offline_network(read_checkpoint(folder))


def test_the_command_line_says_it_in_one_sentence(tmp_path: Path) -> None:
    folder = edit_config(save_live(tmp_path / "model"), dit(embed_dim=128))
    said = sentence("stream", "house", "--model", folder, "--out", tmp_path / "out.wav")
    assert "embed_dim=128" in said and "another checkpoint" in said


def test_a_spoilt_adapter_is_named_with_its_controls(tmp_path: Path) -> None:
    folder = save_live(tmp_path / "model")
    tensors = load_file(folder / "adapter.safetensors")
    tensors["model.model.to_input_add_embed.weight"] = torch.zeros(64, 3)
    save_file(tensors, folder / "adapter.safetensors")
    with pytest.raises(LmdmError, match=r"to_input_add_embed.weight has shape \(64, 3\).*lmdm.frame_controls"):
        load(folder)


def test_what_agrees_is_built(tmp_path: Path) -> None:
    network = built(save_offline(tmp_path / "model"))
    assert build(network.config, network.state_dict()).config == network.config
