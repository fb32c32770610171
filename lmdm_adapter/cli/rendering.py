"""Music into a file, piece by piece, with every block timed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress, TaskID

from lmdm_adapter.audio import Audio
from lmdm_adapter.cli.models import open_model
from lmdm_adapter.cli.report import BlockTiming, StreamReport
from lmdm_adapter.cli.screen import block_progress
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.memory import rss_bytes
from lmdm_adapter.io.atomic import require_apart, require_writable
from lmdm_adapter.io.files import AudioWriter, require_audio_target, write_json
from lmdm_adapter.resampling import fitted, fitting_line
from lmdm_adapter.sound_file import read_audio
from lmdm_adapter.spec import Regime, Sampling

if TYPE_CHECKING:
    from lmdm_adapter.live import LiveModel

LONGEST_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True)
class Request:
    """What `lmdm stream` was asked for; None leaves a setting to the model.

    Raises LmdmError for an impossible length, an output that cannot be written, two outputs with one name, or
    one that is the prime.
    """

    prompt: str
    model: str
    seconds: float
    out: Path
    prime: Path | None
    seed: int
    steps: int | None
    guidance: float | None
    sampler: str | None
    json: Path | None
    device: str
    dtype: str
    threads: int | None
    look_ahead_frames: int | None = None
    regime: Regime | None = None

    def __post_init__(self) -> None:
        require_seconds(self.seconds)
        target = require_audio_target(self.out)
        if self.json is not None and require_writable(self.json) == target:
            raise LmdmError(f"--out and --json both name {self.out}; give the report another name.")
        require_apart((self.out, self.json), (self.prime,))


def require_seconds(seconds: float) -> None:
    """Refuse a length that is not a number, not positive, or beyond 24 hours."""
    if not math.isfinite(seconds) or seconds <= 0:
        raise LmdmError(f"--seconds must be a positive number, got {seconds:g}.")
    if seconds > LONGEST_SECONDS:
        raise LmdmError(f"--seconds may be at most {LONGEST_SECONDS:.0f} (24 hours), got {seconds:g}.")


def render(request: Request, *, notice: Callable[[str], None] = lambda line: None) -> StreamReport:
    """Load, play, write, report. Raises LmdmError for whatever the user can mend, and leaves no file behind then.

    `notice` gets a line about quality where the model was not made for the regime, and one where `prime` had to be
    resampled or mixed.
    """
    prime = None if request.prime is None else read_audio(request.prime)
    began = time.perf_counter()
    live = open_model(request.model, device=request.device, dtype=request.dtype, threads=request.threads,
                      regime=request.regime)  # fmt: skip
    load_seconds = time.perf_counter() - began
    if request.regime is not None and not live.trained:
        notice(f"{request.model} was not trained for the regime {request.regime}; expect rougher music.")
    if prime is not None:
        prime = _fitted(prime, live, notice)
    sampling = sampling_of(
        live.sampling, steps=request.steps, guidance=request.guidance, sampler=request.sampler
    )  # fmt: skip
    pieces = live.stream(
        request.prompt, request.seconds, seed=request.seed, prime=prime, sampling=sampling,
        look_ahead_frames=request.look_ahead_frames,
    )  # fmt: skip
    blocks, samples = _write(pieces, request, live)
    report = StreamReport(
        settings=_settings(live, request, sampling), sample_rate=live.codec.sample_rate, samples=samples,
        load_seconds=load_seconds, first_audio_seconds=_first_audio_seconds(blocks), blocks=tuple(blocks),
    )  # fmt: skip
    if request.json is not None:
        write_json(request.json, report.to_json())
    return report


def _fitted(prime: Audio, live: LiveModel, notice: Callable[[str], None]) -> Audio:
    """The prefix at the model's rate and channels; `notice` gets a line where it had others."""
    wanted = {"sample_rate": live.codec.sample_rate, "channels": live.codec.channels}
    fitting = fitted(prime, **wanted)
    if fitting is not prime:
        notice(fitting_line(prime, **wanted))
    return fitting


def _write(pieces: Iterable[Audio], request: Request, live: LiveModel) -> tuple[list[BlockTiming], int]:
    codec = live.codec
    expected_samples = max(1, round(request.seconds * codec.sample_rate))
    writer = AudioWriter(request.out, codec.sample_rate, codec.channels, expected_samples=expected_samples)
    blocks: list[BlockTiming] = []
    with block_progress() as progress, writer:
        bar = progress.add_task(request.prompt or request.model, total=request.seconds, block_ms=0.0, factor=0.0)
        for audio, timing in timed(pieces):
            writer.write(audio)
            blocks.append(timing)
            _show(progress, bar, timing)
    return blocks, writer.samples_written


def timed(pieces: Iterable[Audio]) -> Iterator[tuple[Audio, BlockTiming]]:
    """Each piece with the time it took to make; what the caller does in between is not counted."""
    iterator = iter(pieces)
    index = 0
    while True:
        began = time.perf_counter()
        audio = next(iterator, None)
        if audio is None:
            return
        yield audio, BlockTiming(index, audio.seconds, time.perf_counter() - began, rss_bytes())
        index += 1


def _show(progress: Progress, bar: TaskID, timing: BlockTiming) -> None:
    progress.update(
        bar, advance=timing.audio_seconds_made, block_ms=1000.0 * timing.compute_seconds,
        factor=timing.real_time_factor or 0.0,
    )  # fmt: skip


def sampling_of(
    default: Sampling, *, steps: int | None = None, guidance: float | None = None, sampler: str | None = None,
    guided_controls: bool | None = None,
) -> Sampling:  # fmt: skip
    """`default` with what was asked for. Raises LmdmError for values that no sampling can have."""
    asked = {"steps": steps, "guidance": guidance, "sampler": sampler, "guided_controls": guided_controls}
    return replace(default, **{name: value for name, value in asked.items() if value is not None})


def _first_audio_seconds(blocks: list[BlockTiming]) -> float:
    waited = 0.0
    for block in blocks:
        waited += block.compute_seconds
        if block.audio_seconds_made > 0:
            break
    return waited


def _settings(live: LiveModel, request: Request, sampling: Sampling) -> dict[str, Any]:
    return {
        "model": request.model,
        "prompt": request.prompt,
        "prime": None if request.prime is None else str(request.prime),
        "out": str(request.out),
        "seed": request.seed,
        "sampling": sampling.to_json(),
        "spec": live.spec.to_json(),
        "look_ahead_frames": request.look_ahead_frames,
        "device": request.device,
        "dtype": request.dtype,
        "threads": _threads(),
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()
