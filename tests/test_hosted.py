"""The model that a host's factory gets: empty until loaded, then the live model of the checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lmdm_adapter import load
from lmdm_adapter.checkpoint import read_config
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosted import create_model_from_config
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.spec import BlockSpec
from tests.cli import save_live, save_offline
from tests.models import host_config, tiny_section


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny live model on disk."""
    return save_live(tmp_path / "live")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Both files of a live model."""
    return {**load_file(folder / "model.safetensors"), **load_file(folder / "adapter.safetensors")}


def test_loaded_by_the_host_it_plays_as_loaded_by_us(folder: Path) -> None:
    hosted = create_model_from_config(read_config(folder))
    hosted.load_state_dict(weights(folder))
    hosted.to("cpu").eval().requires_grad_(False)
    ours, theirs = (list(live.stream("house", seconds=0.2, seed=3)) for live in (load(folder), hosted.live()))
    assert all(np.array_equal(one.samples, other.samples) for one, other in zip(ours, theirs, strict=True))


def test_it_shares_its_tensors(folder: Path) -> None:
    hosted = create_model_from_config(read_config(folder))
    hosted.load_state_dict(weights(folder))
    live = hosted.live().network.state_dict()
    assert all(live[key].data_ptr() == tensor.data_ptr() for key, tensor in hosted.state_dict().items())


def test_what_was_not_loaded_is_named(folder: Path) -> None:
    hosted = create_model_from_config(read_config(folder))
    with pytest.raises(LmdmError, match="was not loaded"):
        hosted.live()
    # As a host does that loads what fits and is silent about the rest.
    hosted.load_state_dict({**hosted.state_dict(), **load_file(folder / "model.safetensors")})
    with pytest.raises(LmdmError, match="adapter.safetensors"):
        hosted.live()


def test_the_host_keys_alone_do_not_load_strictly(folder: Path) -> None:
    hosted = create_model_from_config(read_config(folder))
    with pytest.raises(RuntimeError, match="to_input_add_embed"):
        hosted.load_state_dict(load_file(folder / "model.safetensors"))


def test_an_offline_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="no spec"):
        create_model_from_config(read_config(save_offline(tmp_path / "offline")))


def test_only_files_that_exist_are_asked_for() -> None:
    """An outpainting model adds nothing to the host's weights, so there is no second file."""
    spec = BlockSpec(6, 3, "outpaint")
    plain = host_config(cross_attention_cond_ids=["seconds_total"])
    bare = create_model_from_config({**plain, "lmdm": LmdmSection(spec).to_json()})
    assert bare.more_weights == ()
    assert create_model_from_config({**host_config(), "lmdm": tiny_section().to_json()}).more_weights
