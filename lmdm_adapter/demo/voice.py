"""What the page asks of whatever makes the music: a voice is heard chunk by chunk, turned, and closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import require_choice

Mode = Literal["play", "sketch", "jam", "delay", "echo"]
MOST_RATE_HZ = 192_000
LEAST_LEAD_SECONDS, MOST_LEAD_SECONDS = 0.01, 10.0


@dataclass(frozen=True)
class Report:
    """What one chunk cost, for the instrument panel; `notice` is a sentence for the listener, if there is one."""

    index: int
    compute_seconds: float
    audio_seconds: float
    memory_bytes: int | None = None
    notice: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return asdict(self)


class Heard(NamedTuple):
    """What a session heard: `samples`, `s ch` float32 at its own rate, from `first_sample` of the session on."""

    first_sample: int
    samples: np.ndarray


@dataclass(frozen=True)
class Chunk:
    """The next samples, `s ch` float32, and what they cost. There may be none yet: a decoder holds some back.

    `turns` is how many calls of `set` were in force when it was made, of a voice that can tell. `records` are what a
    session wrote into its log since the last chunk, and `heard` is what it heard since then of a microphone.
    """

    samples: np.ndarray
    report: Report
    turns: int | None = None
    records: tuple[Mapping[str, Any], ...] = ()
    heard: Heard | None = None


class Voice(Protocol):
    """Makes music for one listener. `set` and `hear` may be called from any thread, the rest from one."""

    sample_rate: int
    channels: int
    block_seconds: float

    def next_chunk(self) -> Chunk:
        """The samples that follow; takes as long as making them takes. Raises LmdmError when it cannot go on."""
        ...

    def set(self, name: str, value: Any) -> None:
        """Turn a parameter; it counts from the next chunk on. Raises LmdmError for names and values that do not fit."""
        ...

    def hear(self, samples: np.ndarray, *, first_sample: int) -> None:
        """The next live input, `s ch` at the source's own rate, numbered from its start."""
        ...

    def close(self) -> None:
        """Give back what it holds; nothing is called after this."""
        ...


@runtime_checkable
class Known(Protocol):
    """A voice that can be made again: its chunks tell their `turns`, and it tells what it plays with."""

    origin: Mapping[str, Any]
    """The model's name and digest, where it computes and how; as JSON."""


@dataclass(frozen=True)
class SessionOrigin:
    """What a session began with: the first line of its log, and the file that was its input, if it was one.

    `hears` says that its input is a microphone, whose sound comes with the chunks. `replays` says that these and the
    records of all chunks are enough to play it again.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    sound: Path | None = None
    hears: bool = False
    replays: bool = False


@runtime_checkable
class Logged(Protocol):
    """A voice that is a session, and gives its log away with its chunks."""

    session: SessionOrigin


def session_of(voice: Voice) -> SessionOrigin | None:
    """What the session began with that a voice is, or None for one that is none."""
    return voice.session if isinstance(voice, Logged) else None


def origin_of(voice: Voice) -> Mapping[str, Any]:
    """What a voice plays with, or nothing where it does not tell."""
    return voice.origin if isinstance(voice, Known) else {}


@dataclass(frozen=True)
class Wish:
    """What a visitor wants to hear: a mode, parameters to begin with, how far ahead it is made, and the live input.

    `source` is the live input's rate in Hz and its channels, or None. Raises LmdmError for values that are none.
    """

    mode: Mode = "play"
    values: Mapping[str, Any] = field(default_factory=dict)
    lead_seconds: float = 0.5
    source: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        require_choice("mode", self.mode, Mode)
        if isinstance(self.lead_seconds, bool) or not isinstance(self.lead_seconds, (int, float)):
            raise LmdmError(f"lead_seconds must be a number, got {self.lead_seconds!r}.")
        if not LEAST_LEAD_SECONDS <= self.lead_seconds <= MOST_LEAD_SECONDS:
            raise LmdmError(
                f"lead_seconds must lie between {LEAST_LEAD_SECONDS:g} and {MOST_LEAD_SECONDS:g}, got "
                f"{self.lead_seconds!r}."
            )
        if self.source is not None and not (1 <= self.source[0] <= MOST_RATE_HZ and 1 <= self.source[1] <= 2):
            raise LmdmError(f"A live input has 1 to {MOST_RATE_HZ} Hz and one or two channels, got {self.source}.")


MakeVoice = Callable[[Wish], Voice]
