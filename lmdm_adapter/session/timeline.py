"""What was played, worked out from the generated samples and the log alone: an account apart from the player's code."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.performer import raised_cosine
from lmdm_adapter.session.ring import Past

KINDS = ("wait", "hold", "resume", "fade_out", "silence")


class Timeline:
    """Give it the `generated` samples and `note` the log's records as they come; `rendered` is what must be played.

    `kept_samples` of generated audio are remembered, for loops. `inside` says whether the last samples rendered lie
    in a hold or fade. Raises LmdmError for a log that does not fit the music.
    """

    def __init__(self, *, channels: int, kept_samples: int) -> None:
        self.sample = self.music_sample = 0
        self.doing: Literal["silence", "music", "loop"] = "silence"
        self._channels = channels
        self._kept = Past(channels, kept_samples)
        self._notes: deque[Mapping[str, Any]] = deque()
        self._loop: Mapping[str, Any] = {}
        self._fade_start: int | None = None
        self._fade = raised_cosine(1)

    def generated(self, samples: np.ndarray) -> None:
        """The next generated samples, `s ch`."""
        self._kept.write(samples)

    def note(self, record: Mapping[str, Any]) -> None:
        """The next record of the log; those that do not concern what is played are passed over."""
        if record["kind"] in KINDS:
            self._notes.append(record)

    def rendered(self, most_samples: int) -> np.ndarray:
        """The next samples that must be played, `s ch`: at most so many, fewer where the music is not there yet."""
        parts, left = [np.zeros((0, self._channels), np.float32)], most_samples
        while left > 0 and len(part := self._next(left)):
            parts.append(part)
            left -= len(part)
        return np.concatenate(parts)

    @property
    def calm(self) -> bool:
        """Whether the music plays as it was generated."""
        return self.doing == "music" and self._fade_start is None

    def next_change(self) -> int | None:
        """The sample of the next record that concerns what is played, if it is known."""
        return _start(self._notes[0]) if self._notes else None

    def _next(self, most: int) -> np.ndarray:
        while self._notes and _start(self._notes[0]) <= self.sample:
            self._change(self._notes.popleft())
        if self._notes:
            most = min(most, _start(self._notes[0]) - self.sample)
        samples = self._faded({"silence": self._silence, "music": self._music, "loop": self._looped}[self.doing](most))
        self.sample += len(samples)
        return samples

    def _change(self, record: Mapping[str, Any]) -> None:
        kind = record["kind"]
        if kind == "hold":
            if record["at"] != self.music_sample:
                raise LmdmError(f"The log holds at sample {record['at']} of the music; it is at {self.music_sample}.")
            self._loop = record
        elif kind == "fade_out":
            self._fade_start, self._fade = self.sample, raised_cosine(record["fade"])
        self.doing = {"wait": "music", "hold": "loop", "resume": "music", "silence": "silence"}.get(kind, self.doing)

    def _silence(self, most: int) -> np.ndarray:
        return np.zeros((most, self._channels), np.float32)

    def _music(self, most: int) -> np.ndarray:
        samples = self._generated(self.music_sample, min(most, self._kept.samples_written - self.music_sample))
        self.music_sample += len(samples)
        return samples

    def _looped(self, most: int) -> np.ndarray:
        """A loop of what was played last, into which what comes next fades out at each of its beginnings."""
        length, fade, at = self._loop["loop"], self._loop["fade"], self._loop["at"]
        place = (self.sample - self._loop["start"]) % length
        count = min(most, (fade if place < fade else length) - place)
        past = self._generated(at - length + place, count)
        if place >= fade:
            return past
        coming = self._generated(at + place, count)
        return coming + (past - coming) * raised_cosine(fade)[place : place + count]

    def _faded(self, samples: np.ndarray) -> np.ndarray:
        if self._fade_start is None or not len(samples):
            return samples
        place = self.sample - self._fade_start
        gains = np.concatenate(
            [self._fade[::-1][place : place + len(samples)], np.zeros((len(samples), 1), np.float32)]
        )
        return samples * gains[: len(samples)]

    def _generated(self, first: int, count: int) -> np.ndarray:
        back = self._kept.samples_written - first
        if count < 0 or back > self._kept.remembered_samples or first < 0 or count > back:
            raise LmdmError(f"Samples {first} to {first + count} of the music are not there; the log does not fit it.")
        out = np.empty((count, self._channels), np.float32)
        self._kept.read(out, back_samples=back)
        return out


def _start(record: Mapping[str, Any]) -> int:
    """Where a record changes what is played: a wait is told when it is over."""
    return int(record["stop"] if record["kind"] == "wait" else record["start"])
