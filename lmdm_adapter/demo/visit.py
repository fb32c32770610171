"""One visitor's music, from the wait for a seat to its end, and what was turned before it could be heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from lmdm_adapter.demo.making import Making
from lmdm_adapter.demo.seats import Ticket
from lmdm_adapter.demo.voice import Voice, Wish
from lmdm_adapter.errors import LmdmError

MOST_EARLY = 64
"""Knobs that may be turned before the music is there; no mode has so many."""


@dataclass(eq=False)
class Visit:
    """What one visitor asked for and hears. For the event loop's own thread; `making` is None during the wait."""

    ticket: Ticket
    wish: Wish
    making: Making | None = None
    early: dict[str, Any] = field(default_factory=dict)

    @property
    def voice(self) -> Voice | None:
        """What plays, while it does."""
        return None if self.making is None else self.making.voice

    def begin(self, open_voice: Callable[[Wish], Voice]) -> Making:
        """Make what was wished for, and turned since."""
        told, self.early = replace(self.wish, values={**self.wish.values, **self.early}), {}
        self.making = Making(lambda: open_voice(told), lead_seconds=told.lead_seconds)
        return self.making

    def turn(self, name: str, value: Any) -> None:
        """Turn a parameter now, or as soon as the music is there.

        Raises LmdmError for names and values that do not fit, and for more than can wait.
        """
        if name == "lead_seconds":
            self._lead(value)
        elif (voice := self.voice) is not None:
            self.catch_up()
            voice.set(name, value)
        elif name not in self.early and len(self.early) >= MOST_EARLY:
            raise LmdmError(f"{MOST_EARLY} knobs wait for the music already; {name[:40]!r} was not taken.")
        else:
            self.early[name] = value

    def catch_up(self) -> None:
        """Turn what was turned while the voice was being opened; what does not fit is told."""
        voice, self.early, early = self.voice, {}, self.early
        for name, value in early.items() if voice is not None else ():
            try:
                voice.set(name, value)
            except LmdmError as error:
                self.notice(str(error))

    def notice(self, sentence: str) -> None:
        """Show the visitor a sentence, if they are listening."""
        if self.making is not None:
            self.making.notice(sentence)

    def _lead(self, value: Any) -> None:
        self.wish = replace(self.wish, lead_seconds=value)
        if self.making is not None:
            self.making.lead(self.wish.lead_seconds)
