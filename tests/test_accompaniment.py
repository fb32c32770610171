"""Accompaniment as frame controls: shifted, never cut. Law 2 at every latency, each frame once, nothing from later."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.controls.accompaniment import LAG, LATENTS, MASK, Heard, accompaniment, lag_frames_of
from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.controls.frames import packed_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.regimes import Target, opened
from lmdm_adapter.rollout import begin
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.state import Block
from lmdm_adapter.told import Told
from tests.randomise import randomise
from tests.toy import CHANNELS, conditioning, draw, toy_dit

LENGTHS = (5, 6, 5, 4, 5, 6)  # a tempo grid moves borders by a frame
SPEC = BlockSpec(block_frames=5, context_blocks=2)
FRAMES, RATE_HZ = sum(LENGTHS), 20.0
DECLARED = accompaniment_controls(CHANNELS)
VISIBILITY = (-3, 0, 2, 6)
REGIMES = ("block-causal", "encoder-decoder")


def partner(frames: int = FRAMES + 20) -> Tensor:
    return draw(CHANNELS, frames, seed=21)


def lag_of(visibility: int) -> int:
    return lag_frames_of(max(LENGTHS), visibility)


def block_by_block(latents: Tensor, visibility: int) -> list[Tensor]:
    """Controls `1 e n` of every block from no more of the other player than is known when it is begun."""
    heard, first, parts = Heard.nothing(CHANNELS, kept_frames=24), 0, []
    for frames in LENGTHS:
        known = max(0, first + visibility)
        heard = heard.with_latents(latents[:, heard.end_frame : known])
        given = accompaniment(heard, first, frames, lag_frames=lag_of(visibility), frame_rate_hz=RATE_HZ)
        parts.append(packed_controls(given, DECLARED, rows=1, frames=frames))
        first += frames
    return parts


def at_once(latents: Tensor, visibility: int) -> Tensor:
    """The same over the whole sequence, as in training."""
    heard = Heard(latents, kept_frames=latents.shape[-1])
    given = accompaniment(heard, 0, FRAMES, lag_frames=lag_of(visibility), frame_rate_hz=RATE_HZ)
    return packed_controls(given, DECLARED, rows=1, frames=FRAMES)


@pytest.mark.parametrize("visibility", VISIBILITY)
def test_what_is_heard_block_by_block_is_the_shifted_whole(visibility: int) -> None:
    latents, lag = partner(), lag_of(visibility)
    whole = at_once(latents, visibility)
    assert torch.equal(torch.cat(block_by_block(latents, visibility), dim=-1), whole)
    for token in range(FRAMES):
        exists = token - lag >= 0
        assert whole[0, 0, token] == exists and whole[0, -1, token] == exists * torch.tensor(lag / RATE_HZ)
        expected = latents[:, token - lag] if exists else torch.zeros(CHANNELS)
        assert torch.equal(whole[0, 1:-1, token], expected)


@pytest.mark.parametrize("visibility", VISIBILITY)
def test_every_frame_is_seen_exactly_once(visibility: int) -> None:
    numbered = torch.arange(1.0, FRAMES + 21).expand(CHANNELS, -1)
    seen = torch.cat(block_by_block(numbered, visibility), dim=-1)[0]
    numbers = [int(value) for value, there in zip(seen[1], seen[0], strict=True) if there]
    first = max(0, -lag_of(visibility))  # what would belong before the first token
    assert numbers == list(range(1 + first, 1 + FRAMES - lag_of(visibility)))


def test_a_lag_of_the_block_alone_needs_a_frame_too_many_of_longer_blocks() -> None:
    """Negative control: why the lag is that of the longest block."""
    heard = Heard.nothing(CHANNELS).with_latents(partner(6))
    tight = accompaniment(heard, 6, 6, lag_frames=lag_frames_of(5, 0), frame_rate_hz=RATE_HZ)
    safe = accompaniment(heard, 6, 6, lag_frames=lag_frames_of(6, 0), frame_rate_hz=RATE_HZ)
    assert tight[MASK].sum() == 5 and safe[MASK].sum() == 6


def test_a_view_beyond_the_block_is_that_of_the_block() -> None:
    latents = partner()
    assert lag_of(max(LENGTHS)) == lag_of(max(LENGTHS) + 9) == 0
    assert torch.equal(at_once(latents, 6 + 9)[0, 1:-1], latents[:, :FRAMES])


def model() -> DiT:
    base = toy_dit()
    dit = DiT(replace(base.config, frame_controls=base.config.frame_controls + DECLARED))
    return randomise(dit, 0).requires_grad_(False).eval()


def streamed(dit: DiT, controls: list[Tensor], spec: BlockSpec) -> Tensor:
    """Velocities block by block, each heard with its own controls: `1 c n`."""
    told = Told.of(dit, conditioning(), guidance=1.0)
    clean, noisy, t = inputs()
    state, out, start = begin(None, seeds=(0,), spec=spec), [], 0
    for block, frames in enumerate(LENGTHS):
        part = slice(start, start + frames)
        heard = opened(dit, state, told, Target(noisy[..., part], controls[block], fused=False), spec=spec)
        out.append(heard.velocity(noisy[..., part], float(t[0, block])))
        state = replace(heard.state, pending=(Block(clean[..., part], controls[block]),))
        start += frames
    return torch.cat(out, dim=-1)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    levels = torch.rand(1, len(LENGTHS), generator=torch.Generator().manual_seed(3))
    return draw(1, CHANNELS, FRAMES, seed=1), draw(1, CHANNELS, FRAMES, seed=2), levels


def together(dit: DiT, controls: Tensor, spec: BlockSpec) -> Tensor:
    """Velocities from the parallel forward of the regime, over the whole sequence: `1 c n`."""
    told, (clean, noisy, t) = conditioning(), inputs()
    shared = {"prefix_distance": spec.prefix_distance, "cross": told.cross, "global_cond": told.global_cond}
    if spec.regime == "block-causal":
        return parallel_velocity(dit, clean, noisy, t, lengths_frames=LENGTHS, context_blocks=spec.context_blocks,
                                 controls=controls, **shared)  # fmt: skip
    starts, out = [sum(LENGTHS[:block]) for block in range(len(LENGTHS) + 1)], []
    for block in range(len(LENGTHS)):
        first, begun, end = starts[max(0, block - spec.context_blocks)], starts[block], starts[block + 1]
        out.append(window_velocity(dit, clean[..., first:begun], noisy[..., begun:end], t[:, block],
                                   controls=controls[..., first:end], **shared))  # fmt: skip
    return torch.cat(out, dim=-1)


@pytest.mark.parametrize("visibility", VISIBILITY)
@pytest.mark.parametrize("regime", REGIMES)
def test_streamed_with_lag_equals_the_parallel_forward(regime: str, visibility: int) -> None:
    dit, spec, latents = model(), replace(SPEC, regime=regime), partner()
    whole = together(dit, at_once(latents, visibility), spec)
    alone = streamed(dit, block_by_block(latents, visibility), spec)
    assert (alone - whole).abs().max() < 1e-5 * whole.abs().max()
    late = streamed(dit, block_by_block(latents, visibility - 1), spec)
    assert (late - whole).abs().max() > 1e-3, "another lag is another function"


@pytest.mark.parametrize("visibility", VISIBILITY)
@pytest.mark.parametrize("regime", REGIMES)
def test_what_is_played_later_than_is_visible_changes_no_bit(regime: str, visibility: int) -> None:
    dit, spec, latents = model(), replace(SPEC, regime=regime), partner()
    block, start = 3, sum(LENGTHS[:3])
    changed = latents.clone()
    changed[:, max(0, start + visibility) :] += 1.0
    before, after = (streamed(dit, block_by_block(each, visibility), spec) for each in (latents, changed))
    until = start + LENGTHS[block]
    assert torch.equal(before[..., :until], after[..., :until])
    seen = latents.clone()
    seen[:, start + visibility - 1] += 1.0  # the last frame that is visible
    heard = streamed(dit, block_by_block(seen, visibility), spec)
    assert not torch.equal(before[..., : until + 6], heard[..., : until + 6])


def test_memory_is_constant_and_values_stay() -> None:
    heard = first = Heard.nothing(CHANNELS, kept_frames=7)
    for frame in range(40):
        heard = heard.with_latents(torch.full((CHANNELS, 1 + frame % 3), float(frame)))
        assert heard.latents.shape[-1] <= 7 and heard.latents.untyped_storage().nbytes() <= 7 * CHANNELS * 4
    assert heard.end_frame == sum(1 + frame % 3 for frame in range(40)) and first.end_frame == 0


def test_frames_that_are_forgotten_are_missed_and_those_never_heard_are_not() -> None:
    heard = Heard.nothing(CHANNELS, from_frame=10, kept_frames=4).with_latents(partner(10))
    assert (heard.first_frame, heard.end_frame, heard.origin_frame) == (16, 20, 10)
    late = accompaniment(heard, 18, 6, lag_frames=0, frame_rate_hz=RATE_HZ)
    assert late[MASK].tolist() == [[1, 1, 0, 0, 0, 0]] and not late[LATENTS][:, 2:].any() and not late[LAG].any()
    before = accompaniment(heard, 4, 6, lag_frames=0, frame_rate_hz=RATE_HZ)
    assert not any(value.any() for value in before.values())
    with pytest.raises(LmdmError, match="not kept any more.*keep 10 frames or more"):
        accompaniment(heard, 12, 6, lag_frames=2, frame_rate_hz=RATE_HZ)


@pytest.mark.parametrize("bad", [torch.zeros(CHANNELS + 1, 2), torch.zeros(2), torch.full((CHANNELS, 1), torch.nan)])
def test_what_is_no_accompaniment_is_refused(bad: Tensor) -> None:
    with pytest.raises(LmdmError, match="accompaniment"):
        Heard.nothing(CHANNELS).with_latents(bad)
