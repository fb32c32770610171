"""The board: all knobs of one session under the names of their table, for hands that come from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.grid import Quantum
from lmdm_adapter.session.parameters import PARAMETERS, parameter_named
from lmdm_adapter.session.tempo import Beat, TapTempo


class Turnable(Protocol):
    """What a board asks of a session: an `Engine`, or anything that takes turns as it does."""

    def turn(self, name: str, value: Any, *, at: int | None = None, quantum: Quantum = "now") -> Any:
        """Turn one parameter. Raises LmdmError for what does not fit."""
        ...

    def follow(self, beat: Beat) -> None:
        """Take over a tempo and the time of a beat."""
        ...


class Board:
    """Turns parameters of `session`, from any thread, and knows where each was set last.

    `values` are those that the session began with; `seconds_now` tells the session's time that is heard now, for taps.
    `turned` counts what was taken, `refused` what was not. Raises LmdmError for values that do not fit.
    """

    def __init__(
        self, session: Turnable, *, values: Mapping[str, Any] | None = None,
        seconds_now: Callable[[], float] = lambda: 0.0,
    ) -> None:  # fmt: skip
        self.turned = self.refused = 0
        self.seconds_now = seconds_now
        self._session, self._lock, self._taps = session, threading.Lock(), TapTempo()
        given = {name: parameter_named(name).checked(value) for name, value in (values or {}).items()}
        self._values = {parameter.name: given.get(parameter.name, parameter.default) for parameter in PARAMETERS}

    def turn(self, name: str, value: Any, *, quantum: Quantum = "now") -> None:
        """Turn a parameter now, or at the next beat or bar. Raises LmdmError for what does not fit, and counts it."""
        parameter = parameter_named(name)
        with self._lock:
            try:
                checked = parameter.checked(value)
                self._session.turn(name, checked, quantum=quantum)
            except LmdmError:
                self.refused += 1
                raise
            self.turned += 1
            if not parameter.momentary:
                self._values[name] = checked

    def value(self, name: str) -> Any:
        """Where a parameter was set last; a momentary one rests at its default. Raises LmdmError for unknown names."""
        return self._values[parameter_named(name).name]

    def tap(self) -> Beat | None:
        """One tap of a tempo; what it makes with those before, which the session follows."""
        beat = self._taps.tap(self.seconds_now())
        if beat is not None:
            self.follow(beat)
        return beat

    def follow(self, beat: Beat) -> None:
        """Follow a tempo from outside."""
        with self._lock:
            self._session.follow(beat)
            self.turned += 1
            self._values |= {"tempo_bpm": beat.bpm, "beat_at_seconds": max(0.0, beat.beat_at_seconds)}
