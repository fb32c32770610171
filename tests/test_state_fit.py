"""What a state holds must be what this model can have made: every axis of it, and numbers all through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.codec_stream import CodecState
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.state import Block, StreamState
from lmdm_adapter.state_fit import require_finite, require_fit
from tests.models import tiny_live


def repeated(axis: int, times: int = 3) -> Callable[[Tensor], Tensor]:
    """The same numbers again along one axis; three times is no batch of guidance either."""
    return lambda x: x.repeat(*(times if axis == one else 1 for one in range(x.ndim)))


@pytest.fixture(scope="module")
def model() -> tuple[LiveModel, StreamState]:
    """A tiny live model, and a state of it with blocks of every kind."""
    live = tiny_live()
    state = live.start(seed=3)
    for _ in range(3):
        _, state = live.step(state, "house")
    assert state.blocks and state.pending
    return live, state


def refused(live: LiveModel, state: StreamState) -> str:
    """The sentence about a state that does not fit."""
    with pytest.raises(LmdmError, match="another model") as caught:
        require_fit(state, live.network.dit.config, live.codec)
    return str(caught.value)


def with_keys(state: StreamState, change: Callable[[Tensor], Tensor]) -> StreamState:
    return replace(state, blocks=tuple(replace(b, keys_values=change(b.keys_values)) for b in state.blocks))


@pytest.mark.parametrize("axis", range(6), ids=["layers", "two", "branches", "heads", "frames", "width"])
def test_keys_and_values_fit_in_every_axis(model: tuple[LiveModel, StreamState], axis: int) -> None:
    live, state = model
    assert "keys and values" in refused(live, with_keys(state, repeated(axis)))


def test_keys_and_values_of_both_branches_fit(model: tuple[LiveModel, StreamState]) -> None:
    live, state = model
    for fitting in (state, with_keys(state, repeated(2, times=2))):
        assert require_fit(fitting, live.network.dit.config, live.codec) is None


LATENTS = {"rows": repeated(0), "channels": repeated(1), "no frames": lambda x: x[..., 0], "axes": lambda x: x[None]}


@pytest.mark.parametrize("where", ["blocks", "pending"])
@pytest.mark.parametrize("name", LATENTS)
def test_latents_fit(model: tuple[LiveModel, StreamState], where: str, name: str) -> None:
    live, state = model
    spoilt = tuple(Block(LATENTS[name](block.latents)) for block in getattr(state, where))
    assert "latents of shape" in refused(live, replace(state, **{where: spoilt}))


@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "channels"])
@pytest.mark.parametrize("name", ["latents", "tail"])
def test_the_codec_state_fits(model: tuple[LiveModel, StreamState], name: str, axis: int) -> None:
    live, state = model
    assert isinstance(state.codec, CodecState)
    codec = replace(state.codec, **{name: repeated(axis)(getattr(state.codec, name))})
    assert "codec state" in refused(live, replace(state, codec=codec))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["latents", "controls", "keys_values"])
@pytest.mark.parametrize("where", ["history", "blocks", "pending"])
def test_one_lost_number_anywhere_is_found(where: str, name: str, value: float) -> None:
    good = Block(torch.zeros(1, 4, 6), torch.zeros(1, 2, 6), torch.zeros(2, 2, 1, 2, 6, 8))
    state = StreamState((good, good), (good,), None, 18, 3, (0,), (good,))
    assert require_finite(state) is None
    spoilt = getattr(good, name).clone()
    spoilt.view(-1)[-1] = value
    with pytest.raises(LmdmError, match="NaN or infinity"):
        require_finite(replace(state, **{where: (good, replace(good, **{name: spoilt}))}))
