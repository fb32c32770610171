"""ARC-Forcing's two players: whose turn it is, their losses, partner prompts, noise levels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lmdm_adapter.spec import Sampling
from lmdm_adapter.training.arc_objective import JUDGE, STUDENT, ArcConfig, ArcObjective, judge_levels, partner_prompts
from lmdm_adapter.training.flow_objectives import set_trainable
from lmdm_adapter.training.latent_judge import LatentJudge, LatentJudgeConfig
from lmdm_adapter.training.rollout_measures import rollout_measures
from lmdm_adapter.training.rollout_recording import Recording
from tests.models import LATENT_CHANNELS, SPEC, tiny_live, tiny_offline
from tests.randomise import randomise
from tests.toy import draw

SAMPLING = Sampling(steps=4, sampler="pingpong")


def objective(config: ArcConfig | None = None, judge: LatentJudgeConfig | None = None) -> ArcObjective:
    base, _ = tiny_offline()
    student = set_trainable(tiny_live(0).network)
    settings = config or ArcConfig(sampling=SAMPLING, rollout_blocks=3)
    critic = LatentJudge(base, judge or LatentJudgeConfig(channels=(8, 16), strides=(1, 2)))
    randomise(critic.head, 1)
    return ArcObjective(student, critic, settings, spec=SPEC, seconds=1.0, frame_rate_hz=125.0)


BLOCKS = (6, 7, 5)
CLIP = draw(2, LATENT_CHANNELS, SPEC.context_frames + sum(BLOCKS), seed=9)
PROMPTS = ("house", "techno in a minor")


def losses(
    target: ArcObjective, part: str = JUDGE, *, partners=("techno", "house"), prompts=PROMPTS
) -> dict[str, Tensor]:
    return target(CLIP, prompts, partners, BLOCKS, None, None, None, 0, part)


@pytest.mark.parametrize("part", [STUDENT, JUDGE])
def test_in_its_turn_a_part_learns_and_the_other_does_not(part: str) -> None:
    target = objective()
    parts = target.parts()
    names, parameters = zip(*((name, p) for name, own in parts.items() for p in own), strict=True)
    found = torch.autograd.grad(losses(target, part)["loss"], parameters, allow_unused=True)
    learning = {name for name, value in zip(names, found, strict=True) if value is not None and value.any()}
    assert learning == {part}


def test_everything_that_may_learn_in_the_judge_does() -> None:
    target = objective()
    own = {name: p for name, p in target.judge.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(losses(target)["loss"], list(own.values()), allow_unused=True)
    blind = [name for name, value in zip(own, found, strict=True) if value is None or not value.any()]
    assert not [name for name in blind if not name.endswith("cross_attn.k_norm.bias")]


@pytest.mark.parametrize("first", [0, 3])
def test_players_alternate_after_the_judge_has_begun(first: int) -> None:
    target = objective(ArcConfig(sampling=SAMPLING, rollout_blocks=3, judge_first_steps=first))
    turns = [target.part(step) for step in range(first + 4)]
    assert turns == [JUDGE] * first + [STUDENT, JUDGE, STUDENT, JUDGE]


@pytest.mark.parametrize("cold", [0.0, 1.0], ids=["primed", "cold"])
def test_the_student_follows_the_judge_downhill(cold: float) -> None:
    """A small step along its gradient lowers the student's own loss: signs and frames are right."""
    one_step = Sampling(steps=1, sampler="pingpong")
    target = objective(ArcConfig(sampling=one_step, rollout_blocks=3, cold=cold))
    before, parameters = losses(target, STUDENT), target.parts()[STUDENT]
    found = torch.autograd.grad(before["loss"], parameters, allow_unused=True)
    norm = torch.stack([value.square().sum() for value in found if value is not None]).sum().sqrt()
    with torch.no_grad():
        for parameter, value in zip(parameters, found, strict=True):
            if value is not None:
                parameter -= 1e-3 / norm * value
    assert losses(target, STUDENT)["student"] < before["student"]


def test_a_row_without_a_partner_has_no_contrast() -> None:
    target = objective()
    assert "contrastive" not in losses(target, partners=(None, None))
    both, one = losses(target), losses(target, partners=("techno", None))
    assert 0.0 < one["contrastive"] != both["contrastive"]


