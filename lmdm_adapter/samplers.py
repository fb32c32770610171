"""Noise schedules, samplers and the noise itself, as pure functions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import Objective, Sampling

Velocity = Callable[[Tensor, float], Tensor]
"""Noisy latents `b c n` and their level to velocities `(g b) c n`: one branch, or guidance's [conditional, null]."""
LOG_SNR_FIRST, LOG_SNR_LAST = -6.0, 2.0


class Estimate(NamedTuple):
    """What a velocity says about a noisy latent: the clean data and the noise it was mixed from."""

    denoised: Tensor
    noise: Tensor


class Sampled(NamedTuple):
    """A clean block `b c n`, and what its last denoise step was given: noisy latents `b c n` and their level."""

    denoised: Tensor
    x_t: Tensor
    t: float


def alpha_sigma(t: float, objective: Objective) -> tuple[float, float]:
    """Weights of data and noise at level `t` (1 = noise): straight line for flows, quarter circle for `v`."""
    if objective == "v":
        return math.cos(math.pi * t / 2), math.sin(math.pi * t / 2)
    return 1.0 - t, t


def estimate(x_t: Tensor, velocity: Tensor, t: float, objective: Objective) -> Estimate:
    """Split `x_t` into data and noise: `x - t v` for flows, `alpha x - sigma v` for the v objective."""
    alpha, sigma = alpha_sigma(t, objective)
    if objective == "v":
        return Estimate(alpha * x_t - sigma * velocity, sigma * x_t + alpha * velocity)
    return Estimate(x_t - t * velocity, x_t + (1.0 - t) * velocity)


def noise_levels(steps: int, objective: Objective) -> list[float]:
    """`steps + 1` levels from 1 to 0, uniform in log-SNR from -6 to 2 in between (arXiv 2605.22717, sampling)."""
    span = LOG_SNR_LAST - LOG_SNR_FIRST
    log_snrs = [LOG_SNR_FIRST + span * i / steps for i in range(steps + 1)]
    levels = [_level(log_snr, objective) for log_snr in log_snrs]
    return [1.0, *levels[1:-1], 0.0]


def _level(log_snr: float, objective: Objective) -> float:
    """The `t` at which log(alpha / sigma) equals `log_snr`."""
    if objective == "v":
        return 2.0 / math.pi * math.atan(math.exp(-log_snr))
    return 1.0 / (1.0 + math.exp(log_snr))


def sample(
    velocity: Velocity, x: Tensor, *, sampling: Sampling, objective: Objective, fresh_noise: Callable[[int], Tensor]
) -> Tensor:
    """Denoise pure noise `x` (`b c n`) into a clean block.

    Euler follows the estimated noise; ping-pong throws it away and mixes in `fresh_noise(step)` instead
    (ARC post-training, few steps). Ping-Pong++ takes away the null branch's music rather than the guided one, so that
    a new prompt is followed sooner (arXiv 2605.22717). All end on the last denoised estimate.
    Raises LmdmError for Ping-Pong++ with the v objective, for which it is not defined.
    """
    return sampled(velocity, x, sampling=sampling, objective=objective, fresh_noise=fresh_noise).denoised


def sampled(
    velocity: Velocity, x: Tensor, *, sampling: Sampling, objective: Objective, fresh_noise: Callable[[int], Tensor],
    exit_step: int | None = None,
) -> Sampled:  # fmt: skip
    """`sample` with its last step's input; `exit_step` (from 1) stops there and takes its estimate as the block.

    Post-training leaves early at a random step, so that every level learns to end a block (arXiv 2605.22717,
    ARC-Forcing).
    """
    last = sampling.steps if exit_step is None else exit_step
    if not 1 <= last <= sampling.steps:
        raise LmdmError(f"A block of {sampling.steps} denoise steps has no step {last} to be left at.")
    if sampling.sampler == "pingpong++" and objective == "v":
        raise LmdmError("The sampler pingpong++ is for rectified flows: play this one with euler or pingpong.")
    levels = noise_levels(sampling.steps, objective)
    for step, (t, t_next) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        branches = velocity(x, t)
        guess = estimate(x, combined(branches, sampling.guidance), t, objective)
        if step == last - 1:
            return Sampled(guess.denoised, x, t)
        alpha, sigma = alpha_sigma(t_next, objective)
        if sampling.sampler == "pingpong++":
            null = estimate(x, branches.chunk(2)[1] if sampling.guidance != 1.0 else branches, t, objective)
            x = guess.denoised + t_next * (fresh_noise(step + 1) - null.denoised)
        else:
            x = alpha * guess.denoised + sigma * (guess.noise if sampling.sampler == "euler" else fresh_noise(step + 1))
    raise AssertionError("Sampling guarantees at least one step")


def combined(branches: Tensor, guidance: float) -> Tensor:
    """The guided velocity `b c n` of all branches `(g b) c n`: guidance 1 has one branch, any other has two."""
    return branches if guidance == 1.0 else guided(*branches.chunk(2), guidance)


def guided(conditional: Tensor, null: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance: `null + guidance (conditional - null)`."""
    return null + guidance * (conditional - null)


def noise(seed: int, block_index: int, step: int, purpose: str, *, shape: tuple[int, ...]) -> Tensor:
    """Unit normal noise as a pure function of its arguments, drawn on the CPU in fp32.

    No generator travels with a stream, so forks, replays and rows of a batch agree bit for bit.
    """
    label = f"{seed}/{block_index}/{step}/{purpose}".encode()
    digest = hashlib.blake2b(label, digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    return torch.randn(shape, generator=generator)
