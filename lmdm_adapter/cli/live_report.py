"""The report of a live session: what a soak is judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MIB = 1024.0 * 1024.0


@dataclass(frozen=True)
class LiveReport:
    """Figures of one session on devices. Memory is None where the system does not tell.

    `rss_growth` is a line through the memory after the first minute, in MiB per minute, with its 95 % interval; None
    for less than two minutes. `failure` is the sentence that the session ended by, or that ended its recording.
    """

    model: str
    device: str
    device_rate: int
    sample_rate: int
    played_seconds: float
    blocks: int
    holds: int
    held_seconds: float
    device_underflows: int
    device_overflows: int
    device_gaps: int
    gap_seconds: float
    governor_decisions: int
    turned: int
    refused: int
    figures: Mapping[str, float]
    budget: Mapping[str, Any]
    start_rss_mib: float | None
    end_rss_mib: float | None
    rss_growth: Mapping[str, float] | None
    failure: str | None = None

    def line(self) -> str:
        """One line for people."""
        factor = self.figures.get("real_time_factor_median", 0.0)
        gaps = f" It was gone {self.gap_seconds:.1f} s (gaps: {self.device_gaps})." if self.device_gaps else ""
        return (
            f"Played {self.played_seconds:.1f} s on {self.device}: real-time factor {factor:.2f}, "
            f"{self.holds} underruns ({self.held_seconds:.1f} s held), {self.device_underflows} of the device.{gaps}"
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return asdict(self)


def mib(count: int | None) -> float | None:
    """Bytes in MiB."""
    return None if count is None else count / MIB
