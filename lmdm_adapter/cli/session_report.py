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
    """One block: its length and compute time, and what would have been left of the lead in real time."""

    index: int
    audio_seconds_made: float
    compute_seconds: float
    deadline_margin_seconds: float

    @staticmethod
    def of(record: Mapping[str, Any], *, sample_rate: int) -> BlockMade:
        """From a session's record of a block. A file waits while a block is made; a device would have gone on."""
        compute = record["compute_seconds"]
        return BlockMade(record["index"], record["samples"] / sample_rate, compute, record["margin_seconds"] - compute)


@dataclass(frozen=True)
class SessionReport:
    """A whole session. `latency_seconds` is from a sound to the music that answers it, `budget` its parts."""

    settings: Mapping[str, Any]
    sample_rate: int
    samples: int
    load_seconds: float
    latency_seconds: float
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
    def underruns(self) -> int:
        """Blocks that would have come too late on a device, but for the first ones, which playing waits for."""
        return sum(block.deadline_margin_seconds < 0.0 for block in self._awaited)

    def to_json(self) -> dict[str, Any]:
        """Settings, totals and blocks as one JSON object."""
        margins = [block.deadline_margin_seconds for block in self._awaited]
        return {
            **self.settings, "sample_rate": self.sample_rate, "samples": self.samples, "seconds": self.seconds,
            "load_seconds": self.load_seconds, "real_time_factor": self.real_time_factor,
            "latency_seconds": self.latency_seconds, "budget": self.budget.to_json(),
            "underruns": self.underruns, "holds": self.holds,
            "least_deadline_margin_seconds": min(margins, default=None),
            "median_deadline_margin_seconds": statistics.median(margins) if margins else None,
            "input_troubles": [dict(trouble) for trouble in self.input_troubles],
            "peak_rss_bytes": peak_rss_bytes(), "blocks": [vars(block) for block in self.blocks],
        }  # fmt: skip

    @property
    def _awaited(self) -> list[BlockMade]:
        """Blocks that came when playing had begun: those after the first lead."""
        lead = dict(self.settings).get("lead_seconds", 0.0)
        made, awaited = 0.0, []
        for block in self.blocks:
            if made >= lead:
                awaited.append(block)
            made += block.audio_seconds_made
        return awaited
