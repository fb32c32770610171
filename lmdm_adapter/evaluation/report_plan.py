"""What a report is asked to measure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.embeddings import BUILT_IN
from lmdm_adapter.evaluation.tempo import LEAST_SECONDS
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import Sampling

LEAST_STREAMS, MOST_STREAMS = 16, 64
LEAST_WINDOWS = 2
LONGEST_MINUTES = 24 * 60.0


@dataclass(frozen=True)
class ReportPlan:
    """How much is played and how it is cut.

    `streams` play together for `minutes`, each from the prompt of another held-out song; measures are taken in windows
    of `window_seconds`. `reference_songs` are those of the default reference, `known_songs` show how often the
    estimators are right, `players` streams are kept to listen to. Raises LmdmError for fewer than 16 streams (too
    few to be sure of a slope), windows too short to hear a tempo, or music of fewer than two windows.
    """

    minutes: float = 10.0
    streams: int = 16
    window_seconds: float = 30.0
    seed: int = 0
    embedding: str = BUILT_IN
    draws: int = 400
    reference_songs: int = 128
    known_songs: int = 48
    players: int = 4

    def __post_init__(self) -> None:
        if not LEAST_STREAMS <= self.streams <= MOST_STREAMS:
            raise LmdmError(f"A report needs {LEAST_STREAMS} to {MOST_STREAMS} streams, got {self.streams}.")
        if not 0.0 < self.minutes <= LONGEST_MINUTES:
            raise LmdmError(f"Give a positive number of minutes, at most {LONGEST_MINUTES:g}, got {self.minutes:g}.")
        if not LEAST_SECONDS <= self.window_seconds <= 60.0 * LONGEST_MINUTES:
            raise LmdmError(f"Windows must last at least {LEAST_SECONDS:g} s, got {self.window_seconds:g}.")
        if self.windows < LEAST_WINDOWS:
            least = LEAST_WINDOWS * self.window_seconds / 60.0
            raise LmdmError(
                f"{self.minutes:g} minutes hold {self.windows} windows of {self.window_seconds:g} s; a slope needs "
                f"at least {LEAST_WINDOWS}: play {least:g} minutes or more."
            )
        if self.seed < 0 or self.draws < 2 or self.players < 0 or self.known_songs < 2 or self.reference_songs < 2:
            raise LmdmError(f"Give a seed of 0 or more, 2 or more draws and songs, no negative players; got {self}.")

    @property
    def windows(self) -> int:
        """Whole windows in `minutes`."""
        return math.floor(self.minutes * 60.0 / self.window_seconds + 1e-9)

    def to_json(self) -> dict[str, object]:
        """All fields, and the windows."""
        return {**asdict(self), "windows": self.windows}


@dataclass(frozen=True, eq=False)
class Contender:
    """A model and how it plays; `guidances`, if any, are tried for one window each, and the best is taken."""

    name: str
    live: LiveModel = field(repr=False)
    sampling: Sampling
    guidances: tuple[float, ...] = ()
