"""Frame controls are dropped one by one, each in its own share of rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.training.configs import build_config
from lmdm_adapter.training.control_drops import with_dropped_controls
from lmdm_adapter.training.drops import DropConfig
from lmdm_adapter.training.flow_objectives import BlockObjective, FlowConfig, WindowObjective
from tests.models import LATENT_CHANNELS, SPEC, tiny_live
from tests.randomise import randomise
from tests.toy import draw

CONTROLS = (("sketch", 2), ("accompaniment_mask", 1), ("accompaniment_latents", 3), ("sketchy", 1))
LENGTHS, PROMPTS = (6, 6, 5, 7), ["house", "techno"]


def dropped(rows: int, step: int = 0, **shares: float) -> torch.Tensor:
    """Which of the seven channels are left, bool `b e`."""
    drops = DropConfig(controls=tuple(shares.items()))
    controls = draw(rows, 7, 4)
    left = with_dropped_controls(controls, frame_controls=CONTROLS, drops=drops, seed=1, step=step)
    kept = (left == controls).all(dim=-1)
    assert torch.equal(kept | (left == 0).all(dim=-1), torch.ones_like(kept)), "kept whole or dropped whole"
    return kept


def test_shares_are_kept_and_independent() -> None:
    kept = dropped(20_000, sketch=0.3, accompaniment=0.5).float()
    assert torch.allclose(kept.mean(dim=0), torch.tensor([0.7, 0.7, 0.5, 0.5, 0.5, 0.5, 1.0]), atol=0.02)
    sketch, accompaniment = kept[:, 0], kept[:, 2]
    assert (sketch * accompaniment).mean().item() == pytest.approx(0.35, abs=0.02)
    assert torch.equal(kept[:, 0], kept[:, 1]) and torch.equal(kept[:, 2], kept[:, 5]), "channels of one control"


def test_a_name_stands_for_controls_that_begin_with_it() -> None:
    assert dropped(1, sketch=1.0)[0].tolist() == [False, False, True, True, True, True, True]
    assert dropped(1, accompaniment=1.0)[0].tolist() == [True, True, False, False, False, False, True]
    assert dropped(1, accompaniment_mask=1.0)[0].tolist() == [True, True, False, True, True, True, True]


def test_draws_depend_on_the_step_alone() -> None:
    assert torch.equal(dropped(50, 3, sketch=0.5), dropped(50, 3, sketch=0.5))
    assert not torch.equal(dropped(50, 3, sketch=0.5), dropped(50, 4, sketch=0.5))
    alone, beside = dropped(50, sketch=0.5), dropped(50, sketch=0.5, accompaniment=0.5)
    assert torch.equal(alone[:, 0], beside[:, 0]), "another control's drops change nothing"


def sketching() -> LiveModel:
    """A tiny live model with a sketch of two channels."""
    live = tiny_live()
    config = live.network.config
    controls = (*config.dit.frame_controls, ("sketch", 2))
    network = type(live.network)(replace(config, dit=replace(config.dit, frame_controls=controls)))
    randomise(network, 0)
    return LiveModel(network.requires_grad_(False), live.section)


@pytest.mark.parametrize("objective", [BlockObjective, WindowObjective])
@torch.no_grad()
def test_objectives_hear_and_drop_controls(objective: type[BlockObjective]) -> None:
    """A share of 1 is the loss without controls; a share of 0 is not."""
    live, latents, sketch = sketching(), draw(2, LATENT_CHANNELS, sum(LENGTHS)), draw(2, 2, sum(LENGTHS), seed=5)
    losses = []
    for share, controls in ((0.0, None), (1.0, sketch), (0.0, sketch)):
        config = FlowConfig(drops=DropConfig(controls=(("sketch", share),)))
        learning = objective(live.network, config, spec=SPEC, seconds=0.3)
        losses.append(learning(latents, PROMPTS, LENGTHS, controls, 4)["loss"].item())
    assert losses[0] == losses[1] and abs(losses[2] - losses[0]) > 1e-4


def test_unknown_controls_and_shares_are_refused() -> None:
    flow = FlowConfig(drops=DropConfig(controls=(("sketch", 0.2),)))
    with pytest.raises(LmdmError, match="'sketch'.*none besides"):
        BlockObjective(tiny_live().network, flow, spec=SPEC, seconds=0.3)
    with pytest.raises(LmdmError, match="share of sketch"):
        build_config(FlowConfig, {"drops": {"controls": [["sketch", 1.5]]}})
    assert build_config(FlowConfig, {"drops": {"controls": [["sketch", 0.2]]}}).drops.controls == (("sketch", 0.2),)
