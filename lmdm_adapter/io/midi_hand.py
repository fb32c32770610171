"""What MIDI messages do to a session: knobs turn the board, learning binds them, a clock sets the tempo."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Protocol

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.board import Board
from lmdm_adapter.io.midi_map import PRESSED, Binding, MidiMap, require_knob
from lmdm_adapter.session.parameters import parameter_named
from lmdm_adapter.session.tempo import PULSES_PER_BEAT, Beat, ExternalClock

log = logging.getLogger(__name__)

SAME_BPM = 0.1
SAME_PLACE_SECONDS = 0.01
"""A clock this near to the tempo that is followed already changes nothing: its jitter shall not fill the log."""


class Message(Protocol):
    """What is used of a message; mido's have it. `channel`, `control` and `value` only for a control change."""

    type: str
    channel: int
    control: int
    value: int


class ClockFollower:
    """From the pulses of a MIDI clock to tempi for the board: one a beat at most, and only when something changed."""

    def __init__(self, follow: Callable[[Beat], None]) -> None:
        self.followed: Beat | None = None
        self._follow, self._clock, self._pulses = follow, ExternalClock(), 0

    def start(self) -> None:
        """The next pulse is a beat."""
        self._clock, self._pulses, self.followed = ExternalClock(), 0, None

    def pulse(self, seconds: float) -> None:
        """One pulse, 24 to the beat, at a time of the session."""
        beat = self._clock.pulse(seconds)
        self._pulses += 1
        if beat is None or (self.followed is not None and self._pulses % PULSES_PER_BEAT):
            return
        if self.followed is None or _moved(self.followed, beat):
            self.followed = beat
            self._follow(beat)


def _moved(before: Beat, now: Beat) -> bool:
    """Whether a tempo differs, or its beats lie elsewhere."""
    beats = (now.beat_at_seconds - before.beat_at_seconds) * before.bpm / 60.0
    off_seconds = abs(beats - round(beats)) * 60.0 / before.bpm
    return abs(now.bpm - before.bpm) > SAME_BPM or off_seconds > SAME_PLACE_SECONDS


class MidiHand:
    """Turns the board as messages say. `take` is for the MIDI library's thread, `learn` for anybody's.

    With `path` every binding that is learnt is saved there. What does not fit is logged and changes nothing.
    """

    def __init__(self, board: Board, mapping: MidiMap, *, path: str | os.PathLike[str] | None = None) -> None:
        self.mapping, self.clock, self.taken = mapping, ClockFollower(board.follow), 0
        self._board, self._path = board, path
        self._wanted: list[str] = []
        self._positions: dict[tuple[int, int], int] = {}

    @property
    def learning(self) -> str | None:
        """The parameter that the next control will be bound to."""
        return self._wanted[0] if self._wanted else None

    def learn(self, name: str) -> str:
        """Bind the next control that moves to the parameter `name`. Raises LmdmError for one that no knob can turn."""
        self._wanted.append(require_knob(name).name)
        return f"Move the MIDI control for {self._wanted[0]}."

    def take(self, message: Message) -> None:
        """Do what one message says."""
        self.taken += 1
        try:
            self._take(message)
        except LmdmError as error:
            log.warning("MIDI: %s", error)

    def _take(self, message: Message) -> None:
        if message.type == "control_change":
            self._control(message.channel, message.control, message.value)
        elif message.type == "clock":
            self.clock.pulse(self._board.seconds_now())
        elif message.type in ("start", "continue"):
            self.clock.start()

    def _control(self, channel: int, control: int, position: int) -> None:
        before = self._positions.get((channel, control), 0)
        self._positions[channel, control] = position
        if self._wanted:
            self._bind(channel, control)
            return
        binding = self.mapping.bound(channel, control)
        if binding is not None:
            self._turn(binding, before, position)

    def _bind(self, channel: int, control: int) -> None:
        name = self._wanted.pop(0)
        self.mapping = self.mapping.learnt(channel, control, name)
        log.info("Control %d of channel %d turns %s.", control, channel + 1, name)
        if self._path is not None:
            self.mapping.save(self._path)

    def _turn(self, binding: Binding, before: int, position: int) -> None:
        if not parameter_named(binding.parameter).momentary:
            self._board.turn(binding.parameter, binding.value(position))
        elif before < PRESSED <= position:
            # What acts once acts when the button goes down, not again while it is held or let go.
            self._board.turn(binding.parameter, binding.value(position))
