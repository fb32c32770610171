"""A bounded number of listeners at a time; the others wait in line and see their place."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from lmdm_adapter.errors import LmdmError

MOST_WAITING = 100


@dataclass(eq=False)
class Ticket:
    """One listener's place: 0 has a seat, 1 is next. `moved` is set whenever the line moves."""

    number: int
    place: int
    moved: asyncio.Event = field(default_factory=asyncio.Event)


class Seats:
    """For one event loop. Raises LmdmError for a number of seats below 1."""

    def __init__(self, seats: int, *, most_waiting: int = MOST_WAITING) -> None:
        if seats < 1:
            raise LmdmError(f"At least one session is needed, got {seats}.")
        self.seats, self.most_waiting = seats, most_waiting
        self._line: list[Ticket] = []
        self._numbers = itertools.count()

    @property
    def taken(self) -> int:
        """How many have a seat."""
        return min(self.seats, len(self._line))

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line) - self.taken

    def join(self) -> Ticket:
        """Get a seat, or a place at the end of the line. Raises LmdmError when the line is full."""
        if self.waiting >= self.most_waiting:
            raise LmdmError(f"{self.waiting} are waiting for a seat already; try again later.")
        ticket = Ticket(next(self._numbers), max(0, len(self._line) + 1 - self.seats))
        self._line.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place back; whoever waits behind it moves up. Leaving twice is no mistake."""
        if ticket not in self._line:
            return
        self._line.remove(ticket)
        for index, other in enumerate(self._line):
            place = max(0, index + 1 - self.seats)
            if place != other.place:
                other.place = place
                other.moved.set()
