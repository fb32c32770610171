"""Context drops of encoder-decoder training: a window with a masked context is a stream with a shorter one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.rollout import Told, begin, block_velocity
from lmdm_adapter.state import Conditioning, StreamState, forgotten
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

ENCODER_DECODER, T = replace(SPEC, regime="encoder-decoder"), 0.6
CONTEXT, NOISY = draw(1, CHANNELS, SPEC.context_frames, seed=3), draw(1, CHANNELS, SPEC.block_frames, seed=4)


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference in units of scale."""
    return float((one - other).abs().max() / other.abs().max())


def trained(dit: DiT, kept_frames: list[int] | None, *, checkpointed: bool = False) -> Tensor:
    """The training forward; one row for each entry of `kept_frames`."""
    rows = len(kept_frames or [0])
    told = conditioning()
    return window_velocity(
        dit, CONTEXT.expand(rows, -1, -1), NOISY.expand(rows, -1, -1), torch.full((rows,), T),
        prefix_distance=SPEC.prefix_distance, cross=told.cross.expand(rows, -1, -1),
        global_cond=told.global_cond.expand(rows, -1), checkpointed=checkpointed,
        kept_frames=None if kept_frames is None else torch.tensor(kept_frames),
    )  # fmt: skip


def played(dit: DiT, state: StreamState, told: Conditioning) -> Tensor:
    ready = Told.of(dit, told, guidance=1.0)
    return block_velocity(dit, state, ready, spec=ENCODER_DECODER)[0](NOISY, T)


def start(frames: int) -> StreamState:
    """A stream that remembers the newest `frames` frames of the context."""
    return begin(CONTEXT[..., CONTEXT.shape[-1] - frames :] if frames else None, seeds=(0,), spec=ENCODER_DECODER)


def test_a_dropped_context_is_a_stream_with_a_shorter_one() -> None:
    """Each row for itself, from a cold start to the full window; positions stay those of the full window."""
    dit, kept = toy_dit(), [0, SPEC.block_frames, SPEC.context_frames]
    together, full = trained(dit, kept), trained(dit, None)
    for row, frames in enumerate(kept):
        assert difference(together[row : row + 1], played(dit, start(frames), conditioning())) < 1e-5
        assert (difference(together[row : row + 1], full) < 1e-5) == (frames == SPEC.context_frames)


def test_a_drop_is_what_forgetting_is() -> None:
    dit = toy_dit()
    state = forgotten(start(SPEC.context_frames), 1, context_blocks=SPEC.context_blocks)
    assert difference(trained(dit, [SPEC.block_frames]), played(dit, state, conditioning())) < 1e-5


def test_what_is_dropped_is_unseen_by_what_is_kept() -> None:
    """Not by the target alone: kept context that had heard the dropped frames would tell of them."""
    dit, kept = toy_dit(), [SPEC.block_frames]
    before = trained(dit, kept)
    spoiled = CONTEXT.clone()
    spoiled[..., : SPEC.context_frames - SPEC.block_frames] += 1.0
    told = conditioning()
    settings = {"prefix_distance": SPEC.prefix_distance, "cross": told.cross, "global_cond": told.global_cond}
    for kept_frames, same in ((torch.tensor(kept), True), (None, False)):
        after = window_velocity(dit, spoiled, NOISY, torch.full((1,), T), kept_frames=kept_frames, **settings)
        assert torch.equal(before, after) == same


@pytest.mark.parametrize("kept_frames", [None, [SPEC.block_frames, 0]], ids=["whole", "dropped"])
def test_checkpointing_a_window_gives_the_same_gradient(kept_frames: list[int] | None) -> None:
    gradients = []
    for checkpointed in (False, True):
        dit = toy_dit().requires_grad_(True)
        trained(dit, kept_frames, checkpointed=checkpointed).square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in dit.named_parameters()})
    assert all(torch.equal(gradients[0][name], value) for name, value in gradients[1].items())
    assert all(value.isfinite().all() and value.abs().max() > 0 for value in gradients[0].values())
