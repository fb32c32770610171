"""What a session on a file measured: every block against its deadline, and the latency that it was played with."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmdm_adapter.evaluation.memory import peak_rss_bytes
from lmdm_adapter.session.budget import Budget


@dataclass(frozen=True)
class BlockMade:
    """One block: its length and compute time, and how long before its deadline it would have come on a device.

    The first blocks have no deadline: playing waits for the lead.
    """

    index: int
    audio_seconds_made: float
    compute_seconds: float
    deadline_margin_seconds: float | None


def against_deadlines(made: Sequence[tuple[float, float]], *, lead_seconds: float) -> tuple[BlockMade, ...]:
    """Blocks as (audio seconds, compute seconds), as they would have come in real time, one after the other.

    Playing begins when the lead is there, a block is wanted when less than the lead is left, and its deadline is the
    end of what was made before it. After a block that came too late everything is later by that much.
    """
    blocks, now, audio, begun = [], 0.0, 0.0, None
    for index, (seconds, compute) in enumerate(made):
        if begun is not None:
            now = max(now, begun + audio - lead_seconds)
        now += compute
        margin = None if begun is None else begun + audio - now
        blocks.append(BlockMade(index, seconds, compute, margin))
        if margin is not None and margin < 0.0:
            begun -= margin
        audio += seconds
        if begun is None and audio >= lead_seconds:
            begun = now
    return tuple(blocks)


ANSWER = "from a sound to the music that answers it"
KNOB = "from turning a knob to hearing it"
"""What a latency spans; on a sketch that is known ahead the music lies frame by frame, and only knobs are late."""


@dataclass(frozen=True)
class SessionReport:
    """A whole session. `latency_of` says what `latency_seconds` spans, `budget` has its parts.

    A file has that latency however slow the machine is; a device has it only without `underruns`.
    """

    settings: Mapping[str, Any]
    sample_rate: int
    samples: int
    load_seconds: float
    latency_seconds: float
    latency_of: str
    budget: Budget
    blocks: Sequence[BlockMade]
    holds: int
    input_troubles: Sequence[Mapping[str, Any]] = ()

    @property
    def seconds(self) -> float:
        """Audio played."""
        return self.samples / self.sample_rate

    @property
    def real_time_factor(self) -> float:
        """Compute time divided by the time of the music that was made."""
        made = sum(block.audio_seconds_made for block in self.blocks)
        return sum(block.compute_seconds for block in self.blocks) / max(made, 1.0 / self.sample_rate)

    @property
    def margins_seconds(self) -> list[float]:
        """How long before their deadlines blocks came that had one."""
        return [block.deadline_margin_seconds for block in self.blocks if block.deadline_margin_seconds is not None]

    @property
    def underruns(self) -> int:
        """How many blocks would have come too late on a device."""
        return sum(margin < 0.0 for margin in self.margins_seconds)

    def told(self, written: str, promise: str) -> str:
        """For people: what was `written`, and the `promise` of a latency and its parts, if this machine keeps it."""
        factor = f"real-time factor {self.real_time_factor:.2f}"
        if self.underruns:
            return (
                f"{written}, {factor}\n{self.underruns} of {len(self.blocks)} blocks would have come too late on this "
                "machine: use fewer --steps or a longer --lead-seconds."
            )
        return f"{written}, {promise}, {factor}\n{self.budget}"

    def to_json(self) -> dict[str, Any]:
        """Settings, totals and blocks as one JSON object; `underruns` are blocks that would have come too late."""
        margins = self.margins_seconds
        return {
            **self.settings, "sample_rate": self.sample_rate, "samples": self.samples, "seconds": self.seconds,
            "load_seconds": self.load_seconds, "real_time_factor": self.real_time_factor,
            "latency_seconds": self.latency_seconds, "latency_of": self.latency_of, "budget": self.budget.to_json(),
            "underruns": self.underruns, "holds": self.holds,
            "least_deadline_margin_seconds": min(margins, default=None),
            "median_deadline_margin_seconds": statistics.median(margins) if margins else None,
            "input_troubles": [dict(trouble) for trouble in self.input_troubles],
            "peak_rss_bytes": peak_rss_bytes(), "blocks": [vars(block) for block in self.blocks],
        }  # fmt: skip
