"""The objectives against their formulas, written out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.training.draws import normal, torch_draws
from lmdm_adapter.training.drops import DropConfig, kept_blocks, prompt_kept
from lmdm_adapter.training.flow import shifted_levels
from lmdm_adapter.training.flow_objectives import BlockObjective, FlowConfig, OfflineObjective, WindowObjective
from lmdm_adapter.training.guide import Guide
from lmdm_adapter.training.prompts import conditioning_of
from tests.models import SPEC, tiny_live, tiny_offline
from tests.toy import draw

LENGTHS, PROMPTS, STEP, SECONDS = (6, 7, 5, 6), ["house 120 bpm", "techno a minor"], 6, 0.3
CONFIG = FlowConfig(drops=DropConfig(prompt=0.5), seed=3)


@torch.no_grad()
def test_block_objective_is_its_formula() -> None:
    """Noisy blocks at their own levels, clean context, drops in the mask and in the prompt, velocity eps - x."""
    network, clean = tiny_live().network, draw(2, 4, sum(LENGTHS))
    loss = BlockObjective(network, CONFIG, spec=SPEC, seconds=SECONDS)(clean, PROMPTS, LENGTHS, None, STEP)["loss"]
    t = shifted_levels((2, 4), mu=CONFIG.shift, generator=torch_draws(CONFIG.seed, STEP, "levels"))
    eps = normal(clean.shape, seed=CONFIG.seed, step=STEP, purpose="noise", device=clean.device)
    level = t.repeat_interleave(torch.tensor(LENGTHS), dim=1)[:, None]
    generator = torch_draws(CONFIG.seed, STEP, "context drops")
    kept = kept_blocks(2, 4, context_blocks=SPEC.context_blocks, drops=CONFIG.drops, generator=generator)
    told = conditioning_of(network, PROMPTS, seconds=SECONDS, device=clean.device)
    prompts = prompt_kept(2, drops=CONFIG.drops, generator=torch_draws(CONFIG.seed, STEP, "prompt drops"))
    assert 0.0 < float(prompts.sum()) < 2.0 and (kept < SPEC.context_blocks).any(), "this seed tests no drops"
    settings = {"lengths_frames": LENGTHS, "context_blocks": SPEC.context_blocks, "global_cond": told.global_cond,
                "prefix_distance": SPEC.prefix_distance}  # fmt: skip
    noisy = (1 - level) * clean + level * eps
    expected = F.mse_loss(
        parallel_velocity(network.dit, clean, noisy, t, cross=told.cross * prompts, kept_blocks=kept, **settings),
        eps - clean,
    )
    torch.testing.assert_close(loss, expected)
    for changed in ({"kept_blocks": None, "cross": told.cross * prompts}, {"kept_blocks": kept, "cross": told.cross}):
        other = parallel_velocity(network.dit, clean, noisy, t, **changed, **settings)
        assert abs(float(F.mse_loss(other, eps - clean) - expected)) > 1e-6, "a drop that changes nothing"


@torch.no_grad()
def test_window_objective_is_its_formula() -> None:
    """One level and one context drop per row; the loss is that of the last block alone."""
    network, clean, spec = tiny_live().network, draw(8, 4, sum(LENGTHS)), replace(SPEC, regime="encoder-decoder")
    prompts, drops = PROMPTS * 4, DropConfig(prompt=0.5, no_context=0.2, short_context=0.6)
    config = FlowConfig(drops=drops, seed=3)
    loss = WindowObjective(network, config, spec=spec, seconds=SECONDS)(clean, prompts, LENGTHS, None, STEP)["loss"]
    t = shifted_levels((8,), mu=config.shift, generator=torch_draws(config.seed, STEP, "levels"))
    context, target = clean[..., :18], clean[..., 18:]
    eps = normal(target.shape, seed=config.seed, step=STEP, purpose="noise", device=clean.device)
    generator = torch_draws(config.seed, STEP, "context drops")
    kept = kept_blocks(8, 1, context_blocks=3, drops=drops, generator=generator)[:, 0].tolist()
    assert len(set(kept)) > 2, "this seed tests no drops"
    told = conditioning_of(network, prompts, seconds=SECONDS, device=clean.device)
    cross = told.cross * prompt_kept(8, drops=drops, generator=torch_draws(config.seed, STEP, "prompt drops"))
    level = t[:, None, None]
    noisy, settings = (1 - level) * target + level * eps, {"prefix_distance": SPEC.prefix_distance, "cross": cross,
                                                           "global_cond": told.global_cond}  # fmt: skip
    frames = torch.tensor([{0: 0, 1: 5, 2: 12, 3: 18}[blocks] for blocks in kept])
    expected = window_velocity(network.dit, context, noisy, t, kept_frames=frames, **settings)
    torch.testing.assert_close(loss, F.mse_loss(expected, eps - target))
    undropped = window_velocity(network.dit, context, noisy, t, **settings)
    assert abs(float(F.mse_loss(undropped, eps - target) - loss)) > 1e-6


@pytest.mark.parametrize(("objective", "regime"), [(BlockObjective, "block-causal"),
                                                   (WindowObjective, "encoder-decoder")])  # fmt: skip
def test_checkpointing_changes_no_gradient(objective: type[BlockObjective], regime: str) -> None:
    gradients = []
    for checkpointed in (False, True):
        network, spec = tiny_live().network, replace(SPEC, regime=regime)
        network.dit.requires_grad_(True)
        learning = objective(network, CONFIG, spec=spec, seconds=SECONDS, checkpointed=checkpointed)
        learning(draw(2, 4, sum(LENGTHS)), PROMPTS, LENGTHS, None, STEP)["loss"].backward()
        gradients.append([parameter.grad for parameter in network.dit.parameters()])
    assert all(torch.equal(*pair) and pair[0].abs().max() > 0 for pair in zip(*gradients, strict=True))


@torch.no_grad()
def test_offline_objective_is_its_formula() -> None:
    network, clean = tiny_offline()[0], draw(2, 4, 12)
    config = replace(CONFIG, drops=DropConfig(prompt=0.0))
    loss = OfflineObjective(network, config, seconds=SECONDS)(clean, PROMPTS, STEP)["loss"]
    t = shifted_levels((2,), mu=config.shift, generator=torch_draws(config.seed, STEP, "levels"))
    eps = normal(clean.shape, seed=config.seed, step=STEP, purpose="noise", device=clean.device)
    told = conditioning_of(network, PROMPTS, seconds=SECONDS, device=clean.device)
    noisy = (1 - t)[:, None, None] * clean + t[:, None, None] * eps
    made = network.dit(noisy, t, cross=told.cross, global_cond=told.global_cond)
    torch.testing.assert_close(loss, F.mse_loss(made, eps - clean))


@torch.no_grad()
@pytest.mark.parametrize(("objective", "regime"), [(BlockObjective, "block-causal"),
                                                   (WindowObjective, "encoder-decoder")])  # fmt: skip
def test_a_guided_loss_is_the_distance_from_the_guided_velocity(objective, regime: str) -> None:
    """It is a quadratic in the guidance: the parts of it are losses that the formulas above have checked."""
    network, other, spec = tiny_live().network, tiny_live(seed=7).network, replace(SPEC, regime=regime)
    clean, config = draw(2, 4, sum(LENGTHS)), FlowConfig(drops=DropConfig(prompt=0.0), seed=3)

    def loss(guide: Guide | None, told: FlowConfig = config) -> float:
        learning = objective(network, told, spec=spec, seconds=SECONDS, guide=guide)
        return float(learning(clean, PROMPTS, LENGTHS, None, STEP)["loss"])

    at = {guidance: loss(Guide(other, guidance)) for guidance in (1.5, 2.0, 3.0, 5.0)}
    second = [(at[3.0] - at[2.0]) - 2 * (at[2.0] - at[1.5]), ((at[5.0] - at[3.0]) / 2 - (at[3.0] - at[2.0])) / 2]
    assert second[0] == pytest.approx(second[1], rel=1e-3) and second[0] > 1e-6
    itself = {guidance: loss(Guide(network, guidance)) for guidance in (1.0 + 1e-6, 2.0, 3.0)}
    assert itself[1.0 + 1e-6] < 1e-9 and itself[3.0] == pytest.approx(4 * itself[2.0], rel=1e-3)
    unprompted = FlowConfig(drops=DropConfig(prompt=1.0), seed=3)
    assert loss(Guide(network, 3.0), unprompted) < 1e-9, "a dropped prompt is its own null branch"
