"""Guidance towards frame controls, learned by heart: what is learned is what the guided model plays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.regimes import Target, opened
from lmdm_adapter.rollout import begin
from lmdm_adapter.samplers import combined
from lmdm_adapter.state import Block, Conditioning
from lmdm_adapter.told import Told
from lmdm_adapter.training.drops import DropConfig
from lmdm_adapter.training.flow_objectives import BlockObjective, FlowConfig, WindowObjective
from lmdm_adapter.training.guide import Guide
from tests.models import SPEC, controlled_live
from tests.toy import conditioning, draw

DECLARED = (("sketch_loudness", 2), ("sketch_melody", 3))
LENGTHS, GUIDANCE, LEVEL = (6, 7, 5), 3.0, 0.7
LIVE = controlled_live(DECLARED)
CHANNELS = LIVE.network.dit.config.io_channels
OBJECTIVES = [(BlockObjective, "block-causal"), (WindowObjective, "encoder-decoder")]


def material() -> tuple[Tensor, Tensor, Tensor]:
    """Clean latents, noisy latents of the last block, and controls of all."""
    return draw(1, CHANNELS, sum(LENGTHS), seed=1), draw(1, CHANNELS, LENGTHS[-1], seed=2), draw(1, 5, sum(LENGTHS))


def played(regime: str, *, guided_controls: bool) -> Tensor:
    """The guided velocity of the last block as a stream hears it, `1 c n`."""
    spec, (clean, noisy, controls) = replace(SPEC, regime=regime), material()
    told = Told.of(LIVE.engine, conditioning(1), guidance=GUIDANCE)
    parts = zip(clean.split(LENGTHS, dim=-1), controls.split(LENGTHS, dim=-1), strict=True)
    blocks = tuple(Block(latents, own) for latents, own in parts)[:-1]
    state = replace(begin(None, seeds=(0,), spec=spec), pending=blocks)
    target = Target(noisy, controls[..., -LENGTHS[-1] :], fused=False, guided_controls=guided_controls)
    return combined(opened(LIVE.engine, state, told, target, spec=spec).velocity(noisy, LEVEL), GUIDANCE)


def learned(regime: str, guide: Guide) -> Tensor:
    """What a student is taught for that block, `1 c n`."""
    spec, (clean, noisy, controls) = replace(SPEC, regime=regime), material()

    def velocity(network: Network, told: Conditioning, copies: int) -> Tensor:
        shared = {
            "prefix_distance": spec.prefix_distance, "cross": told.cross, "global_cond": told.global_cond,
            "controls": controls.repeat(copies, 1, 1),
            "target_controls": guide.target_controls(controls[..., -LENGTHS[-1] :], copies),
        }  # fmt: skip
        noisy_rows, levels = noisy.repeat(copies, 1, 1), torch.full((copies, 1), LEVEL)
        if regime == "encoder-decoder":
            context = clean[..., : -LENGTHS[-1]].repeat(copies, 1, 1)
            return window_velocity(network.dit, context, noisy_rows, levels[:, 0], **shared)
        return parallel_velocity(network.dit, clean.repeat(copies, 1, 1), noisy_rows, levels, lengths_frames=LENGTHS,
                                 context_blocks=spec.context_blocks, **shared)  # fmt: skip

    return guide(velocity, conditioning(1))


@torch.no_grad()
@pytest.mark.parametrize("regime", ["block-causal", "encoder-decoder"])
def test_what_is_learned_is_what_is_played(regime: str) -> None:
    """Law 2 under guidance: the null branch hears the context with its controls, and the block without."""
    plain, led = (
        learned(regime, Guide(LIVE.network, GUIDANCE, guided_controls=guided)) for guided in (False, True)
    )  # fmt: skip
    for guided, ours in ((False, plain), (True, led)):
        expected = played(regime, guided_controls=guided)
        assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (led - plain).abs().max() > 1e-2


@torch.no_grad()
@pytest.mark.parametrize(("objective", "regime"), OBJECTIVES)
def test_the_objectives_teach_it(objective, regime: str) -> None:
    """A student that is its own guide is off by (guidance - 1) of what the controls do; by nothing without them."""
    config, spec = FlowConfig(drops=DropConfig(prompt=1.0), seed=3), replace(SPEC, regime=regime)
    clean, _, controls = material()

    def loss(guidance: float, *, guided_controls: bool, heard: Tensor | None = controls) -> float:
        guide = Guide(LIVE.network, guidance, guided_controls=guided_controls)
        learning = objective(LIVE.network, config, spec=spec, seconds=0.3, guide=guide)
        return float(learning(clean, ["house"], LENGTHS, heard, 6)["loss"])

    assert loss(3.0, guided_controls=False) < 1e-9, "a dropped prompt is its own null branch"
    assert loss(3.0, guided_controls=True, heard=None) < 1e-9
    assert loss(3.0, guided_controls=True, heard=torch.zeros_like(controls)) < 1e-9
    off = loss(2.0, guided_controls=True)
    assert off > 1e-6 and loss(3.0, guided_controls=True) == pytest.approx(4 * off, rel=1e-3)
