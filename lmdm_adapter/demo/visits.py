"""Who is listening: one music per visitor, a bounded number of them, and nothing left behind by those who go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmdm_adapter.demo.making import Ended, Made, Making, Notice, Opened
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.records import Records
from lmdm_adapter.demo.seats import Seats, Ticket
from lmdm_adapter.demo.sounds import Sounds
from lmdm_adapter.demo.tokens import Tokens
from lmdm_adapter.demo.voice import MakeVoice, Voice, Wish
from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True)
class Waiting:
    """All seats are taken; `place` 1 is next."""

    place: int


class Visits:
    """Everyone who listens or waits, by the page's own name for them. For one event loop."""

    def __init__(self, make_voice: MakeVoice, *, most_sessions: int, records: Records | None = None) -> None:
        self._make_voice, self.records = make_voice, records or Records()
        self.seats, self.tokens, self.sounds = Seats(most_sessions), Tokens(), Sounds()
        self._makings: dict[str, Making] = {}
        self._ending: list[Making] = []
        self._tickets: dict[str, Ticket] = {}
        self._early: dict[str, dict[str, Any]] = {}

    @property
    def running(self) -> int:
        """How many voices are being made now."""
        self._ending = [making for making in self._ending if making.running]
        return len(self._ending) + sum(making.running for making in self._makings.values())

    async def listen(
        self, visitor: str, wish: Wish
    ) -> AsyncGenerator[Waiting | Opened | Made | Notice | Ended, None]:
        """What the visitor hears, from the wait for a seat to the end. Ends the visitor's earlier music first.

        Closing the iterator, `leave`, or the end of the music give the seat back.
        """
        self.leave(visitor)
        ticket = self._tickets[visitor] = self.seats.join()
        making = None
        try:
            async for place in self._wait(visitor, ticket):
                yield Waiting(place)
            if self._tickets.get(visitor) is not ticket:
                return
            making = self._makings[visitor] = Making(lambda: self._open(visitor, wish), lead_seconds=wish.lead_seconds)
            while not isinstance(event := await making.next_event(), Ended):
                yield event
            yield event
        finally:
            self._end(visitor, ticket, making)

    async def _wait(self, visitor: str, ticket: Ticket) -> AsyncIterator[int]:
        while ticket.place and self._tickets.get(visitor) is ticket:
            ticket.moved.clear()
            yield ticket.place
            await ticket.moved.wait()

    def _open(self, visitor: str, wish: Wish) -> Voice:
        told = {**wish.values, **self._early.pop(visitor, {})}
        voice = self._make_voice(replace(wish, values=self.sounds.resolved(told)))
        # Logs can be downloaded, so they say what the page said and no path of the server.
        return RecordedVoice(voice, replace(wish, values=told), self.records.shelf(visitor))

    def leave(self, visitor: str) -> None:
        """End the visitor's music, or their wait, now. Also for visitors who are not there."""
        if visitor in self._tickets:
            self._end(visitor, self._tickets[visitor], self._makings.get(visitor))

    def _end(self, visitor: str, ticket: Ticket, making: Making | None) -> None:
        if making is not None and making not in self._ending:
            making.stop()
            self._ending.append(making)
        if self._tickets.get(visitor) is ticket:
            del self._tickets[visitor]
            self._makings.pop(visitor, None)
            self._early.pop(visitor, None)
        self.seats.leave(ticket)
        ticket.moved.set()

    def gone(self, visitor: str) -> None:
        """The visitor's page was closed: nothing of theirs stays."""
        self.leave(visitor)
        self.tokens.void(visitor)
        self.records.discard(visitor)

    def leave_all(self) -> None:
        """End everyone's."""
        for visitor in list(self._tickets):
            self.leave(visitor)

    async def closed(self, *, seconds: float) -> bool:
        """Whether every voice has ended within that time."""
        for _ in range(round(seconds / 0.01)):
            if not self.running:
                return True
            await asyncio.sleep(0.01)
        return not self.running

    def turn(self, visitor: str, name: str, value: Any) -> None:
        """Turn a parameter of the visitor's music, or of the music they wait for; without either nothing happens.

        Raises LmdmError for names and values that do not fit.
        """
        making = self._makings.get(visitor)
        if name == "lead_seconds":
            seconds = Wish(lead_seconds=value).lead_seconds
            if making is not None:
                making.lead(seconds)
        elif making is not None and making.voice is not None:
            making.voice.set(name, value)
        elif visitor in self._tickets:
            self._early.setdefault(visitor, {})[name] = value

    def block_seconds(self, visitor: str) -> float | None:
        """Length of a block of the visitor's music, which may be an earlier model's; None without any."""
        making = self._makings.get(visitor)
        return None if making is None or (voice := making.voice) is None else voice.block_seconds

    def notice(self, visitor: str, sentence: str) -> None:
        """Show the visitor a sentence, if they are listening."""
        if (making := self._makings.get(visitor)) is not None:
            making.notice(sentence)

    def played(self, visitor: str, samples: object) -> None:
        """The visitor's page has played that many samples. Raises LmdmError for what is no number."""
        if isinstance(samples, bool) or not isinstance(samples, int):
            raise LmdmError(f"Samples are counted in whole numbers, got {samples!r}.")
        if (making := self._makings.get(visitor)) is not None:
            making.played(samples)

    def hear(self, visitor: str, samples: np.ndarray, *, first_sample: int) -> None:
        """Live input, `s ch`, for the visitor's music."""
        making = self._makings.get(visitor)
        if making is not None and making.voice is not None:
            making.voice.hear(samples, first_sample=first_sample)
