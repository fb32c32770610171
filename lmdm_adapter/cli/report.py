"""What a rendering measured, block by block."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lmdm_adapter.evaluation.memory import peak_rss_bytes


@dataclass(frozen=True)
class BlockTiming:
    """One block: audio it made and time it took, in seconds, and the memory of the process after it."""

    index: int
    audio_seconds_made: float
    compute_seconds: float
    rss_bytes: int | None

    @property
    def real_time_factor(self) -> float | None:
        """Compute time divided by audio time; None for a block whose audio is still held back."""
        return self.compute_seconds / self.audio_seconds_made if self.audio_seconds_made else None

    def to_json(self) -> dict[str, Any]:
        """Fields and factor as one JSON object."""
        return {**asdict(self), "real_time_factor": self.real_time_factor}


@dataclass(frozen=True)
class StreamReport:
    """A whole rendering. `settings` says what was played; see `to_json` for the figures."""

    settings: dict[str, Any]
    sample_rate: int
    samples: int
    load_seconds: float
    first_audio_seconds: float
    blocks: tuple[BlockTiming, ...]

    @property
    def seconds(self) -> float:
        """Audio made."""
        return self.samples / self.sample_rate

    @property
    def compute_seconds(self) -> float:
        """Time spent making it, without loading the model and writing the file."""
        return sum(block.compute_seconds for block in self.blocks)

    @property
    def real_time_factor(self) -> float:
        """Compute time divided by audio time: below 1 keeps up with playing."""
        return self.compute_seconds / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Settings, totals and blocks as one JSON object."""
        return {
            **self.settings,
            "sample_rate": self.sample_rate,
            "samples": self.samples,
            "seconds": self.seconds,
            "compute_seconds": self.compute_seconds,
            "real_time_factor": self.real_time_factor,
            "load_seconds": self.load_seconds,
            "first_audio_seconds": self.first_audio_seconds,
            "peak_rss_bytes": peak_rss_bytes(),
            "blocks": [block.to_json() for block in self.blocks],
        }
