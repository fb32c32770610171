"""ARC-Forcing with frame controls: the student plays with them late, the judge hears them at their own place."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.spec import Sampling
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training import arc_objective
from lmdm_adapter.training.arc_objective import JUDGE, STUDENT, ArcConfig, ArcObjective
from lmdm_adapter.training.data import LatentData
from lmdm_adapter.training.flow_objectives import set_trainable
from lmdm_adapter.training.latent_judge import LatentJudge, LatentJudgeConfig
from lmdm_adapter.training.reconstruction import reconstruction_loss
from lmdm_adapter.training.rollout_measures import continued
from tests.models import LATENT_CHANNELS, SPEC, controlled_live, tiny_offline
from tests.randomise import randomise
from tests.toy import draw

ACCOMPANIMENT = accompaniment_controls(LATENT_CHANNELS)
DECLARED = (("sketch_loudness", 2), ("sketch_rhythm", 1))
BLOCKS, PROMPTS, PARTNERS = (6, 7, 5), ("house", "techno in a minor"), ("techno", "house")
FRAMES = SPEC.context_frames + sum(BLOCKS)
CLIP = draw(2, LATENT_CHANNELS, FRAMES, seed=9)
CONTROLS, ALIGNED = draw(2, 3, FRAMES, seed=10), draw(2, 3, FRAMES, seed=11)
PLAIN = ArcConfig(sampling=Sampling(steps=3), rollout_blocks=3)
JUDGE_CONFIG = LatentJudgeConfig(channels=(8, 16), strides=(1, 2))


def objective(config: ArcConfig = PLAIN, *, regime: str = "block-causal", heard: bool = True) -> ArcObjective:
    """An objective whose judge has learned to hear controls, if it is to."""
    base, _ = tiny_offline()
    judge = LatentJudge(base, JUDGE_CONFIG, control_channels=3 if heard else 0)
    randomise(judge.head, 1)
    if judge.hear_controls is not None:
        randomise(judge.hear_controls, 2)
    spec = replace(SPEC, regime=regime)
    student = set_trainable(controlled_live(DECLARED).network)
    return ArcObjective(student, judge, config, spec=spec, seconds=1.0, frame_rate_hz=125.0)


def losses(
    target: ArcObjective, part: str, controls: Tensor = CONTROLS, aligned: Tensor = ALIGNED
) -> dict[str, Tensor]:
    return target(CLIP, PROMPTS, PARTNERS, BLOCKS, controls, aligned, aligned.roll(1, dims=0), 0, part)


def test_a_fresh_judge_scores_as_if_it_heard_nothing_and_learns_to_hear() -> None:
    base, _ = tiny_offline()
    judge = LatentJudge(base, JUDGE_CONFIG, control_channels=3)
    told, t = Conditioning(draw(2, 7, 16), global_cond=draw(2, 16)), torch.full((2,), 0.3)
    hearing, deaf = (judge(CLIP, t, told, first_frame=0, controls=given) for given in (ALIGNED, None))
    assert torch.equal(hearing, deaf)
    (gradient,) = torch.autograd.grad(hearing.square().sum(), [judge.hear_controls.weight])
    assert (gradient.abs().amax(dim=0) > 0).all()
    randomise(judge.hear_controls, 2)
    assert (judge(CLIP, t, told, first_frame=0, controls=ALIGNED) - deaf).abs().max() > 1e-3
    assert LatentJudge(base, replace(JUDGE_CONFIG, hears_controls=False), control_channels=3).hear_controls is None


@pytest.mark.parametrize("regime", ["block-causal", "encoder-decoder"])
def test_the_student_plays_with_the_late_ones_and_the_judge_hears_the_aligned(regime: str) -> None:
    target = objective(regime=regime)
    whole = target._rolled(CLIP, told(target), BLOCKS, CONTROLS, 0).clean
    assert not torch.equal(whole, target._rolled(CLIP, told(target), BLOCKS, ALIGNED, 0).clean)
    heard = []
    target.judge.register_forward_pre_hook(
        lambda _module, given, named: heard.append((given[0], named["controls"])), with_kwargs=True
    )
    for part in (STUDENT, JUDGE):
        losses(target, part)
    (_, student), (_, judge) = heard
    assert torch.equal(student, ALIGNED.repeat(2, 1, 1)) and torch.equal(judge, ALIGNED.repeat(3, 1, 1))


def told(target: ArcObjective) -> Conditioning:
    return arc_objective.conditioning_of(target.network, PROMPTS, seconds=1.0, device=CLIP.device)


def test_controls_change_the_students_gradient_both_ways() -> None:
    """Through what is played and through what is judged."""
    target = objective()
    values = [losses(target, STUDENT, *given)["student"] for given in
              ((CONTROLS, ALIGNED), (ALIGNED, ALIGNED), (CONTROLS, CONTROLS))]  # fmt: skip
    assert len({float(value) for value in values}) == 3
    weight = target.network.dit.to_input_add_embed.weight
    (gradient,) = torch.autograd.grad(losses(target, STUDENT)["loss"], [weight])
    assert (gradient[:, -3:].abs().amax(dim=0) > 0).all()


@pytest.mark.parametrize("part", [STUDENT, JUDGE])
def test_a_cold_rollout_takes_the_controls_of_what_is_left(part: str) -> None:
    target, asked = objective(replace(PLAIN, cold=1.0)), []
    target.judge.register_forward_pre_hook(
        lambda _module, given, named: asked.append(named["controls"]), with_kwargs=True
    )
    losses(target, part)
    assert torch.equal(asked[0][:2], ALIGNED[..., -sum(BLOCKS) :])


def test_real_music_scores_above_itself_with_the_controls_of_another_row() -> None:
    target = objective(replace(PLAIN, contrastive_controls=2.0))
    made, true, mistold, misheard = 1.0, 3.0, 2.0, 2.5
    target._scores = lambda clips, *_, **__: torch.tensor([made, true, mistold, misheard]).repeat_interleave(2)[:, None]
    terms = losses(target, JUDGE)
    f = torch.nn.functional.softplus
    assert terms["contrastive_controls"] == f(torch.tensor(misheard - true))
    expected = terms["judge"] + terms["contrastive"] + 2.0 * terms["contrastive_controls"]
    assert float(terms["loss"]) == pytest.approx(float(expected))


def test_another_clips_controls_are_heard_and_equal_ones_teach_nothing() -> None:
    target, heard = objective(replace(PLAIN, contrastive_controls=1.0)), []
    target.judge.register_forward_pre_hook(
        lambda _module, given, named: heard.append(named["controls"]), with_kwargs=True
    )
    assert "contrastive_controls" in losses(target, JUDGE)
    assert torch.equal(heard[0], torch.cat([*[ALIGNED] * 3, ALIGNED.flip(0)]))
    same = ALIGNED[:1].expand(2, -1, -1)
    assert "contrastive_controls" not in losses(target, JUDGE, CONTROLS, same)
    assert "contrastive_controls" not in losses(objective(), JUDGE)


@pytest.mark.parametrize("given", [None, 0.0, 0.5])
def test_an_accompaniment_has_a_contrast_unless_it_is_told_otherwise(given: float | None) -> None:
    config = replace(PLAIN, contrastive_controls=given)
    jam, sketch, deaf = (
        ArcObjective(
            controlled_live(controls).network, LatentJudge(tiny_offline()[0], JUDGE_CONFIG, control_channels=channels),
            config, spec=SPEC, seconds=1.0, frame_rate_hz=125.0,
        ).contrastive_controls
        for controls, channels in ((ACCOMPANIMENT, 6), (DECLARED, 3), (ACCOMPANIMENT, 0))
    )  # fmt: skip
    assert (jam, sketch, deaf) == ((1.0, 0.0, 0.0) if given is None else (given,) * 3)


def test_a_cold_rollout_mishears_what_is_left_too() -> None:
    target, heard = objective(replace(PLAIN, cold=1.0, contrastive_controls=1.0)), []
    target.judge.register_forward_pre_hook(
        lambda _module, given, named: heard.append(named["controls"]), with_kwargs=True
    )
    losses(target, JUDGE)
    assert torch.equal(heard[0][-2:], ALIGNED.flip(0)[..., -sum(BLOCKS) :])


@pytest.mark.parametrize("regime", ["block-causal", "encoder-decoder"])
def test_the_reconstruction_term_is_fine_tunings_loss_with_the_same_controls(regime: str) -> None:
    plain, kept = objective(regime=regime), objective(replace(PLAIN, reconstruction=0.5), regime=regime)
    one, other = losses(plain, STUDENT), losses(kept, STUDENT)
    assert "reconstruction" not in one
    expected = one["loss"].detach() + 0.5 * other["reconstruction"]
    assert float(other["loss"].detach()) == pytest.approx(float(expected), rel=1e-5)
    lengths = (*[SPEC.block_frames] * SPEC.context_blocks, *BLOCKS)
    values = [
        reconstruction_loss(
            kept.network, CLIP, PROMPTS, lengths, given, spec=kept.spec, seconds=1.0, seed=0, step=0
        ).item()
        for given in (CONTROLS, None)
    ]
    assert values[0] == pytest.approx(float(other["reconstruction"]), rel=1e-5)
    assert abs(values[0] - values[1]) > 1e-3, "what is asked for matters"


def test_a_contrast_that_nobody_can_hear_is_refused() -> None:
    with pytest.raises(LmdmError, match="hears_controls to true"):
        ArcForcingRecipe(
            "o", "s", "b", LatentData("l"), arc=ArcConfig(contrastive_controls=1.0),
            judge=LatentJudgeConfig(hears_controls=False),
        )  # fmt: skip
    with pytest.raises(LmdmError, match="must not be negative"):
        ArcConfig(reconstruction=-1.0)


def test_measures_play_with_the_controls_of_the_clip() -> None:
    live, context = controlled_live(DECLARED), CLIP[..., : SPEC.context_frames]
    whole = draw(2, 3, SPEC.context_frames + 2 * SPEC.block_frames, seed=4)
    played, other, past = (
        continued(live, context, PROMPTS, blocks=2, controls=given)
        for given in (whole, whole.flip(-1), torch.cat([0 * whole[..., :6], whole[..., 6:]], dim=-1))
    )
    assert (played - other).abs().max() > 1e-3 and (played - past).abs().max() > 1e-4