def test_the_students_direction_raises_its_own_scores() -> None:
    """Against a judge whose score is a frame's mean, the gradient is known: downhill is louder, by f' and the mean."""
    target, first = objective(), SPEC.context_frames
    target._scores = lambda clips, *_, first_frame, **__: torch.cat([clip[..., first_frame:].mean(1) for clip in clips])
    made = CLIP + 0.3 * draw(*CLIP.shape, seed=12)
    recording = Recording(made, made[..., first:], torch.ones(2, len(BLOCKS)), (6, 6, 6, *BLOCKS))
    gradient, terms = target._direction(recording, CLIP, PROMPTS, 0)
    difference = (CLIP - made)[..., first:].mean(1)
    expected = -torch.sigmoid(difference) / difference.numel() / LATENT_CHANNELS
    assert torch.allclose(gradient, expected[:, None].expand_as(gradient), rtol=1e-4)
    assert torch.allclose(terms["student"], torch.nn.functional.softplus(difference).mean())


@pytest.mark.parametrize("part", [STUDENT, JUDGE])
def test_both_parts_are_judged_after_the_context(part: str) -> None:
    target, asked = objective(), []
    scores = target._scores
    target._scores = lambda *given, first_frame, **more: (
        asked.append(first_frame), scores(*given, first_frame=first_frame, **more)
    )[1]  # fmt: skip
    losses(target, part)
    assert asked == [SPEC.context_frames]


def test_the_losses_are_relativistic() -> None:
    """With scores known, the terms are the method's: f(x) = log(1 + e^x) of differences, real above made."""
    target = objective(ArcConfig(sampling=SAMPLING, rollout_blocks=3, contrastive=2.0))
    made, real, other = 1.0, 3.0, 2.0
    target._scores = lambda clips, *_, **__: torch.tensor([made, real, other]).repeat_interleave(2)[:, None]
    terms = losses(target)
    f = torch.nn.functional.softplus
    assert terms["judge"] == f(torch.tensor(made - real)) and terms["contrastive"] == f(torch.tensor(other - real))
    assert terms["loss"] == terms["judge"] + 2.0 * terms["contrastive"]
    assert terms["margin"] == 2.0


def test_a_partner_is_never_the_same_prompt() -> None:
    assert partner_prompts(["a", "b", "a"]) == ["b", "a", "b"]
    assert partner_prompts(["a", "a"], ["a", "c"]) == ["c", "c"]
    assert partner_prompts(["a"], ["a"]) == [None]
    prompts = ["a", "b"]
    partner_prompts(prompts)
    assert prompts == ["a", "b"], "what was given is left as it is"


def test_real_and_made_get_the_same_noise_and_levels_of_the_whole_grid() -> None:
    target, seen = objective(), []
    target.judge.register_forward_pre_hook(lambda _module, given: seen.append(given[:2]))
    for step in range(40):
        with torch.no_grad():
            target._scores([CLIP, CLIP], [*PROMPTS, *PROMPTS], first_frame=3, index=step)
    for x_t, t in seen:
        assert torch.equal(x_t[:2], x_t[2:4]) and torch.equal(t[:2], t[2:4])
    log_snr = torch.logit(1.0 - torch.cat([t[:2] for _, t in seen]))
    assert -6.0 <= log_snr.min() < -5.0 and 1.0 < log_snr.max() <= 2.0


def test_rows_share_the_levels_out_among_them() -> None:
    """Uniform in log-SNR for every row, and one row in each part of the range in every batch."""
    drawn = torch.stack([judge_levels(4, generator=torch.Generator().manual_seed(seed)) for seed in range(400)])
    place = (torch.logit(1 - drawn) + 6) / 8
    assert torch.equal(place.mul(4).floor().sort(dim=1).values, torch.arange(4.0).expand(400, 4))
    assert (place.mean(dim=0) - 0.5).abs().max() < 0.06 and (place.std(dim=0) - 12**-0.5).abs().max() < 0.04


def test_under_autocast_every_weight_of_the_student_still_learns() -> None:
    """The rollout comes first and without gradient; its half-precision copies of weights must not serve the replay."""
    target = objective()
    used = {name: p for name, p in target.network.dit.named_parameters() if not name.endswith("cross_attn.k_norm.bias")}
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses(target, STUDENT)["loss"]
    found = torch.autograd.grad(loss, list(used.values()), allow_unused=True)
    blind = [name for name, value in zip(used, found, strict=True) if value is None or not value.any()]
    assert not blind


def test_measures_take_as_many_clips_whatever_the_batch() -> None:
    class Crops:
        batch_size = 2
        asked: list[int] = []

        def batch(self, index: int, frames: int) -> tuple[Tensor, tuple[str, ...]]:
            self.asked.append(index)
            return draw(2, LATENT_CHANNELS, frames, seed=index), PROMPTS

    crops = Crops()
    measures = rollout_measures(tiny_live(), crops, blocks=2, clips=5)  # type: ignore[arg-type]
    assert crops.asked == [0, 1, 2] and set(measures) == {"mean", "spread", "motion"}
    assert all(value > 0.0 for value in measures.values())
