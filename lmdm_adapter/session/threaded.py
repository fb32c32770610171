"""A session in real time: one thread makes music ahead of playback, another writes the recording."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine

log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 0.25
WRITING_SECONDS = 0.1
JOIN_SECONDS = 10.0


class ThreadedSession:
    """Runs an engine's `produce` in a thread of its own, as a `with` block; the device calls `engine.pull`.

    The thread sleeps until the lead has been played down, or until it is told to stop. `write`, if given, is called
    every 0.1 s in a second thread: a recording's. What either raises ends up with the owner: `check` raises it.
    Leaving the block stops at the next border of a block at the latest; the engine fades out at once.
    """

    def __init__(self, engine: Engine, *, write: Callable[[], None] | None = None) -> None:
        self.engine, self._write = engine, write
        self._stop, self._failure = threading.Event(), None
        self._threads = [threading.Thread(target=self._make, name="lmdm-making", daemon=True)]
        if write is not None:
            self._threads.append(threading.Thread(target=self._record, name="lmdm-writing", daemon=True))

    def __enter__(self) -> ThreadedSession:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None:
            self.check()

    @property
    def running(self) -> bool:
        """Whether music is still being made."""
        return self._threads[0].is_alive()

    def stop(self) -> None:
        """Fade out, and wait for the threads. Raises LmdmError when one does not end."""
        self.engine.stop()
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            if thread.is_alive():
                raise LmdmError(f"The thread {thread.name} did not end within {JOIN_SECONDS:g} s; end the process.")

    def check(self) -> None:
        """Raise what went wrong in a thread, if anything did: an LmdmError."""
        failure: LmdmError | None = self.engine.failure or self._failure
        if failure is not None:
            raise failure

    def _make(self) -> None:
        try:
            while not self._stop.is_set() and not self.engine.over:
                if not self.engine.produce():
                    self._stop.wait(min(self.engine.idle_seconds, LONGEST_SLEEP_SECONDS))
        except Exception as error:
            if self.engine.failure is None:
                self._failure = as_told("Making music", error)
            log.error("%s", self.engine.failure or self._failure)

    def _record(self) -> None:
        """Write until told to stop, and once more after that. A full disk ends the recording, not the music."""
        assert self._write is not None
        try:
            while not self._stop.wait(WRITING_SECONDS):
                self._write()
            self._write()
        except Exception as error:
            self._failure = as_told("Recording", error)
            log.error("%s The music goes on unrecorded.", self._failure)


def as_told(what: str, error: Exception) -> LmdmError:
    """What a thread raised that did `what`, as the owner is told it."""
    if isinstance(error, LmdmError):
        return error
    told = LmdmError(f"{what} failed: {type(error).__name__}: {error}.")
    told.__cause__ = error
    return told
