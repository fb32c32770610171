"""A voice whose music can be recorded at any time, with all that it was told since it began."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lmdm_adapter.demo.record_log import FORMAT, line_of
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.records import Shelf
from lmdm_adapter.demo.voice import Chunk, Known, Voice, Wish, origin_of, session_of
from lmdm_adapter.session.played_on import versions
from lmdm_adapter.session.session_log import json_of

HISTORY_BYTES = 16 << 20
"""Of a jam with a microphone and 64 latent channels, half an hour and more."""


class History:
    """What a voice was told, as lines of the log: all of it, or, beyond 16 MiB, nothing that could be played again."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.whole, self._bytes = True, 0

    def add(self, line: str) -> None:
        """Remember one line more, while there is room."""
        self._bytes += len(line.encode())
        if self._bytes > HISTORY_BYTES:
            self.whole, self.lines = False, []
        else:
            self.lines.append(line)


class RecordedVoice:
    """A voice as it is, whose chunks go to the shelf's recording too while one is wanted.

    They are written in the thread that makes them, so a recording is what was made, to the bit. What ends a recording
    (a limit, a full disk) is told in a chunk's notice, and the music goes on.
    """

    def __init__(self, voice: Voice, wish: Wish, shelf: Shelf) -> None:
        self._voice, self._wish, self._shelf = voice, wish, shelf
        self.sample_rate, self.channels, self.block_seconds = voice.sample_rate, voice.channels, voice.block_seconds
        self.budget: Mapping[str, float] | None = getattr(voice, "budget", None)
        self._guard, self._fresh, self._history = threading.Lock(), list[str](), History()
        self._samples = self._turned = self._in_force = 0
        self._recording: Recording | None = None
        self._session = session_of(voice)

    def set(self, name: str, value: Any) -> None:
        """As the voice's own."""
        # The voice may take a turn before its line is written; its chunk is not until `_told` has had the guard.
        with self._guard:
            self._voice.set(name, value)
            self._turned += 1
            turn = {"kind": "turn", "number": self._turned, "sample": self._samples, "name": name, "value": value}
            self._fresh.append(line_of(turn))

    def hear(self, samples: np.ndarray, *, first_sample: int) -> None:
        """As the voice's own."""
        self._voice.hear(samples, first_sample=first_sample)

    def next_chunk(self) -> Chunk:
        """As the voice's own, once it is recorded."""
        try:
            chunk = self._voice.next_chunk()
        except Exception as error:
            self._end({"kind": "failure", "sample": self._samples, "error": type(error).__name__, "says": str(error)})
            raise
        before = self._shelf.notice
        self._record(chunk)
        after = self._shelf.notice
        if after and after != before and chunk.report.notice is None:
            return replace(chunk, report=replace(chunk.report, notice=after))
        return chunk

    def close(self) -> None:
        """As the voice's own; what was recorded is whole."""
        try:
            self._voice.close()
        finally:
            self._end()

    def _record(self, chunk: Chunk) -> None:
        if self._recording is None or not self._recording.open:
            self._recording = self._shelf.begin(
                self._wish.mode, header=self._header(), earlier=self._history.lines, channels=self.channels,
                sample_rate=self.sample_rate, sound=None if self._session is None else self._session.sound,
                hears=self._session is not None and self._session.hears,
            )  # fmt: skip
        lines = self._told(chunk)
        if self._recording is not None:
            self._shelf.write(self._recording, lines, chunk.samples, chunk.heard)
        self._samples += len(chunk.samples)

    def _told(self, chunk: Chunk) -> list[str]:
        """Lines about the turns since the last chunk, and about this one; the history keeps what a replay needs."""
        report = chunk.report
        block = line_of({"kind": "block", "index": report.index, "sample": self._samples, "samples": len(chunk.samples),
                         "turns": chunk.turns, "compute_seconds": report.compute_seconds})  # fmt: skip
        with self._guard:
            turns, self._fresh = self._fresh, []
        session = [line_of({"kind": "session", "record": json_of(record)}) for record in chunk.records]
        for line in (*turns, *session):
            self._history.add(line)
        if chunk.turns is not None and chunk.turns != self._in_force:
            self._in_force = chunk.turns
            self._history.add(block)
        return [*turns, *session, block]

    def _header(self) -> Mapping[str, Any]:
        wish, origin = self._wish, origin_of(self._voice)
        return {
            "kind": "recording", "format": FORMAT, "versions": versions(), "mode": wish.mode,
            "values": dict(wish.values), "source": wish.source, "origin": dict(origin), "replays": self._replays(),
            "session": None if self._session is None else dict(self._session.header),
            "sample_rate": self.sample_rate, "channels": self.channels, "block_seconds": self.block_seconds,
            "first_sample": self._samples,
        }  # fmt: skip

    def _replays(self) -> bool:
        """Whether the log, and the file that was the input, are enough to play it again."""
        known = isinstance(self._voice, Known) and (self._session is None or self._session.replays)
        return known and self._history.whole

    def _end(self, record: Mapping[str, Any] | None = None) -> None:
        if self._recording is not None:
            self._shelf.end(self._recording, [] if record is None else [line_of(record)])
