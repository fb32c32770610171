"""Samplers of k-diffusion, one block at a time.

They ask a model for clean data, given `x` (data plus `sigma` times noise) and `sigma`. Context enters through the
block's velocity, clean and never scaled. Every block gets a denoiser of its own and noise that is a pure function of
seed and block, so that streams stay pure. Only `named_sampler` needs the package k-diffusion.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lmdm_adapter import codec_stream, rollout
from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.rollout import Told
from lmdm_adapter.samplers import Velocity, alpha_sigma, estimate, noise
from lmdm_adapter.spec import BlockSpec, Objective, Sampling
from lmdm_adapter.state import StreamState

# Names that stable-audio-tools gives them. Its k-dpm-adaptive is left out: the error of the whole batch sets its step
# size, so a row of a batch would not be the same row alone.
SAMPLERS = {
    "k-heun": "sample_heun", "k-lms": "sample_lms", "k-dpm-2": "sample_dpm_2", "k-dpm-fast": "sample_dpm_fast",
    "k-dpmpp-2s-ancestral": "sample_dpmpp_2s_ancestral", "dpmpp-2m": "sample_dpmpp_2m",
    "dpmpp-2m-sde": "sample_dpmpp_2m_sde", "dpmpp-3m-sde": "sample_dpmpp_3m_sde",
}  # fmt: skip
KSampler = Callable[..., Tensor]


@dataclass(frozen=True)
class BlockDenoiser:
    """One block as k-diffusion sees a model: `(x, sigma)` to clean data, all `b c n`, with `sigma` of shape `b`.

    With `t` the level whose noise is `sigma` times its data, and `c` the weight of the data there, `c x` is what the
    network knows. For the v objective `t = 2/pi atan sigma`, `c = 1/sqrt(1 + sigma^2)` and the result is
    `c^2 x - sigma c v(c x, t)`; a flow has `t = sigma / (1 + sigma)` and `c = 1 - t`.
    """

    velocity: Velocity
    objective: Objective

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Clean data. Raises LmdmError unless all rows have one and the same `sigma`."""
        sigmas = set(sigma.flatten().tolist())
        if len(sigmas) != 1:
            raise LmdmError(f"All rows of a block are denoised together; got the sigmas {sorted(sigmas)}.")
        t = level_of(sigmas.pop(), self.objective)
        x_t = alpha_sigma(t, self.objective)[0] * x
        return estimate(x_t, self.velocity(x_t, t), t, self.objective).denoised


def level_of(sigma: float, objective: Objective) -> float:
    """The level `t` at which there is `sigma` times as much noise as data."""
    if objective == "v":
        return 2.0 / math.pi * math.atan(sigma)
    return sigma / (1.0 + sigma)


