"""Where regimes meet each other and the samplers: a stream that changes regime, frame controls, fp32 velocities."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.regimes import Target, opened
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import StreamState, recached
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

ENCODER_DECODER, OUTPAINT = (replace(SPEC, regime=regime) for regime in ("encoder-decoder", "outpaint"))
REGIMES = (SPEC, ENCODER_DECODER, OUTPAINT)
SAMPLING = Sampling(steps=2)
INPAINTING = {"input_concat_dim": 1 + CHANNELS}


def stepped(dit: DiT, state: StreamState, spec: BlockSpec, *, blocks: int = 1) -> tuple[Tensor, StreamState]:
    """The last of some blocks."""
    ready = Told.of(dit, conditioning(), guidance=1.0)
    with torch.inference_mode():
        for _ in range(blocks):
            latents, state = next_block(dit, state, ready, spec=spec, sampling=SAMPLING)
    return latents, state


@pytest.mark.parametrize("other", [ENCODER_DECODER, OUTPAINT], ids=lambda spec: spec.regime)
def test_a_stream_goes_on_in_another_regime_from_its_latents(other: BlockSpec) -> None:
    """There K/V are dropped; back again they are made anew, as for a stream primed with what is heard."""
    dit = toy_dit()
    _, cached = stepped(dit, begin(None, seeds=(7,), spec=SPEC), SPEC, blocks=4)
    assert any(block.keys_values is not None for block in cached.blocks)
    _, plain = stepped(dit, cached, other)
    assert plain.blocks and all(block.keys_values is None for block in plain.blocks + plain.pending)
    primed = recached(plain, context_blocks=SPEC.context_blocks)
    (ours, after), (theirs, _) = (stepped(dit, state, SPEC) for state in (plain, primed))
    assert torch.equal(ours, theirs) and all(block.keys_values is not None for block in after.blocks)
    assert not torch.allclose(ours, stepped(dit, cached, SPEC)[0])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_fused_first_step_hears_the_frame_controls_of_its_block(guidance: float) -> None:
    dit = toy_dit(extra_controls=2).double()
    ready = Told.of(dit, conditioning(), guidance=guidance)
    state = begin(draw(1, CHANNELS, SPEC.context_frames), seeds=(7,), spec=SPEC)
    sampling = Sampling(steps=1, guidance=guidance)
    quiet, loud = (value * torch.ones(1, 2, SPEC.block_frames) for value in (0.0, 1.0))
    with torch.inference_mode():
        fused, separate, other = (
            next_block(dit, state, ready, spec=SPEC, sampling=sampling, controls=controls, fused=way)[0]
            for controls, way in ((loud, True), (loud, False), (quiet, True))
        )
    assert (fused - separate).abs().max() < 1e-5 < 1e-3 < (fused - other).abs().max()


@pytest.mark.parametrize("spec", REGIMES, ids=lambda spec: spec.regime)
@pytest.mark.parametrize("inputs", [{}, INPAINTING], ids=["stock", "inpainting"])
def test_velocities_are_fp32_for_a_model_in_half_precision(spec: BlockSpec, inputs: dict[str, int]) -> None:
    """Guidance and samplers add up what nearly cancels; also the velocity that the fused step gives."""
    dit, frequencies = toy_dit(**inputs).bfloat16(), toy_dit().transformer.rotary_pos_emb.inv_freq
    dit.transformer.rotary_pos_emb.inv_freq = frequencies
    frames = SPEC.block_frames + (SPEC.context_frames if spec is OUTPAINT and inputs else 0)
    target = Target(draw(1, CHANNELS, frames), None, lambda _t, shape: draw(1, *shape))
    state = begin(draw(1, CHANNELS, SPEC.context_frames), seeds=(7,), spec=spec)
    with torch.inference_mode():
        block = opened(dit, state, Told.of(dit, conditioning(), guidance=3.0), target, spec=spec)
        assert all(block.velocity(target.x, t).dtype == torch.float32 for t in (1.0, 0.5))
