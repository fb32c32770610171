"""Everybody's recordings: a folder of its own for each visit, gone when the page is closed or the server ends."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmdm_adapter.demo.record_limits import RecordLimits
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.voice import Heard
from lmdm_adapter.errors import LmdmError

MOST_SHELVES = 1000


class Records:
    """The shelves of all visits, by the page's own name.

    The folder of all is made when the first needs it, and removed with this object or at the end of the program.
    """

    def __init__(self, limits: RecordLimits | None = None) -> None:
        self.limits, self._lock = limits or RecordLimits(), threading.Lock()
        self._shelves: dict[str, Shelf] = {}
        self._folder: Path | None = None
        self._remove: Callable[[], object] = lambda: None

    @property
    def bytes(self) -> int:
        """What all recordings take of the disk."""
        return sum(shelf.bytes for shelf in list(self._shelves.values()))

    def shelf(self, visitor: str) -> Shelf:
        """The visitor's shelf. Raises LmdmError when there are too many that hold something."""
        with self._lock:
            if visitor not in self._shelves and len(self._shelves) >= MOST_SHELVES:
                self._shelves = {name: shelf for name, shelf in self._shelves.items() if not shelf.idle}
                if len(self._shelves) >= MOST_SHELVES:
                    raise LmdmError(f"{MOST_SHELVES} visitors record already; try again later.")
            return self._shelves.setdefault(visitor, Shelf(self))

    def file(self, key: str, name: str) -> Path | None:
        """The finished file of that name on the shelf with that key, if there is one."""
        for shelf in list(self._shelves.values()):
            if secrets.compare_digest(shelf.key.encode(), key.encode()):
                return shelf.file(name)
        return None

    def discard(self, visitor: str) -> None:
        """Remove all that a visitor has recorded. Also for visitors who are not there."""
        with self._lock:
            shelf = self._shelves.pop(visitor, None)
        if shelf is not None:
            shelf.close()

    def discard_all(self) -> None:
        """Remove everybody's recordings, and their folder."""
        for visitor in list(self._shelves):
            self.discard(visitor)
        with self._lock:
            self._folder = None
            self._remove()

    def new_folder(self) -> Path:
        """A new folder for one visit; nobody but this user may look into it. Raises LmdmError where none can be."""
        try:
            with self._lock:
                if self._folder is None:
                    self._folder = Path(tempfile.mkdtemp(prefix="lmdm-demo-"))
                    self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            return Path(tempfile.mkdtemp(dir=self._folder))
        except OSError as error:
            raise LmdmError(f"Nothing can be recorded here: {error.strerror or error}.") from error


class Shelf:
    """One visit's recordings: switched from the page's thread, written to from those that make its music.

    `wanted` says whether what plays is recorded; `key` is the secret under which the page gets the files.
    """

    def __init__(self, records: Records) -> None:
        self._records, self.key = records, secrets.token_urlsafe(32)
        self._lock, self._folder, self._count = threading.RLock(), None, 0
        self._recordings: list[Recording] = []
        self.wanted, self.notice, self._closed = False, "", False

    @property
    def bytes(self) -> int:
        """What this visit's recordings take of the disk."""
        return sum(recording.bytes for recording in list(self._recordings))

    @property
    def idle(self) -> bool:
        """Whether nothing is here and nothing is wanted."""
        return not (self.wanted or self._recordings)

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Those that can be downloaded, and those that grow, in their order."""
        return tuple(self._recordings)

    def switch(self, on: bool) -> None:
        """Record what plays from now on, or end what is being recorded; its files are whole when this returns."""
        with self._lock:
            self.wanted, self.notice = on and not self._closed, ""
            if not on:
                self._end_all(None)

    def begin(self, name: str, *, header: Mapping[str, Any], earlier: Iterable[str], channels: int,
              sample_rate: int, sound: Path | None = None, hears: bool = False) -> Recording | None:  # fmt: skip
        """A new recording, where one is wanted; without room there is none, and `notice` says why.

        The file `sound`, the input of what is recorded, is kept with it, or that which it `hears` of a microphone.
        """
        with self._lock:
            if not self.wanted:
                return None
            try:
                lines = list(earlier)
                kept_bytes = sound.stat().st_size if sound is not None and sound.is_file() else 0
                self._require_room(kept_bytes + sum(map(len, lines)))
                self._folder = self._folder or self._records.new_folder()
                self._count += 1
                made = Recording(self._folder, f"lmdm-{name}-{self._count}", header=header, earlier=lines,
                                 channels=channels, sample_rate=sample_rate, sound=sound, hears=hears)  # fmt: skip
            except LmdmError as error:
                return self._refused(str(error))
            self._recordings.append(made)
            return made

    def write(
        self, recording: Recording, lines: Iterable[str], samples: np.ndarray, heard: Heard | None = None
    ) -> None:
        """Append to a recording that is open; where a limit or the disk ends it, `notice` says so."""
        with self._lock:
            if not recording.open:
                return
            try:
                self._require_room(samples.nbytes + (0 if heard is None else heard.samples.nbytes))
                recording.write(lines, samples, heard)
            except LmdmError as error:
                self._refused(str(error))
            if recording.open and recording.seconds >= self._records.limits.seconds:
                self._refused(f"A recording may last {self._records.limits.seconds / 60:g} minutes; it ended there.")

    def end(self, recording: Recording, lines: Iterable[str] = (), *, why: str | None = None) -> None:
        """End one recording, e.g. since its music ended."""
        with self._lock:
            self._end(recording, lines, why)

    def file(self, name: str) -> Path | None:
        """The finished file of that name, if there is one."""
        with self._lock:
            paths = [path for r in self._recordings if not r.open for path in r.paths]
            return next((path for path in paths if path.name == name and path.is_file()), None)

    def clear(self) -> None:
        """Delete what is finished."""
        with self._lock:
            for recording in [r for r in self._recordings if not r.open]:
                self._remove(recording)
            self.notice = ""

    def close(self) -> None:
        """End and remove everything, for good."""
        with self._lock:
            self._closed, self.wanted = True, False
            self._end_all(None)
            self._recordings.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _require_room(self, more_bytes: int) -> None:
        records, limits = self._records, self._records.limits
        if sum(not r.open for r in self._recordings) >= limits.recordings:
            raise LmdmError(f"You have {limits.recordings} recordings; download them, delete them, and go on.")
        folder = self._folder or Path(tempfile.gettempdir())
        limits.require_room(visit_bytes=self.bytes + more_bytes, server_bytes=records.bytes + more_bytes, folder=folder)

    def _refused(self, sentence: str) -> None:
        self.wanted, self.notice = False, sentence
        self._end_all(sentence)

    def _end_all(self, why: str | None) -> None:
        for recording in [r for r in self._recordings if r.open]:
            self._end(recording, (), why)

    def _end(self, recording: Recording, lines: Iterable[str], why: str | None) -> None:
        recording.close(lines, why=why)
        if not recording.samples:
            self._remove(recording)

    def _remove(self, recording: Recording) -> None:
        self._recordings = [other for other in self._recordings if other is not recording]
        for path in recording.paths:
            path.unlink(missing_ok=True)
