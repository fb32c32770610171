"""A model played for minutes: memory, speed, NaN, and what streaming decode costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter import codec_stream
from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_residual import border_residual_db
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.checks import Check
from lmdm_adapter.evaluation.memory import MIB, Slope, memory_slope, rss_bytes
from lmdm_adapter.live import LiveModel

Progress = Callable[[float, float], None]

LARGEST_SLOPE_MIB = 1.0
LARGEST_EXACT_DIFFERENCE = 1e-5
LARGEST_BORDER_DB = -50.0
EXCERPT_SECONDS = 20.0
LONGEST_MINUTES = 24 * 60.0


@dataclass(frozen=True)
class SoakPlan:
    """`minutes` of music from one prompt; the first `warm_up_share` of the blocks does not count for memory.

    Raises LmdmError for a length that is not positive or beyond 24 hours.
    """

    minutes: float = 10.0
    prompt: str = "124 BPM house in A minor"
    seed: int = 0
    warm_up_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 < self.minutes <= LONGEST_MINUTES:
            raise LmdmError(f"Give a positive number of minutes, at most {LONGEST_MINUTES:g}, got {self.minutes:g}.")
        if not 0.0 <= self.warm_up_share < 1.0:
            raise LmdmError(f"The warm-up must be a share from 0 to below 1, got {self.warm_up_share:g}.")


@dataclass(frozen=True)
class BorderResidual:
    """Low-latency decoding against exact decoding: the look-ahead and the largest residual in dB of peak."""

    look_ahead_frames: int
    residual_db: float


@dataclass(frozen=True)
class SoakReport:
    """What was measured; real-time factors are compute time by audio time, per block."""

    plan: SoakPlan
    blocks: int
    seconds: float
    threads: int
    factor: float
    factor_median: float
    factor_p95: float
    rss_first_mib: float | None
    rss_last_mib: float | None
    rss_slope: Slope | None
    nan_samples: int
    peak: float
    exact_difference: float
    border: BorderResidual | None

    @property
    def checks(self) -> list[Check]:
        """The targets; a figure that could not be measured has none."""
        checks = [
            Check("real-time factor, whole run", self.factor, 1.0),
            Check("real-time factor, 95th percentile of blocks", self.factor_p95, 1.0),
            Check("NaN or infinite samples", float(self.nan_samples), 0.0),
            Check("exact mode minus one-shot decode", self.exact_difference, LARGEST_EXACT_DIFFERENCE),
        ]
        if self.rss_slope is not None:
            slope = self.rss_slope
            # A slow leak must not hide in a wide interval, so its upper end has to keep the limit.
            checks.append(Check("memory growth, MiB per minute", slope.high, LARGEST_SLOPE_MIB, slope.low, slope.high))
        if self.border is not None:
            checks.append(Check("low-latency borders, dB of peak", self.border.residual_db, LARGEST_BORDER_DB))
        return checks

    @property
    def passed(self) -> bool:
        """Whether all targets are met."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, object]:
        """All figures and checks as one JSON object; figures that are not finite become None."""
        checks = [check.to_json() for check in self.checks]
        return _finite({**asdict(self), "checks": checks, "passed": self.passed})


@dataclass(frozen=True, eq=False)
class _Block:
    """One block as played; latents `1 c n`."""

    audio: Audio
    latents: Tensor
    compute_seconds: float
    rss_bytes: int | None


