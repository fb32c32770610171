"""One voice made into packets, a little ahead of the listener, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lmdm_adapter.demo.packets import Packet
from lmdm_adapter.demo.voice import Report, Voice
from lmdm_adapter.errors import LmdmError

log = logging.getLogger(__name__)

IDLE_SECONDS = 30.0
SLEEP_SECONDS, NAP_SECONDS = 0.02, 0.002
"""The longest and the shortest sleep until there is room for more."""
GUESSED_SECONDS = 1.0
"""For so long a listener is taken to have played on without saying so."""


@dataclass(frozen=True)
class Opened:
    """The voice is there: its rate, channels and block length, and how far ahead it will be made.

    `budget` are the parts of its latency in seconds, by name, where it knows them.
    """

    sample_rate: int
    channels: int
    block_seconds: float
    lead_seconds: float
    budget: dict[str, float] | None = None


@dataclass(frozen=True)
class Made:
    """One packet; `ahead_seconds` is how much the listener had left when it was ready, as far as is known."""

    packet: Packet
    report: Report
    ahead_seconds: float


@dataclass(frozen=True)
class Lead:
    """The music is made so far ahead from now on, and no further: a page must not wait for more before it plays."""

    lead_seconds: float


@dataclass(frozen=True)
class Notice:
    """Something that the listener should read; the music goes on."""

    sentence: str


@dataclass(frozen=True)
class Ended:
    """No more will come; `why` is a sentence, or None when it was asked to stop."""

    why: str | None = None


Event = Opened | Made | Lead | Notice | Ended


def nap_seconds(excess_seconds: float) -> float:
    """How long to sleep when so much more than the lead lies unplayed: until there is room, if the page plays on."""
    return min(SLEEP_SECONDS, max(NAP_SECONDS, excess_seconds))


class Making:
    """Makes a chunk whenever less than the lead lies unplayed, and never more: that bounds what waits anywhere.

    The listener says how far it has played with `played`; one that says nothing for `idle_seconds` while the lead is
    full is taken to be gone. Events are read with `next_event`, in the event loop that made this object.
    """

    def __init__(
        self, open_voice: Callable[[], Voice], *, lead_seconds: float, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._open_voice, self.lead_seconds, self._idle_seconds = open_voice, lead_seconds, idle_seconds
        self._loop, self._events = asyncio.get_running_loop(), asyncio.Queue[Event]()
        self._stop, self._wanted = threading.Event(), threading.Event()
        self._voice: Voice | None = None
        self._sent = self._played = 0
        self._told_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="lmdm-demo-making", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread still lives."""
        return self._thread.is_alive()

    @property
    def voice(self) -> Voice | None:
        """The voice, once it is there."""
        return self._voice

    async def next_event(self) -> Event:
        """What happened next, in order."""
        return await self._events.get()

    def played(self, samples: int) -> None:
        """The listener has played that many samples; a number that cannot be is brought into range."""
        self._played = max(self._played, min(int(samples), self._sent))
        self._told_at = time.monotonic() if self._played else None
        self._wanted.set()

    def lead(self, seconds: float) -> None:
        """Make it this far ahead from now on, and tell the page. For the event loop's own thread."""
        self.lead_seconds = seconds
        self._events.put_nowait(Lead(seconds))
        self._wanted.set()

    def notice(self, sentence: str) -> None:
        """Show the listener a sentence. For the event loop's own thread."""
        self._events.put_nowait(Notice(sentence))

    def stop(self) -> None:
        """End after the chunk that is being made. Comes back at once."""
        self._stop.set()
        self._wanted.set()

    def _run(self) -> None:
        why = None
        try:
            voice = self._voice = self._open_voice()
            try:
                budget = getattr(voice, "budget", None)
                self._tell(Opened(voice.sample_rate, voice.channels, voice.block_seconds, self.lead_seconds, budget))
                why = self._make_all(voice)
            finally:
                # A voice that has ended must not keep its model, which may have been replaced, in memory.
                self._voice = None
                voice.close()
        except LmdmError as error:
            why = str(error)
        except Exception as error:
            log.exception("The voice failed.")
            why = f"The music ended: {type(error).__name__}."
        self._tell(Ended(None if self._stop.is_set() else why))

    def _make_all(self, voice: Voice) -> str | None:
        while not self._stop.is_set():
            if not self._wait_for_room(voice):
                return f"The page did not answer for {self._idle_seconds:g} s, so its music was ended."
            if self._stop.is_set():
                break
            chunk = voice.next_chunk()
            if len(chunk.samples):
                self._tell(Made(Packet(self._sent, chunk.samples), chunk.report, self._ahead_seconds(voice)))
                self._sent += len(chunk.samples)
        return None

    def _wait_for_room(self, voice: Voice) -> bool:
        """Whether there is room before the listener counts as gone."""
        heard, since = self._played, time.monotonic()
        while (excess := self._ahead_seconds(voice) - self.lead_seconds) >= 0.0 and not self._stop.is_set():
            self._wanted.wait(nap_seconds(excess))
            self._wanted.clear()
            if self._played != heard:
                heard, since = self._played, time.monotonic()
            if time.monotonic() - since > self._idle_seconds:
                return False
        return True

    def _ahead_seconds(self, voice: Voice) -> float:
        """What lies unplayed: the listener goes on playing between two words of it, which may be late."""
        since = 0.0 if self._told_at is None else min(time.monotonic() - self._told_at, GUESSED_SECONDS)
        return max(0.0, (self._sent - self._played) / voice.sample_rate - since)

    def _tell(self, event: Event) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
