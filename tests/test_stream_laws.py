"""Laws 3, 4, 9 and 10 on the block loop: causality, purity, unbounded time, independent rows."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.samplers import noise
from lmdm_adapter.spec import BlockSpec, Regime, Sampling
from lmdm_adapter.state import Conditioning, StreamState
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

PINGPONG = Sampling(steps=2)


SPECS = tuple(replace(SPEC, regime=regime) for regime in get_args(Regime))
every_regime = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.regime)


def roll(
    dit: DiT, state: StreamState, blocks: int, *, told: Conditioning | None = None, sampling: Sampling = PINGPONG,
    spec: BlockSpec = SPEC,
) -> tuple[list[Tensor], StreamState]:  # fmt: skip
    """Play some blocks; their latents and the state after them."""
    ready = Told.of(dit, told or conditioning(len(state.seeds)), guidance=sampling.guidance)
    out = []
    with torch.inference_mode():
        for _ in range(blocks):
            latents, state = next_block(dit, state, ready, spec=spec, sampling=sampling)
            out.append(latents)
    return out, state


def cold(*seeds: int) -> StreamState:
    return begin(None, seeds=seeds or (7,), spec=SPEC)


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    """Bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_prompt_from_a_state_on_changes_what_follows_alone() -> None:
    """The past is a value: what is played from block j on is another future of the same state."""
    dit = toy_dit()
    plain, _ = roll(dit, cold(), 6)
    first, state = roll(dit, cold(), 3)
    other, _ = roll(dit, state, 3, told=conditioning(seed=500))
    assert same(first, plain[:3])
    assert not torch.equal(other[0], plain[3])


@every_regime
def test_a_block_depends_on_its_context_and_on_nothing_older(spec: BlockSpec) -> None:
    """A primed stream hears `context_blocks` blocks; what lies before them is cut, the newest of them matters."""
    dit = toy_dit()
    latents = draw(1, CHANNELS, 4 * SPEC.block_frames)
    heard = latents[..., -SPEC.context_frames :]
    spoiled = heard.clone()
    spoiled[..., -1] += 1.0
    long, short, changed = (
        roll(dit, begin(x, seeds=(7,), spec=spec), 1, spec=spec)[0] for x in (latents, heard, spoiled)
    )
    assert same(long, short)
    assert not same(short, changed)


def tensors_of(state: StreamState) -> list[Tensor]:
    """Copies of everything that a state holds."""
    held = [(block.latents, block.keys_values) for block in state.blocks + state.pending]
    return [tensor.clone() for pair in held for tensor in pair if tensor is not None]


@every_regime
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_step_is_a_pure_function(guidance: float, dtype: torch.dtype, spec: BlockSpec) -> None:
    """Twice from one state gives the same bits; the state keeps every bit it had."""
    dit, sampling = toy_dit().to(dtype), replace(PINGPONG, guidance=guidance)
    _, state = roll(dit, cold(), 3, sampling=sampling, spec=spec)
    before = tensors_of(state)
    once, after = roll(dit, state, 3, sampling=sampling, spec=spec)
    twice, _ = roll(dit, state, 3, sampling=sampling, spec=spec)
    assert same(once, twice)
    assert len(before) == (5 if spec.regime == "block-causal" else 3) and same(tensors_of(state), before)
    assert after.block_index == 6 and state.block_index == 3


@every_regime
def test_a_saved_state_plays_on_bit_for_bit(spec: BlockSpec) -> None:
    dit = toy_dit()
    _, state = roll(dit, cold(), 3, spec=spec)
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    restored = torch.load(file, weights_only=False)
    assert same(roll(dit, state, 2, spec=spec)[0], roll(dit, restored, 2, spec=spec)[0])


def test_forks_share_blocks() -> None:
    """Two futures of one moment hold the very same context, not copies of it."""
    dit = toy_dit()
    _, state = roll(dit, cold(), 4)
    _, left = roll(dit, state, 1)
    _, right = roll(dit, state, 1, told=conditioning(seed=500))
    assert left.blocks[0].keys_values is right.blocks[0].keys_values


