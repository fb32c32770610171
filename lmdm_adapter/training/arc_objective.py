"""ARC-Forcing: post-train a live model on its own rollouts, against a judge that hears them whole.

Section 3 of arXiv 2605.22717. Rollout, judgement and gradient are three steps: the student plays without gradient, the
judge tells how its latents should change, and one parallel forward carries that to the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from lmdm_adapter.controls.declared import ACCOMPANIMENT
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import Network
from lmdm_adapter.samplers import LOG_SNR_FIRST, LOG_SNR_LAST
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training.draws import normal, torch_draws
from lmdm_adapter.training.flow import noised
from lmdm_adapter.training.flow_objectives import require_flow
from lmdm_adapter.training.latent_judge import LatentJudge
from lmdm_adapter.training.prompts import conditioning_of
from lmdm_adapter.training.reconstruction import reconstruction_loss
from lmdm_adapter.training.rollout_recording import Recording, recorded_rollout, replayed


@dataclass(frozen=True)
class ArcConfig:
    """Rollouts and losses; `seed` fixes all draws.

    `sampling` is how the student plays after this: each rolled block leaves at a step drawn from all of its steps.
    For `judge_first_steps` only the judge learns. `contrastive` weighs its prompt term, `contrastive_controls` the same
    for the frame controls of another clip: None is 1 where the student has an accompaniment and the judge hears it,
    else 0. `reconstruction` weighs fine-tuning's loss on the real clip in the student's turn, and is off by default.
    `cold` is the share of steps whose rollouts begin from silence. `checkpointed` trades time for memory.
    """

    sampling: Sampling = Sampling(steps=8, sampler="pingpong", guidance=1.0)
    rollout_blocks: int = 12
    contrastive: float = 1.0
    contrastive_controls: float | None = None
    reconstruction: float = 0.0
    judge_first_steps: int = 0
    cold: float = 0.0
    checkpointed: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rollout_blocks < 1:
            raise LmdmError(f"A rollout has at least 1 block, got {self.rollout_blocks}.")
        if self.sampling.guidance != 1.0:
            raise LmdmError(f"Rollouts are played without guidance (1.0), got {self.sampling.guidance}.")
        weights = (self.contrastive, self.contrastive_controls or 0.0, self.reconstruction)
        if min(*weights, self.judge_first_steps) < 0:
            raise LmdmError(f"The weights {weights} of terms and judge_first_steps must not be negative.")
        if not 0.0 <= self.cold <= 1.0:
            raise LmdmError(f"The share cold lies in [0, 1], got {self.cold}.")


STUDENT, JUDGE = "student", "judge"


class ArcObjective(nn.Module):
    """Two parts that take turns: the student, whose network plays, and the judge; the student is the one averaged.

    Each turn has a rollout of its own. In its turn the student is led by a constant gradient of the judge's, the judge
    hears constant latents.
    """

    def __init__(
        self, student: Network, judge: LatentJudge, config: ArcConfig, *, spec: BlockSpec, seconds: float,
        frame_rate_hz: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.judge, self.config = require_flow(student), judge, config
        self.spec, self.seconds, self.frame_rate_hz = spec, seconds, frame_rate_hz
        require_flow(judge.network)
        self.contrastive_controls = self._contrastive_controls()

    def _contrastive_controls(self) -> float:
        if self.config.contrastive_controls is not None:
            return self.config.contrastive_controls
        has_accompaniment = any(name in ACCOMPANIMENT for name, _ in self.network.dit.config.further_controls)
        return 1.0 if has_accompaniment and self.judge.hear_controls is not None else 0.0

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """All that learns, by player."""
        players = {STUDENT: self.network, JUDGE: self.judge}
        return {name: [p for p in player.parameters() if p.requires_grad] for name, player in players.items()}

    def part(self, step: int) -> str:
        """The judge learns alone for a while; then they alternate."""
        first = self.config.judge_first_steps
        return STUDENT if step >= first and (step - first) % 2 == 0 else JUDGE

    def forward(
        self, latents: Tensor, prompts: Sequence[str], partners: Sequence[str | None],
        lengths_frames: tuple[int, ...], controls: Tensor | None, aligned: Tensor | None, misheard: Tensor | None,
        index: int, part: str,
    ) -> dict[str, Tensor]:  # fmt: skip
        """`loss` of a part and its terms for real clips `b c (s + m)`: a full context, then what follows it in truth.

        `partners` are the prompts of the contrastive term, None for a row without one; `lengths_frames` are those of
        the rolled blocks. The student plays with the frame controls `b e (s + m)`; the judge hears them `aligned`, the
        accompaniment at lag 0. `misheard` are the aligned ones of other clips.
        """
        if self._is_cold(index):
            newest = slice(-sum(lengths_frames), None)
            latents = latents[..., newest]
            controls, aligned, misheard = (
                None if given is None else given[..., newest] for given in (controls, aligned, misheard)
            )
        told = conditioning_of(self.network, prompts, seconds=self.seconds, device=latents.device)
        recording = self._rolled(latents, told, lengths_frames, controls, index)
        # Autocast would hand the replay the half-precision weights of the rollout, which some releases of torch keep
        # without their history: the weights behind them would get no gradient.
        torch.clear_autocast_cache()
        if part == JUDGE:
            return self._judge_terms(recording, latents, prompts, partners, index, aligned, misheard)
        gradient, terms = self._direction(recording, latents, prompts, index, aligned)
        denoised = replayed(self.network.dit, recording, told, spec=self.spec, checkpointed=self.config.checkpointed)
        loss = (gradient * denoised).sum()
        if self.config.reconstruction:
            kept = self._reconstruction(recording, latents, prompts, index)
            loss, terms = loss + self.config.reconstruction * kept, {**terms, "reconstruction": kept.detach()}
        return {"loss": loss, **terms}

    def _reconstruction(self, recording: Recording, real: Tensor, prompts: Sequence[str], index: int) -> Tensor:
        return reconstruction_loss(
            self.network, real, prompts, recording.lengths_frames, recording.controls, spec=self.spec,
            seconds=self.seconds, seed=self.config.seed, step=index, checkpointed=self.config.checkpointed,
        )  # fmt: skip

    def _is_cold(self, index: int) -> bool:
        draw = torch.rand((), generator=torch_draws(self.config.seed, index, "cold"))
        return bool(draw < self.config.cold)

    def _rolled(
        self, latents: Tensor, told: Conditioning, lengths_frames: tuple[int, ...], controls: Tensor | None, index: int
    ) -> Recording:
        """The student's own continuation of the real context; every block leaves at a step of its own."""
        context, steps = latents[..., : latents.shape[-1] - sum(lengths_frames)], self.config.sampling.steps
        generator = torch_draws(self.config.seed, index, "exits")
        exits = torch.randint(1, steps + 1, (len(lengths_frames),), generator=generator).tolist()
        seeds = torch.randint(0, 2**62, (len(latents),), generator=generator).tolist()
        return recorded_rollout(
            self.network.dit, context if context.shape[-1] else None, told, spec=self.spec,
            sampling=self.config.sampling, lengths_frames=lengths_frames, exit_steps=exits, seeds=seeds,
            controls=controls,
        )  # fmt: skip

    def _direction(
        self, recording: Recording, real: Tensor, prompts: Sequence[str], index: int, aligned: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of the student's loss with respect to its latents, `b c m`: a constant; and that loss."""
        first, count = recording.context_frames, len(real)
        rolled = recording.clean[..., first:].float().requires_grad_(True)
        made = torch.cat([recording.clean[..., :first], rolled], dim=-1)
        scores = self._scores(
            [made, real], [*prompts, *prompts], first_frame=first, index=index, controls=[aligned, aligned]
        )
        loss = softplus(scores[count:] - scores[:count]).mean()
        # In half precision the gradient of a mean over thousands of frames would vanish; it is scaled back in fp32.
        (gradient,) = torch.autograd.grad(loss * scores.numel(), rolled)
        return gradient.detach() / scores.numel(), {"student": loss.detach()}

    def _judge_terms(
        self, recording: Recording, real: Tensor, prompts: Sequence[str], partners: Sequence[str | None], index: int,
        aligned: Tensor | None, misheard: Tensor | None,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Real clips score above made ones, and above themselves under another prompt or with other controls."""
        others = [prompt if partner is None else partner for prompt, partner in zip(prompts, partners, strict=True)]
        clips, told, heard = [recording.clean, real, real], [*prompts, *prompts, *others], [aligned] * 3
        if not self.contrastive_controls:
            misheard = None
        if misheard is not None:
            clips, told, heard = [*clips, real], [*told, *prompts], [*heard, misheard]
        scores = self._scores(clips, told, first_frame=recording.context_frames, index=index, controls=heard)
        made, true, *wrong = scores.chunk(len(clips))
        terms = {"judge": softplus(made - true).mean()}
        loss = terms["judge"]
        has_partner = torch.tensor([partner is not None for partner in partners], device=real.device)
        if has_partner.any():  # a mean over no row says nothing
            terms["contrastive"] = contrast(wrong[0], true, has_partner)
            loss = loss + self.config.contrastive * terms["contrastive"]
        if misheard is not None and (differs := (misheard != aligned).any(dim=(1, 2))).any():
            terms["contrastive_controls"] = contrast(wrong[1], true, differs)
            loss = loss + self.contrastive_controls * terms["contrastive_controls"]
        terms["margin"] = (true - made).mean()
        return {"loss": loss, **{name: term.detach() for name, term in terms.items()}}

    def _scores(
        self, clips: Sequence[Tensor], prompts: Sequence[str], *, first_frame: int, index: int,
        controls: Sequence[Tensor | None] = (),
    ) -> Tensor:  # fmt: skip
        """Scores `(k b) f` of clips, each `b c n`, in fp32; all of them under one noise, at one level per row.

        `controls` are what was asked for in each clip, `b e n`.
        """
        seed, real = self.config.seed, clips[-1]
        t = judge_levels(len(real), generator=torch_draws(seed, index, "judge levels")).to(real.device)
        eps = normal(real.shape, seed=seed, step=index, purpose="judge noise", device=real.device)
        seconds = real.shape[-1] / self.frame_rate_hz
        told = conditioning_of(self.judge.network, prompts, seconds=seconds, device=real.device)
        x_t = torch.cat([noised(clip, t, eps).x_t for clip in clips])
        heard = [given for given in controls if given is not None]
        return self.judge(
            x_t, t.repeat(len(clips)), told, first_frame=first_frame, controls=torch.cat(heard) if heard else None
        ).float()


def contrast(wrong: Tensor, true: Tensor, rows: Tensor) -> Tensor:
    """How far true pairs score above wrong ones (`b f` both), over those `rows` (bool `b`) that have a wrong one."""
    return softplus(wrong - true)[rows].mean()


def judge_levels(rows: int, *, generator: torch.Generator) -> Tensor:
    """Noise levels `b` of what the judge hears: log-SNR uniform from -6 to 2.

    Rows share the range out among them, in a random order: half of it is nearly noise, where nobody hears a prompt, and
    a small batch that fell there whole would teach nothing.
    """
    place = (torch.randperm(rows, generator=generator) + torch.rand(rows, generator=generator)) / rows
    return torch.sigmoid(-(LOG_SNR_FIRST + (LOG_SNR_LAST - LOG_SNR_FIRST) * place))


def partner_prompts(prompts: Sequence[str], earlier: Sequence[str] = ()) -> list[str | None]:
    """For each row a prompt that is not its own: of another row, else of the `earlier` ones, else None."""
    found: list[str | None] = []
    for row, prompt in enumerate(prompts):
        candidates = (*prompts[row + 1 :], *prompts[:row], *earlier)
        found.append(next((other for other in candidates if other != prompt), None))
    return found
