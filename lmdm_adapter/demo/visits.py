"""Who is listening: one music per visitor, a bounded number of them, and nothing left behind by those who go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmdm_adapter.demo.making import Ended, Lead, Made, Making, Notice, Opened
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.records import Records
from lmdm_adapter.demo.seats import Seats
from lmdm_adapter.demo.sounds import Sounds
from lmdm_adapter.demo.tokens import Tokens
from lmdm_adapter.demo.visit import Visit
from lmdm_adapter.demo.voice import MakeVoice, Mode, Voice, Wish
from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True)
class Waiting:
    """All seats are taken; `place` 1 is next."""

    place: int


Event = Waiting | Opened | Made | Lead | Notice | Ended


class Visits:
    """Everyone who listens or waits, by the page's own name for them. For one event loop."""

    def __init__(self, make_voice: MakeVoice, *, most_sessions: int, records: Records | None = None) -> None:
        self._make_voice, self.records = make_voice, records or Records()
        self.seats, self.tokens, self.sounds = Seats(most_sessions), Tokens(), Sounds()
        self._visits: dict[str, Visit] = {}
        self._ending: list[Making] = []

    @property
    def running(self) -> int:
        """How many voices are being made now."""
        makings = [*self._ending, *(visit.making for visit in self._visits.values() if visit.making is not None)]
        return sum(making.running for making in makings)

    async def listen(self, visitor: str, wish: Wish) -> AsyncGenerator[Event, None]:
        """What the visitor hears, from the wait for a seat to the end. Ends the visitor's earlier music first.

        Closing the iterator, `leave`, or the end of the music give the seat back.
        """
        self.leave(visitor)
        visit = self._visits[visitor] = Visit(self.seats.join(), wish)
        try:
            async for place in self._wait(visitor, visit):
                yield Waiting(place)
            if self._visits.get(visitor) is not visit:
                return
            making = visit.begin(lambda told: self._open(visitor, told))
            while not isinstance(event := await making.next_event(), Ended):
                if isinstance(event, Opened):
                    visit.catch_up()
                yield event
            yield event
        finally:
            self._end(visitor, visit)

    async def _wait(self, visitor: str, visit: Visit) -> AsyncIterator[int]:
        ticket = visit.ticket
        while ticket.place and self._visits.get(visitor) is visit:
            ticket.moved.clear()
            yield ticket.place
            await ticket.moved.wait()

    def _open(self, visitor: str, told: Wish) -> Voice:
        voice = self._make_voice(replace(told, values=self.sounds.resolved(told.values)))
        # Logs can be downloaded, so they say what the page said and no path of the server.
        return RecordedVoice(voice, told, self.records.shelf(visitor))

    def leave(self, visitor: str) -> None:
        """End the visitor's music, or their wait, now. Also for visitors who are not there."""
        if (visit := self._visits.get(visitor)) is not None:
            self._end(visitor, visit)

    def _end(self, visitor: str, visit: Visit) -> None:
        making, visit.making = visit.making, None
        # Those that have ended still hold their last lead of sound.
        self._ending = [one for one in self._ending if one.running]
        if making is not None:
            making.stop()
            self._ending.append(making)
        if self._visits.get(visitor) is visit:
            del self._visits[visitor]
        self.seats.leave(visit.ticket)
        visit.ticket.moved.set()

    def gone(self, visitor: str) -> None:
        """The visitor's page was closed: nothing of theirs stays."""
        self.leave(visitor)
        self.tokens.void(visitor)
        self.records.discard(visitor)

    def leave_all(self) -> None:
        """End everyone's."""
        for visitor in list(self._visits):
            self.leave(visitor)

    async def closed(self, *, seconds: float) -> bool:
        """Whether every voice has ended within that time."""
        for _ in range(round(seconds / 0.01)):
            if not self.running:
                return True
            await asyncio.sleep(0.01)
        return not self.running

    def turn(self, visitor: str, name: str, value: Any, *, mode: Mode | None = None) -> None:
        """Turn a parameter of the visitor's music, or of the music they wait for; without either nothing happens.

        Nor does anything where a `mode` is given and another one plays: a knob turns the music of its own tab.
        Raises LmdmError for names and values that do not fit.
        """
        visit = self._visits.get(visitor)
        if visit is not None and mode in (None, visit.wish.mode):
            visit.turn(name, value)

    def block_seconds(self, visitor: str) -> float | None:
        """Length of a block of the visitor's music, which may be an earlier model's; None without any."""
        visit = self._visits.get(visitor)
        return None if visit is None or (voice := visit.voice) is None else voice.block_seconds

    def notice(self, visitor: str, sentence: str) -> None:
        """Show the visitor a sentence, if they are listening."""
        if (visit := self._visits.get(visitor)) is not None:
            visit.notice(sentence)

    def played(self, visitor: str, samples: object) -> None:
        """The visitor's page has played that many samples. Raises LmdmError for what is no number."""
        if isinstance(samples, bool) or not isinstance(samples, int):
            raise LmdmError(f"Samples are counted in whole numbers, got {samples!r}.")
        if (visit := self._visits.get(visitor)) is not None and visit.making is not None:
            visit.making.played(samples)

    def hear(self, visitor: str, samples: np.ndarray, *, first_sample: int) -> None:
        """Live input, `s ch`, for the visitor's music."""
        if (visit := self._visits.get(visitor)) is not None and (voice := visit.voice) is not None:
            voice.hear(samples, first_sample=first_sample)