@every_regime
def test_time_is_unbounded(spec: BlockSpec) -> None:
    """Block 100,000 equals what block 10 would be with the same context and noise; the state stays as small."""
    dit, ready = toy_dit(), Told.of(toy_dit(), conditioning(), guidance=1.0)
    _, early = roll(dit, cold(), 10, spec=spec)
    late = replace(early, block_index=100_000, frame_index=100_000 * SPEC.block_frames)

    def play(state: StreamState) -> tuple[Tensor, StreamState]:
        def draw_at_ten(seed: int, _block: int, step: int, purpose: str, *, shape: tuple[int, ...]) -> Tensor:
            return noise(seed, 10, step, purpose, shape=shape)

        with torch.inference_mode():
            return next_block(dit, state, ready, spec=spec, sampling=PINGPONG, draw=draw_at_ten)

    (first, after_early), (second, after_late) = play(early), play(late)
    assert torch.equal(first, second)
    assert len(after_late.blocks) == len(after_early.blocks) == SPEC.context_blocks
    assert after_late.block_index == 100_001


def test_time_is_unbounded_only_because_noise_is_indexed() -> None:
    """Negative control: with its own noise, block 100,000 is another block."""
    dit = toy_dit()
    _, early = roll(dit, cold(), 10)
    assert not same(roll(dit, early, 1)[0], roll(dit, replace(early, block_index=100_000), 1)[0])


@every_regime
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_rows_of_a_batch_are_independent(guidance: float, spec: BlockSpec) -> None:
    """In double precision, so that what matrix libraries round by shape does not hide what leaks between rows."""
    dit, sampling, told = toy_dit().double(), replace(PINGPONG, guidance=guidance), conditioning(2)
    together, _ = roll(dit, cold(7, 8), 2, told=told, sampling=sampling, spec=spec)
    for row, seed in enumerate((7, 8)):
        own = Conditioning(told.cross[row : row + 1], global_cond=told.global_cond[row : row + 1])
        alone, _ = roll(dit, cold(seed), 2, told=own, sampling=sampling, spec=spec)
        for ours, theirs in zip(alone, together, strict=True):
            scale = float(ours.abs().max())
            torch.testing.assert_close(theirs[row : row + 1] / scale, ours / scale, atol=1e-6, rtol=0)
    assert not torch.allclose(together[-1][0], together[-1][1])


def test_turning_guidance_on_recaches_the_window() -> None:
    """A window without null branch is rebuilt: the stream goes on as one primed with the window's latents."""
    dit, guided = toy_dit(), replace(PINGPONG, guidance=3.0)
    _, state = roll(dit, cold(), 5)
    ours, _ = roll(dit, state, 1, sampling=guided)
    window = torch.cat([block.latents for block in state.blocks + state.pending], dim=-1)
    primed = replace(begin(window, seeds=state.seeds, spec=SPEC), block_index=state.block_index)
    assert same(ours, roll(dit, primed, 1, sampling=guided)[0])


def test_turning_guidance_off_keeps_the_conditional_branch() -> None:
    dit, guided = toy_dit(), replace(PINGPONG, guidance=3.0)
    _, state = roll(dit, cold(), 4, sampling=guided)
    halved = tuple(replace(block, keys_values=block.keys_values[:, :, :1]) for block in state.blocks)
    assert same(roll(dit, state, 1)[0], roll(dit, replace(state, blocks=halved), 1)[0])


def test_guidance_matters_and_so_does_the_prompt() -> None:
    """Negative control for everything above: the toy listens to prompt, guidance and noise level."""
    dit = toy_dit()
    plain, guided, other = (
        roll(dit, cold(), 2, sampling=sampling, told=told)[0][1]
        for sampling, told in [(PINGPONG, None), (replace(PINGPONG, guidance=3.0), None),
                               (PINGPONG, conditioning(seed=500))]
    )  # fmt: skip
    assert not torch.allclose(plain, guided) and not torch.allclose(plain, other)