@dataclass(frozen=True)
class KSampling:
    """How one block is denoised by a function of `k_diffusion.sampling`, or one that is called like those.

    From `sigma_max` to `sigma_min` in `steps` points, polynomial of power `rho` in log sigma, then to 0; the defaults
    are those of Stable Audio Open 1.0. `guidance` 1 has no null branch. Raises LmdmError for numbers out of range.
    """

    sampler: KSampler
    steps: int = 100
    sigma_min: float = 0.3
    sigma_max: float = 500.0
    rho: float = 1.0
    guidance: float = 1.0

    def __post_init__(self) -> None:
        Sampling(steps=self.steps, guidance=self.guidance)  # refuses the same numbers
        if not 0.0 < self.sigma_min < self.sigma_max < math.inf:
            raise LmdmError(f"Sigmas need 0 < sigma_min < sigma_max, got {self.sigma_min} and {self.sigma_max}.")
        if not 0.0 < self.rho < math.inf:
            raise LmdmError(f"rho must be positive and finite, got {self.rho}.")

    def sigmas(self) -> Tensor:
        """`steps + 1` noise levels, falling to 0."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        ramp = torch.linspace(1, 0, self.steps) ** self.rho
        return torch.cat([torch.exp(low + ramp * (high - low)), torch.zeros(1)])


def named_sampler(name: str) -> KSampler:
    """The function of k-diffusion that stable-audio-tools calls `name`.

    Raises LmdmError for a name that is not in `SAMPLERS`, or when k-diffusion cannot be imported, with the cure.
    """
    if name not in SAMPLERS:
        raise LmdmError(f"Unknown k-diffusion sampler {name!r}; choose one of {', '.join(SAMPLERS)}.")
    try:
        from k_diffusion import sampling
    except ImportError as error:
        raise LmdmError(
            f"The sampler {name!r} needs k-diffusion ({error}); run pip install 'lmdm-adapter[k-diffusion]'."
        ) from None
    return getattr(sampling, SAMPLERS[name])


def k_sample(
    denoiser: Callable[[Tensor, Tensor], Tensor], start: Tensor, *, sampling: KSampling,
    fresh_noise: Callable[[int], Tensor],
) -> Tensor:  # fmt: skip
    """Denoise unit noise `start` (`b c n`) into a clean block.

    A sampler that takes a `noise_sampler` gets `fresh_noise(1)`, `fresh_noise(2)`, ...; what others draw for themselves
    (`s_churn`) comes from torch's global generator, which is put back as it was.
    """
    sigmas, draws = sampling.sigmas().to(start.device), itertools.count(1)
    offered = {
        "sigmas": sigmas, "sigma_min": sampling.sigma_min, "sigma_max": sampling.sigma_max, "n": sampling.steps,
        "noise_sampler": lambda sigma, sigma_next: fresh_noise(next(draws)), "disable": True,
    }  # fmt: skip
    known = inspect.signature(sampling.sampler).parameters
    taken = {name: value for name, value in offered.items() if name in known}
    with torch.random.fork_rng(devices=[start.device] if start.device.type == "cuda" else []):
        return sampling.sampler(denoiser, sigmas[0] * start, **taken)


def k_next_block(
    dit: DiT, state: StreamState, told: Told, *, spec: BlockSpec, sampling: KSampling, frames: int | None = None,
    controls: Tensor | None = None, draw: Callable[..., Tensor] = noise,
) -> tuple[Tensor, StreamState]:  # fmt: skip
    """What `rollout.next_block` does, by a sampler of k-diffusion: clean latents `b c n`, and the state after them."""
    frames = spec.block_frames if frames is None else frames
    velocity, state = rollout.block_velocity(
        dit, state, told, spec=spec, frames=frames, controls=controls, draw=draw
    )  # fmt: skip
    span = rollout.denoised_span(dit, state, frames, spec)
    shape = (dit.config.io_channels, span.frames)

    def rows(step: int) -> Tensor:
        drawn = [draw(seed, state.block_index, step, "k-diffusion", shape=shape) for seed in state.seeds]
        return torch.stack(drawn).to(dit.preprocess_conv.weight.device)

    denoiser = BlockDenoiser(velocity, dit.config.objective)
    latents = k_sample(denoiser, rows(0), sampling=sampling, fresh_noise=rows)[..., span.block].contiguous()
    return latents, rollout.played(state, latents, controls)


def k_step(
    live: LiveModel, state: StreamState, prompt: str | Controls, *, sampling: KSampling, frames: int | None = None
) -> tuple[Audio, StreamState]:
    """What `LiveModel.step` does, by a sampler of k-diffusion: the audio that is ready, and the state after it."""
    controls = Controls.of(prompt)
    with torch.inference_mode():
        conditioning = condition(live.network, controls, window_seconds=live.window_seconds, device=live.device)
        told = Told.of(live.engine, conditioning, guidance=sampling.guidance)
        latents, state = k_next_block(
            live.engine, state, told, spec=live.spec, sampling=sampling, frames=frames
        )  # fmt: skip
        audio, decoder = codec_stream.decode_step(live.codec, state.codec, latents.to(live.codec.dtype))
    return Audio(audio[0].float().cpu().numpy(), live.codec.sample_rate), replace(state, codec=decoder)
