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
from lmdm_adapter.training.rollout_recording import Recording, recorded_rollout, replayed


@dataclass(frozen=True)
class ArcConfig:
    """Rollouts and losses; `seed` fixes all draws.

    `sampling` is how the student plays after this: each rolled block leaves at a step drawn from all of its steps.
    For `judge_first_steps` only the judge learns. `contrastive` weighs its prompt term. `cold` is the share of steps
    whose rollouts begin from silence. `checkpointed` trades time for memory.
    """

    sampling: Sampling = Sampling(steps=8, sampler="pingpong", guidance=1.0)
    rollout_blocks: int = 12
    contrastive: float = 1.0
    judge_first_steps: int = 0
    cold: float = 0.0
    checkpointed: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rollout_blocks < 1:
            raise LmdmError(f"A rollout has at least 1 block, got {self.rollout_blocks}.")
        if self.sampling.guidance != 1.0:
            raise LmdmError(f"Rollouts are played without guidance (1.0), got {self.sampling.guidance}.")
        if min(self.contrastive, self.judge_first_steps) < 0:
            raise LmdmError("contrastive and judge_first_steps must not be negative.")
        if not 0.0 <= self.cold <= 1.0:
            raise LmdmError(f"The share cold lies in [0, 1], got {self.cold}.")


class ArcObjective(nn.Module):
    """Trains `student` and `judge` at once: one loss, one rollout for both, and neither learns from the other's terms.

    The student's part of the loss is its output times a constant gradient, the judge's part sees constant latents. The
    reference takes a rollout for each of the two in turn; one for both halves the work.
    """

    def __init__(
        self, student: Network, judge: LatentJudge, config: ArcConfig, *, spec: BlockSpec, seconds: float,
        frame_rate_hz: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.student, self.judge, self.config = require_flow(student), judge, config
        self.spec, self.seconds, self.frame_rate_hz = spec, seconds, frame_rate_hz
        require_flow(judge.network)

    def forward(
        self, latents: Tensor, prompts: Sequence[str], partners: Sequence[str | None],
        lengths_frames: tuple[int, ...], step: int,
    ) -> dict[str, Tensor]:  # fmt: skip
        """`loss` and its terms for real clips `b c (s + m)`: a full context, then what the rollout is held against.

        `partners` are the prompts of the contrastive term, None for a row without one; `lengths_frames` are those of
        the rolled blocks.
        """
        if self._is_cold(step):
            latents = latents[..., -sum(lengths_frames) :]
        told = conditioning_of(self.student, prompts, seconds=self.seconds, device=latents.device)
        recording = self._rolled(latents, told, lengths_frames, step)
        gradient, terms = self._judged(recording, latents, prompts, partners, step)
        denoised = replayed(
            self.student.dit, recording, told, spec=self.spec, checkpointed=self.config.checkpointed
        )
        share = 0.0 if step < self.config.judge_first_steps else 1.0
        surrogate = share * (gradient * denoised).sum()
        judgement = terms["judge"] + self.config.contrastive * terms["contrastive"]
        return {"loss": surrogate + judgement, **{name: term.detach() for name, term in terms.items()}}

    def _is_cold(self, step: int) -> bool:
        draw = torch.rand((), generator=torch_draws(self.config.seed, step, "cold"))
        return bool(draw < self.config.cold)

    def _rolled(
        self, latents: Tensor, told: Conditioning, lengths_frames: tuple[int, ...], step: int
    ) -> Recording:
        """The student's own continuation of the real context; every block leaves at a step of its own."""
        context, steps = latents[..., : latents.shape[-1] - sum(lengths_frames)], self.config.sampling.steps
        generator = torch_draws(self.config.seed, step, "exits")
        exits = torch.randint(1, steps + 1, (len(lengths_frames),), generator=generator).tolist()
        seeds = torch.randint(0, 2**62, (len(latents),), generator=generator).tolist()
        return recorded_rollout(
            self.student.dit, context if context.shape[-1] else None, told, spec=self.spec,
            sampling=self.config.sampling, lengths_frames=lengths_frames, exit_steps=exits, seeds=seeds,
        )  # fmt: skip

    def _judged(
        self, recording: Recording, real: Tensor, prompts: Sequence[str], partners: Sequence[str | None], step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """How the rolled latents should change, `b c m`, and the terms of both players."""
        first = recording.context_frames
        rolled = recording.clean[..., first:].float().requires_grad_(True)
        made = torch.cat([recording.clean[..., :first], rolled], dim=-1)
        scores = self._scores(made, real, prompts, partners, first_frame=first, step=step)
        made_scores, real_scores, other_scores = scores.float().chunk(3)
        student = softplus(real_scores - made_scores).mean()
        (gradient,) = torch.autograd.grad(student, rolled, retain_graph=True)
        has_partner = torch.tensor([partner is not None for partner in partners], device=real.device)[:, None]
        contrast = torch.where(has_partner, softplus(other_scores - real_scores), 0.0)
        terms = {
            "student": student, "judge": softplus(made_scores - real_scores).mean(),
            "contrastive": contrast.sum() / (has_partner.sum().clamp(min=1) * contrast.shape[1]),
            "margin": (real_scores - made_scores).mean(),
        }  # fmt: skip
        return gradient.detach(), terms

    def _scores(
        self, made: Tensor, real: Tensor, prompts: Sequence[str], partners: Sequence[str | None], *, first_frame: int,
        step: int,
    ) -> Tensor:  # fmt: skip
        """Scores of [made | real | real under its partner's prompt], `3b f`, under one noise at one level per row."""
        seed, device = self.config.seed, real.device
        log_snr = torch.rand(len(real), generator=torch_draws(seed, step, "judge levels"))
        log_snr = LOG_SNR_FIRST + (LOG_SNR_LAST - LOG_SNR_FIRST) * log_snr
        t = torch.sigmoid(-log_snr).to(device)
        eps = normal(real.shape, seed=seed, step=step, purpose="judge noise", device=device)
        others = [prompt if partner is None else partner for prompt, partner in zip(prompts, partners, strict=True)]
        seconds = real.shape[-1] / self.frame_rate_hz
        told = conditioning_of(self.judge.network, [*prompts, *prompts, *others], seconds=seconds, device=device)
        x_t = torch.cat([noised(clip, t, eps).x_t for clip in (made, real, real)])
        return self.judge(x_t, t.repeat(3), told, first_frame=first_frame)


def partner_prompts(prompts: Sequence[str], earlier: Sequence[str] = ()) -> list[str | None]:
    """For each row a prompt that is not its own: of another row, else of the `earlier` ones, else None."""
    found: list[str | None] = []
    for row, prompt in enumerate(prompts):
        candidates = (*prompts[row + 1 :], *prompts[:row], *earlier)
        found.append(next((other for other in candidates if other != prompt), None))
    return found
