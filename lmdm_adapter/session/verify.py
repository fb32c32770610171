"""Whether what was played is what was generated: every sample compared, every fade, loop and silence accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmdm_adapter.session.timeline import Timeline

LEAST_GAP_SECONDS = 0.001
JUMP_MARGIN = 1.05
"""How much larger than the music's own largest jump between two samples a jump may be, for rounding."""


@dataclass(frozen=True)
class Verdict:
    """What a check found. All but the counts of announced things must be 0 or None for a session without fault."""

    played_samples: int
    plain_samples: int
    holds: int
    different_samples: int
    first_different: int | None
    unannounced_gaps: int
    discontinuities: int
    first_discontinuity: int | None

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.different_samples or self.unannounced_gaps or self.discontinuities)

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return {**asdict(self), "passed": self.passed}


class Verifier:
    """Hears the generated samples, the log's records and the played samples, in the order in which they came to be.

    The mixer must be neutral. In plain stretches and in holds and fades alike, each played sample must be, to the bit,
    what the log says: a generated one, or the announced mix of two. Apart from that, and from the played samples alone,
    it looks for gaps (silence of a millisecond where there should be none) and for jumps that the music does not make.
    """

    def __init__(self, *, channels: int, sample_rate: int, kept_samples: int, fade_samples: int) -> None:
        self._timeline = Timeline(channels=channels, kept_samples=kept_samples)
        self._gap_samples = max(1, round(LEAST_GAP_SECONDS * sample_rate))
        self._counts = dict.fromkeys(("played", "plain", "holds", "different", "gaps", "jumps"), 0)
        self._firsts: dict[str, int | None] = {"different": None, "jumps": None}
        self._last_generated = self._last_played = np.zeros((1, channels), np.float32)
        self._largest_jump, self._peak = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        # Of two sounds at their peaks, a raised cosine makes no larger step than this share of the peak.
        self._fade_jump = np.float32(np.pi / fade_samples)
        self._silent = 0

    def generated(self, samples: np.ndarray) -> None:
        """The next generated samples, `s ch`."""
        if len(samples):
            jumps = np.abs(np.diff(np.concatenate([self._last_generated, samples]), axis=0))
            self._largest_jump = np.maximum(self._largest_jump, jumps.max(axis=0))
            self._peak = np.maximum(self._peak, np.abs(samples).max(axis=0))
            self._last_generated = samples[-1:].copy()
            self._timeline.generated(samples)

    def note(self, record: Mapping[str, Any]) -> None:
        """The next record of the log; before the samples that it tells about."""
        self._counts["holds"] += record["kind"] == "hold"
        self._timeline.note(record)

    def played(self, samples: np.ndarray) -> None:
        """The next played samples, `s ch`."""
        plain = self._timeline.calm and self._timeline.next_change() is None
        expected = self._timeline.rendered(len(samples))
        missing = len(samples) - len(expected)
        expected = np.concatenate([expected, np.full((missing, samples.shape[1]), np.nan, np.float32)])
        self._compare(samples, expected)
        self._find_gaps(samples, expected)
        self._find_jumps(samples)
        self._counts["plain"] += len(samples) if plain else 0
        self._counts["played"] += len(samples)

    @property
    def verdict(self) -> Verdict:
        """What was found so far."""
        counts, firsts = self._counts, self._firsts
        return Verdict(counts["played"], counts["plain"], counts["holds"], counts["different"], firsts["different"],
                       counts["gaps"], counts["jumps"], firsts["jumps"])  # fmt: skip

    def _compare(self, samples: np.ndarray, expected: np.ndarray) -> None:
        # Bits, not values: -0.0 is not 0.0 here, and NaN equals nothing that a session may play.
        wrong = (samples.view(np.uint32) != expected.view(np.uint32)).any(axis=1)
        self._count("different", wrong)

    def _find_gaps(self, samples: np.ndarray, expected: np.ndarray) -> None:
        """Runs of silence that are long enough and are not what should be there."""
        silent = ~samples.any(axis=1) & expected.any(axis=1)
        for run in np.split(silent, np.flatnonzero(np.diff(silent)) + 1) if silent.any() else ():
            before, self._silent = self._silent, self._silent + len(run) if run[0] else 0
            self._counts["gaps"] += before < self._gap_samples <= self._silent
        if not silent.any():
            self._silent = 0

    def _find_jumps(self, samples: np.ndarray) -> None:
        jumps = np.abs(np.diff(np.concatenate([self._last_played, samples]), axis=0))
        self._last_played = samples[-1:].copy()
        limit = self._largest_jump * JUMP_MARGIN + self._peak * self._fade_jump
        self._count("jumps", (jumps > limit).any(axis=1))

    def _count(self, what: str, wrong: np.ndarray) -> None:
        count = int(np.count_nonzero(wrong))
        if count and self._firsts[what] is None:
            self._firsts[what] = self._counts["played"] + int(np.argmax(wrong))
        self._counts[what] += count
