"""Law 2 for every regime, each against a forward written out here; the fused first step; Ping-Pong++."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.rollout import Told, begin, block_velocity, next_block
from lmdm_adapter.samplers import alpha_sigma, noise, noise_levels, sample
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import StreamState
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

ENCODER_DECODER, OUTPAINT = (replace(SPEC, regime=regime) for regime in ("encoder-decoder", "outpaint"))
SEED = 7


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference in units of scale."""
    return float((one - other).abs().max() / other.abs().max())


def told(dit: DiT, guidance: float = 1.0) -> Told:
    return Told.of(dit, conditioning(), guidance=guidance)


def rolled(dit: DiT, ready: Told, blocks: int, *, spec: BlockSpec, sampling: Sampling, fused: bool = True,
           start: StreamState | None = None) -> tuple[list[Tensor], StreamState]:  # fmt: skip
    state, out = start or begin(None, seeds=(SEED,), spec=spec), []
    with torch.inference_mode():
        for _ in range(blocks):
            latents, state = next_block(dit, state, ready, spec=spec, sampling=sampling, fused=fused)
            out.append(latents)
    return out, state


@pytest.mark.parametrize("primed", [False, True], ids=["cold", "primed"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_fused_first_step_equals_a_separate_commit(guidance: float, primed: bool) -> None:
    # In double precision: five blocks of their own past let what fp32 rounds grow to 1e-5.
    dit, sampling = toy_dit().double(), Sampling(steps=2, guidance=guidance)
    start = begin(draw(1, CHANNELS, 2 * SPEC.block_frames), seeds=(SEED,), spec=SPEC) if primed else None
    (one, after), (other, _) = (
        rolled(dit, told(dit, guidance), 5, spec=SPEC, sampling=sampling, fused=fused, start=start)
        for fused in (True, False)
    )
    assert max(difference(a, b) for a, b in zip(one, other, strict=True)) < 1e-5
    assert len(after.blocks) == SPEC.context_blocks and after.pending[0].keys_values is None


def test_fusing_is_seen_where_finished_rows_hear_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with a mask that hides nothing from finished rows, fused and separate differ."""
    from lmdm_adapter.network import streaming

    dit, sampling = toy_dit(), Sampling(steps=2)
    separate, _ = rolled(dit, told(dit), 4, spec=SPEC, sampling=sampling, fused=False)
    seeing = streaming.visible
    monkeypatch.setattr(streaming, "visible", lambda *who, context_blocks: seeing(
        *who, context_blocks=context_blocks) | who[3])  # fmt: skip
    fused, _ = rolled(dit, told(dit), 4, spec=SPEC, sampling=sampling)
    assert difference(fused[3], separate[3]) > 1e-3


def test_a_fused_step_is_one_pass_less(monkeypatch: pytest.MonkeyPatch) -> None:
    dit, passes = toy_dit(), []
    whole = dit.transformer.forward
    monkeypatch.setattr(dit.transformer, "forward", lambda *given: passes.append(1) or whole(*given))
    for fused, expected in ((True, 2), (False, 3)):
        _, state = rolled(dit, told(dit), 2, spec=SPEC, sampling=Sampling(steps=2), fused=fused)
        passes.clear()
        rolled(dit, told(dit), 1, spec=SPEC, sampling=Sampling(steps=2), fused=fused, start=state)
        assert len(passes) == expected


@pytest.mark.parametrize("frames", [SPEC.block_frames, 2 * SPEC.block_frames], ids=["short", "full"])
def test_encoder_decoder_play_equals_its_training_forward(frames: int) -> None:
    """The velocity in play, its context encoded once, is that of one masked pass over the whole window."""
    dit, given, context = toy_dit(), conditioning(), draw(1, CHANNELS, frames, seed=3)
    state = begin(context, seeds=(SEED,), spec=ENCODER_DECODER)
    velocity, heard = block_velocity(dit, state, told(dit), spec=ENCODER_DECODER)
    x = draw(1, CHANNELS, SPEC.block_frames, seed=4)
    settings = {"cross": given.cross, "global_cond": given.global_cond}
    for t in (1.0, 0.7, 0.2):
        levels = torch.full((1,), t)
        whole = window_velocity(dit, context, x, levels, prefix_distance=SPEC.prefix_distance, **settings)
        assert difference(velocity(x, t), whole) < 1e-5
        moved = window_velocity(dit, context, x, levels, prefix_distance=SPEC.prefix_distance + 1, **settings)
        assert difference(moved, whole) > 1e-3
    assert all(block.keys_values is None for block in heard.blocks) and not heard.pending


def test_encoder_decoder_context_hears_its_own_future() -> None:
    """Negative control: it is another function than block-causal context, which does not."""
    dit, context, x = toy_dit(), draw(1, CHANNELS, SPEC.context_frames, seed=3), draw(1, CHANNELS, 5, seed=4)
    both = [block_velocity(dit, begin(context, seeds=(SEED,), spec=spec), told(dit), spec=spec)[0](x, 0.7)
            for spec in (ENCODER_DECODER, SPEC)]  # fmt: skip
    assert difference(*both) > 1e-3


def test_encoder_decoder_windows_are_batch_rows() -> None:
    """Training lays windows out as rows; a row is the same alone."""
    dit, given = toy_dit(), conditioning(2)
    context, x = draw(2, CHANNELS, SPEC.context_frames, seed=3), draw(2, CHANNELS, SPEC.block_frames, seed=4)
    t = torch.tensor([0.9, 0.3])

    def velocity(rows: slice) -> Tensor:
        return window_velocity(dit, context[rows], x[rows], t[rows], prefix_distance=SPEC.prefix_distance,
                               cross=given.cross[rows], global_cond=given.global_cond[rows])  # fmt: skip

    together = velocity(slice(None))
    assert all(difference(velocity(slice(row, row + 1))[0], together[row]) < 1e-5 for row in (0, 1))


def outpainted(dit: DiT, context: Tensor, sampling: Sampling, *, renoised: bool = True) -> Tensor:
    """The next block by the stock model's own forward, written out: overwrite the context, denoise everything."""
    given, objective = conditioning(), dit.config.objective
    past, frames = context.shape[-1], SPEC.context_frames + SPEC.block_frames - context.shape[-1]
    levels = noise_levels(sampling.steps, objective)

    def drawn(step: int, purpose: str, length: int) -> Tensor:
        return noise(SEED, 0, step, purpose, shape=(CHANNELS, length))[None]

    x = drawn(0, "denoise", frames)
    for step, (t, t_next) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        alpha, sigma = alpha_sigma(t, objective)
        kept = drawn(0 if sampling.sampler == "euler" else step, "context", past)
        window = torch.cat([alpha * context + sigma * kept if renoised else context, x], dim=-1)
        v = dit(window, torch.full((1,), t), cross=given.cross, global_cond=given.global_cond)[..., past:]
        clean = alpha * x - sigma * v if objective == "v" else x - t * v
        eps = (sigma * x + alpha * v if objective == "v" else x + (1 - t) * v) if sampling.sampler == "euler" else None
        alpha, sigma = alpha_sigma(t_next, objective)
        x = clean if step == sampling.steps - 1 else alpha * clean + sigma * (
            drawn(step + 1, "denoise", frames) if eps is None else eps)  # fmt: skip
    return x[..., : SPEC.block_frames]


@pytest.mark.parametrize("objective", ["rectified_flow", "v"])
@pytest.mark.parametrize("sampler", ["euler", "pingpong"])
def test_outpainting_is_the_stock_forward_over_the_window(sampler: str, objective: str) -> None:
    dit, sampling = toy_dit(objective=objective), Sampling(steps=3, sampler=sampler)
    context = draw(1, CHANNELS, SPEC.context_frames, seed=3)
    start = begin(context, seeds=(SEED,), spec=OUTPAINT)
    (ours,), state = rolled(dit, told(dit), 1, spec=OUTPAINT, sampling=sampling, start=start)
    assert difference(ours, outpainted(dit, context, sampling)) < 1e-5
    assert difference(ours, outpainted(dit, context, sampling, renoised=False)) > 1e-3
    assert torch.equal(torch.cat([b.latents for b in state.blocks], dim=-1), context)


def test_outpainting_needs_nothing_that_conversion_adds() -> None:
    """A stock model plays: without frame controls, and the full window is denoised from the first block on."""
    dit, sampling = toy_dit(), Sampling(steps=2, sampler="euler")
    converted, _ = rolled(dit, told(dit), 2, spec=OUTPAINT, sampling=sampling)
    del dit.to_input_add_embed
    stock, _ = rolled(dit, told(dit), 2, spec=OUTPAINT, sampling=sampling)
    assert all(torch.equal(a, b) for a, b in zip(converted, stock, strict=True))
    assert difference(stock[0], outpainted(dit, draw(1, CHANNELS, 0), sampling)) < 1e-5


def test_outpainting_takes_no_frame_controls() -> None:
    dit = toy_dit(extra_controls=2)
    with pytest.raises(LmdmError, match="plays without them"):
        next_block(dit, begin(None, seeds=(SEED,), spec=OUTPAINT), told(dit), spec=OUTPAINT, sampling=Sampling(),
                   controls=draw(1, 2, SPEC.block_frames))  # fmt: skip


def halved() -> DiT:
    """The toy in bf16, its rotary frequencies in fp32 as in a loaded model."""
    dit, frequencies = toy_dit().bfloat16(), toy_dit().transformer.rotary_pos_emb.inv_freq
    dit.transformer.rotary_pos_emb.inv_freq = frequencies
    return dit


BF16 = 0.03
"""How far two roads of one function may come apart in bf16, in units of scale: 0.007 to 0.010 on this toy."""


def test_the_fused_first_step_equals_a_separate_commit_in_half_precision() -> None:
    dit, sampling = halved(), Sampling(steps=2)
    one, other = (rolled(dit, told(dit), 2, spec=SPEC, sampling=sampling, fused=fused)[0] for fused in (True, False))
    assert difference(one[1], other[1]) < BF16 < difference(one[0], other[1])


@pytest.mark.parametrize("spec", [SPEC, ENCODER_DECODER], ids=lambda spec: spec.regime)
def test_play_equals_the_training_forward_in_half_precision(spec: BlockSpec) -> None:
    dit, given, context = halved(), conditioning(), draw(1, CHANNELS, SPEC.context_frames, seed=3)
    x, t = draw(1, CHANNELS, SPEC.block_frames, seed=4), torch.full((1,), 0.7)
    velocity, _ = block_velocity(dit, begin(context, seeds=(SEED,), spec=spec), told(dit), spec=spec)
    settings = {"prefix_distance": SPEC.prefix_distance, "cross": given.cross, "global_cond": given.global_cond}
    if spec is ENCODER_DECODER:
        whole = window_velocity(dit, context, x, t, **settings)
    else:
        whole = parallel_velocity(
            dit, torch.cat([context, x], dim=-1), torch.cat([context, x], dim=-1), torch.full((1, 3), 0.7),
            lengths_frames=(SPEC.block_frames,) * 3, context_blocks=SPEC.context_blocks, **settings,
        )[..., -SPEC.block_frames :]  # fmt: skip
    assert difference(velocity(x, 0.7), whole.float()) < BF16 < difference(velocity(x, 0.2), whole.float())


@pytest.mark.parametrize("spec", [SPEC, ENCODER_DECODER, OUTPAINT], ids=lambda spec: spec.regime)
def test_half_precision_plays_nearly_the_same(spec: BlockSpec) -> None:
    """bf16 has 8 bits: within 10 % of scale after two denoise steps, where another prompt is farther away."""
    exact, half, sampling = toy_dit(), halved(), Sampling(steps=2)
    other = Told.of(exact, conditioning(seed=500), guidance=1.0)
    (one,), (near,), (far,) = (
        rolled(dit, ready, 1, spec=spec, sampling=sampling, start=begin(
            draw(1, CHANNELS, SPEC.context_frames), seeds=(SEED,), spec=spec))[0]
        for dit, ready in ((exact, told(exact)), (half, told(half)), (exact, other))
    )  # fmt: skip
    assert difference(near, one) < 0.1 < difference(far, one)


@pytest.mark.parametrize("frames", [0, -3])
def test_blocks_of_no_length_are_refused(frames: int) -> None:
    dit = toy_dit()
    with pytest.raises(LmdmError, match=f"got {frames}"):
        next_block(dit, begin(None, seeds=(SEED,), spec=SPEC), told(dit), spec=SPEC, sampling=Sampling(), frames=frames)


def test_ping_pong_plus_plus_takes_away_the_null_branch() -> None:
    """`x' = d_guided + t' (eps - d_null)`, written out for two steps of a made-up velocity."""
    sampling, x, eps = Sampling(2, "pingpong++", 0.7), draw(1, 2, 3), draw(1, 2, 3, seed=9)
    conditional, null = draw(1, 2, 3, seed=1), draw(1, 2, 3, seed=2)
    _, t, _ = noise_levels(2, "rectified_flow")

    def branches(noisy: Tensor, level: float) -> Tensor:
        return torch.cat([conditional + noisy, null - level * noisy])

    ours = sample(branches, x, sampling=sampling, objective="rectified_flow", fresh_noise=lambda step: eps * step)
    d_conditional, d_null = x - (conditional + x), x - (null - x)
    after = d_null + 0.7 * (d_conditional - d_null) + t * (eps - d_null)
    v_null = null - t * after
    expected = after - t * (v_null + 0.7 * (conditional + after - v_null))
    torch.testing.assert_close(ours, expected)
    plain = sample(branches, x, sampling=replace(sampling, sampler="pingpong"), objective="rectified_flow",
                   fresh_noise=lambda step: eps * step)  # fmt: skip
    assert not torch.allclose(ours, plain)


def test_ping_pong_plus_plus_without_guidance_is_ping_pong() -> None:
    dit = toy_dit()
    one, other = (rolled(dit, told(dit), 2, spec=SPEC, sampling=Sampling(3, sampler))[0]
                  for sampler in ("pingpong", "pingpong++"))  # fmt: skip
    assert difference(one[1], other[1]) < 1e-5


def test_ping_pong_plus_plus_is_for_rectified_flows() -> None:
    dit = toy_dit(objective="v")
    with pytest.raises(LmdmError, match="rectified flows"):
        rolled(dit, told(dit, 0.7), 1, spec=SPEC, sampling=Sampling(2, "pingpong++", 0.7))
