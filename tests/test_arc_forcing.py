"""ARC-Forcing: its gradient is that of the rollout, played block by block; losses, partners, judge."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.model import Network, NetworkConfig
from lmdm_adapter.regimes import Target, opened
from lmdm_adapter.rollout import begin
from lmdm_adapter.samplers import estimate
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Block, Conditioning
from lmdm_adapter.told import Told
from lmdm_adapter.training.arc_objective import JUDGE, STUDENT, ArcConfig, ArcObjective, judge_levels, partner_prompts
from lmdm_adapter.training.flow_objectives import set_trainable
from lmdm_adapter.training.latent_judge import Head, LatentJudge, LatentJudgeConfig
from lmdm_adapter.training.lora import LoraConfig
from lmdm_adapter.training.rollout_measures import rollout_measures
from lmdm_adapter.training.rollout_recording import Recording, recorded_rollout, replayed
from tests.models import LATENT_CHANNELS, SPEC, tiny_live, tiny_offline
from tests.randomise import randomise
from tests.toy import CHANNELS, conditioning, draw, toy_dit

TOY_SPEC = BlockSpec(block_frames=5, context_blocks=2)
SAMPLING = Sampling(steps=4, sampler="pingpong")
LENGTHS, EXITS, ROWS = (5, 6, 4, 5), (1, 4, 2, 3), 2
REGIMES = ("block-causal", "encoder-decoder")


def rolled(dit: DiT, spec: BlockSpec, *, cold: bool = False) -> Recording:
    """A rollout, with frame controls if the model has some: as long as context and rolled blocks together."""
    context = None if cold else draw(ROWS, CHANNELS, spec.context_frames, seed=7)
    extra, frames = dit.config.extra_control_channels, sum(LENGTHS) + (0 if cold else spec.context_frames)
    return recorded_rollout(
        dit, context, conditioning(ROWS), spec=spec, sampling=SAMPLING, lengths_frames=LENGTHS, exit_steps=EXITS,
        seeds=(3, 4), controls=draw(ROWS, extra, frames, seed=8) if extra else None,
    )  # fmt: skip


def played_literally(dit: DiT, recording: Recording, told: Conditioning, spec: BlockSpec) -> Tensor:
    """The rollout once more, block after block: commits inside the graph, block latents detached."""
    ready, context, controls = Told.of(dit, told, guidance=1.0), recording.context_frames, recording.controls
    state = begin(
        recording.clean[..., :context] if context else None, seeds=(0,) * ROWS, spec=spec,
        controls=None if controls is None else controls[..., :context],
    )  # fmt: skip
    out, start = [], 0
    for block, frames in enumerate(LENGTHS):
        noisy, t = recording.noisy[..., start : start + frames], float(recording.t[0, block])
        own = None if controls is None else controls[..., context + start : context + start + frames]
        heard = opened(dit, state, ready, Target(noisy, own, fused=False), spec=spec)
        out.append(estimate(noisy, heard.velocity(noisy, t), t, dit.config.objective).denoised)
        clean = recording.clean[..., context + start : context + start + frames].detach()
        state, start = replace(heard.state, pending=(Block(clean, own),)), start + frames
    return torch.cat(out, dim=-1)


def gradients(dit: DiT, output: Tensor) -> dict[str, Tensor]:
    named = {name: parameter for name, parameter in dit.named_parameters()}
    weight = draw(*output.shape, seed=11)
    found = torch.autograd.grad((weight * output).sum(), list(named.values()), allow_unused=True)
    return {name: torch.zeros(()) if value is None else value for name, value in zip(named, found, strict=True)}


@pytest.mark.parametrize("cold", [False, True], ids=["primed", "cold"])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("extra_controls", [0, 3])
def test_the_gradient_is_that_of_the_literal_rollout(extra_controls: int, regime: str, cold: bool) -> None:
    spec, told = replace(TOY_SPEC, regime=regime), conditioning(ROWS)
    dit = toy_dit(extra_controls=extra_controls).requires_grad_(True)
    recording = rolled(dit, spec, cold=cold)
    together = replayed(dit, recording, told, spec=spec)
    alone = played_literally(dit, recording, told, spec)
    assert (together - alone).abs().max() < 1e-5 * alone.abs().max()
    own, literal = gradients(dit, together), gradients(dit, alone)
    scale = max(value.abs().max() for value in literal.values())
    for name, value in literal.items():
        if name.endswith("cross_attn.k_norm.bias"):  # moves all keys of a prompt alike, to which softmax is blind
            assert max(value.abs().max(), own[name].abs().max()) < 1e-6 * scale
            continue
        assert value.abs().max() > 1e-6 * scale, f"{name} is used by the rollout, the context projection included"
        assert (own[name] - value).abs().max() < 1e-5 * value.abs().max() + 1e-7 * scale, name
    if extra_controls:
        assert own["to_input_add_embed.weight"][:, -extra_controls:].abs().amax(dim=0).min() > 1e-6 * scale


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("extra_controls", [0, 3])
def test_the_replay_is_the_rollout(extra_controls: int, regime: str) -> None:
    spec, dit = replace(TOY_SPEC, regime=regime), toy_dit(extra_controls=extra_controls)
    recording = rolled(dit, spec)
    rolled_part = recording.clean[..., recording.context_frames :]
    again = replayed(dit, recording, conditioning(ROWS), spec=spec)
    assert (again - rolled_part).abs().max() < 1e-5 * rolled_part.abs().max()
    other = replayed(dit, recording, conditioning(ROWS, seed=5), spec=spec)
    assert (other - rolled_part).abs().max() > 1e-3
    if extra_controls:
        shifted = recording._replace(controls=recording.controls.roll(1, dims=-1))
        assert (replayed(dit, shifted, conditioning(ROWS), spec=spec) - rolled_part).abs().max() > 1e-3


def test_the_context_path_alone_carries_gradient() -> None:
    """The context projection learns from later blocks, also where each block took several steps."""
    dit = toy_dit().requires_grad_(True)
    recording = rolled(dit, TOY_SPEC)
    output = replayed(dit, recording, conditioning(ROWS), spec=TOY_SPEC)
    context_columns = gradients(dit, output)["to_input_add_embed.weight"][:, 1:]
    assert context_columns.abs().max() > 0


def test_checkpointed_replay_has_the_same_gradient() -> None:
    dit = toy_dit().requires_grad_(True)
    recording = rolled(dit, TOY_SPEC)
    plain, kept = (
        gradients(dit, replayed(dit, recording, conditioning(ROWS), spec=TOY_SPEC, checkpointed=checkpointed))
        for checkpointed in (False, True)
    )
    assert all(torch.equal(plain[name], kept[name]) for name in plain)


def test_exits_are_recorded_as_they_were() -> None:
    dit = toy_dit()
    recording = rolled(dit, TOY_SPEC)
    assert recording.t[0, 0] == 1.0, "left after the first step: the input is pure noise"
    assert len(set(recording.t[0].tolist())) == len(set(EXITS))
    assert recording.lengths_frames == (5, 5, *LENGTHS)


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


def test_only_frames_after_the_context_are_judged() -> None:
    base, _ = tiny_offline()
    judge = LatentJudge(base, LatentJudgeConfig(channels=(8,), strides=(1,)))
    told = Conditioning(draw(2, 7, 16), global_cond=draw(2, 16))
    scores = judge(CLIP, torch.full((2,), 0.3), told, first_frame=SPEC.context_frames)
    assert scores.shape == (2, sum(BLOCKS))
    with torch.no_grad():
        hidden = []
        judge.head.register_forward_pre_hook(lambda _module, given: hidden.append(given[0]))
        judge(CLIP, torch.full((2,), 0.3), told, first_frame=SPEC.context_frames)
        judge(CLIP, torch.full((2,), 0.3), told, first_frame=0)
    assert torch.equal(hidden[0], hidden[1][:, SPEC.context_frames :]), "frames keep their places"


@pytest.mark.parametrize("trained", ["full", "lora", "head"])
def test_what_learns_in_the_judge(trained: str) -> None:
    lora = LoraConfig(rank=2 if trained == "lora" else 0)
    config = LatentJudgeConfig(trunk_share=0.5, channels=(8,), strides=(1,), trained=trained, lora=lora)
    judge = LatentJudge(tiny_offline()[0], config)
    learning = [name for name, parameter in judge.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[0] for name in learning} == ({"head"} if trained == "head" else {"network", "head"})
    assert not any("layers.1." in name or "postprocess" in name or "pretransform" in name for name in learning)
    if trained == "lora":
        assert all(".lora_" in name for name in learning if name.startswith("network"))


def test_the_rank_of_adapters_goes_with_what_is_trained() -> None:
    with pytest.raises(LmdmError, match="rank 4 while 'full'"):
        LatentJudgeConfig(lora=LoraConfig(rank=4))
    with pytest.raises(LmdmError, match="rank 0 while 'lora'"):
        LatentJudgeConfig(trained="lora")


def test_the_trunk_takes_the_nearest_number_of_layers() -> None:
    shares = {(0.75, 16): 12, (0.75, 6): 5, (0.8, 24): 19, (0.1, 2): 1}
    for (share, depth), layers in shares.items():
        network = Network(NetworkConfig(replace(toy_dit().config, depth=depth), sample_rate=1000))
        assert LatentJudge(network, LatentJudgeConfig(trunk_share=share, channels=(8,), strides=(1,))).layers == layers


def test_the_last_frames_are_judged_whatever_the_strides() -> None:
    head = randomise(Head(16, (8, 8), (1, 2)), 0)
    hidden = draw(1, 7, 16)
    changed = hidden.clone()
    changed[:, -1] = draw(16, seed=1)
    assert head(hidden).shape == (1, 4)
    assert (head(hidden) - head(changed)).abs()[0, -1] > 1e-4


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


def test_the_trunk_is_the_base_model() -> None:
    base, config = tiny_offline()
    other: Network = tiny_offline(1)[0]
    told = Conditioning(draw(2, 7, 16), global_cond=draw(2, 16))
    head = LatentJudgeConfig(channels=(8,), strides=(1,))
    judges = [LatentJudge(network, head) for network in (base, other)]
    judges[1].head.load_state_dict(judges[0].head.state_dict())
    scores = [judge(CLIP, torch.full((2,), 0.3), told, first_frame=0) for judge in judges]
    assert (scores[0] - scores[1]).abs().max() > 1e-3