def soak(live: LiveModel, plan: SoakPlan, *, progress: Progress = lambda seconds, factor: None) -> SoakReport:
    """Play `plan.minutes` of music and measure; only an excerpt of 20 s is kept.

    `progress` hears the seconds of music made and the last block's real-time factor.
    """
    frame_seconds = 1.0 / live.codec.frame_rate_hz
    count = max(1, math.ceil(plan.minutes * 60.0 / (live.spec.block_frames * frame_seconds)))
    kept_blocks = max(2, math.ceil(EXCERPT_SECONDS / (live.spec.block_frames * frame_seconds)))
    figures = np.zeros((count, 2))
    kept: list[_Block] = []
    nan_samples, peak, made = 0, 0.0, 0.0
    for index, block in enumerate(_played(live, plan, count)):
        block_seconds = block.latents.shape[-1] * frame_seconds
        made += block_seconds
        figures[index] = block.compute_seconds / block_seconds, (block.rss_bytes or math.nan) / MIB
        finite = np.isfinite(block.audio.samples)
        nan_samples += int((~finite).sum())
        peak = max(peak, float(np.abs(block.audio.samples, where=finite, out=np.zeros(finite.shape)).max(initial=0.0)))
        if len(kept) < kept_blocks:
            kept.append(block)
        progress(made, figures[index, 0])
    return _report(live, plan, figures, made, kept, nan_samples=nan_samples, peak=peak)


def _played(live: LiveModel, plan: SoakPlan, count: int) -> Iterator[_Block]:
    state = live.start(plan.seed)
    for _ in range(count):
        began = time.perf_counter()
        audio, state = live.step(state, plan.prompt)
        seconds = time.perf_counter() - began
        yield _Block(audio, state.pending[-1].latents, seconds, rss_bytes())


def _report(
    live: LiveModel, plan: SoakPlan, figures: np.ndarray, made: float, kept: list[_Block], *, nan_samples: int,
    peak: float,
) -> SoakReport:  # fmt: skip
    factors, rss = figures[:, 0], figures[:, 1]
    first = int(len(rss) * plan.warm_up_share)
    known = bool(np.isfinite(rss).all())
    minutes = (np.arange(len(rss)) + 1.0) * (made / 60.0 / len(rss))
    return SoakReport(
        plan=plan, blocks=len(factors), seconds=made, threads=torch.get_num_threads(), factor=float(factors.mean()),
        factor_median=float(np.median(factors)), factor_p95=float(np.quantile(factors, 0.95)),
        rss_first_mib=float(rss[first]) if known else None, rss_last_mib=float(rss[-1]) if known else None,
        rss_slope=memory_slope(minutes[first:], rss[first:]) if known else None,
        nan_samples=nan_samples, peak=peak,
        exact_difference=exact_difference(live.codec, [block.latents for block in kept], [b.audio for b in kept]),
        border=_border(live, [block.latents for block in kept]),
    )  # fmt: skip


def exact_difference(codec: Codec, latents: list[Tensor], audio: list[Audio]) -> float:
    """Largest difference between streamed pieces and the one-shot decode of their latents (`1 c n` each).

    It is a share of full scale, which is 1, or the peak where that is larger.
    The one-shot decode ends where the excerpt ends, the stream went on; pieces lag by the hold-back, so what they hold
    is final and both can be compared sample by sample.
    """
    streamed = np.concatenate([piece.samples for piece in audio], axis=1)
    with torch.inference_mode():
        decoded = codec.decode(torch.cat(latents, dim=-1).to(codec.device, codec.dtype))[0].float().cpu().numpy()
    if not streamed.size:
        raise LmdmError("The excerpt is shorter than the codec's look-ahead; play for longer.")
    peak = max(1.0, float(np.abs(decoded).max()))
    return float(np.abs(streamed - decoded[:, : streamed.shape[1]]).max()) / peak


def _border(live: LiveModel, latents: list[Tensor]) -> BorderResidual | None:
    """The residual at the default look-ahead; None when there is no border to look at."""
    if len(latents) < 2:
        return None
    codec = live.codec
    look_ahead = codec_stream.low_latency_frames(codec)
    with torch.inference_mode():
        joined = torch.cat(latents, dim=-1).to(codec.device, codec.dtype)
        residual_db = border_residual_db(
            codec, joined, look_ahead_frames=look_ahead, block_frames=live.spec.block_frames
        )
    return BorderResidual(look_ahead, residual_db)


def _finite(value: object) -> object:
    """JSON knows no NaN and no infinity."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
