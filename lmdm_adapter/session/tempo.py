"""A tempo from outside: tapped by hand, or followed from an external clock's pulses."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.parameters import LEAST_BPM, MOST_BPM

PULSES_PER_BEAT = 24
MOST_TAPS = 8
MOST_PULSES = 96
LEAST_PULSES = 24
# A line through fewer is too rough to tell a lost pulse from a late one.
SURE_PULSES = 12
SLOWEST_PULSE_SECONDS = 2.0 * 60.0 / LEAST_BPM / PULSES_PER_BEAT
# A pulse this far from its place, in pulses, is a jump and no jitter.
JUMP_PULSES = 3.0
MOST_MISSED_PULSES = 6


@dataclass(frozen=True)
class Beat:
    """A tempo in BPM, and the time in seconds of one of its beats."""

    bpm: float
    beat_at_seconds: float


class TapTempo:
    """The tempo of the last taps: the median of their distances. A pause begins anew."""

    def __init__(self) -> None:
        self._taps: deque[float] = deque(maxlen=MOST_TAPS)

    def tap(self, seconds: float) -> Beat | None:
        """One tap; the tempo so far, or None for the first tap and for taps too close together to be a tempo."""
        if self._taps and not 0.0 < seconds - self._taps[-1] <= 60.0 / LEAST_BPM:
            self._taps.clear()
        self._taps.append(seconds)
        if len(self._taps) < 2:
            return None
        bpm = 60.0 / float(np.median(np.diff(self._taps)))
        return Beat(bpm, seconds) if LEAST_BPM <= bpm <= MOST_BPM else None


class ExternalClock:
    """Follows pulses, 24 to the beat: a line through the last four beats of them, so jitter averages out.

    A few lost pulses are counted through. A jump (or a pause) forgets the line and starts again at a beat;
    `jumps` counts them. The first pulse, and the first after a jump, is taken for a beat.
    Raises LmdmError for times that are no numbers.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._pulses: deque[tuple[int, float]] = deque(maxlen=MOST_PULSES)

    def pulse(self, seconds: float) -> Beat | None:
        """One pulse; the tempo it makes with those before, or None until a beat of them has come."""
        if not np.isfinite(seconds):
            raise LmdmError(f"A pulse needs a time in seconds, got {seconds}.")
        index = self._index_of(seconds)
        if index is None:
            self.jumps += 1
            self._pulses.clear()
        self._pulses.append((index or 0, seconds))
        if len(self._pulses) < LEAST_PULSES:
            return None
        period, at_zero = self._line()
        bpm = 60.0 / (period * PULSES_PER_BEAT)
        beat = self._pulses[-1][0] // PULSES_PER_BEAT * PULSES_PER_BEAT
        return Beat(bpm, at_zero + beat * period) if LEAST_BPM <= bpm <= MOST_BPM else None

    def _index_of(self, seconds: float) -> int | None:
        """Which pulse this is, counted from the first one; None for one that does not fit the others."""
        if len(self._pulses) < SURE_PULSES:
            fits = not self._pulses or 0.0 < seconds - self._pulses[-1][1] <= SLOWEST_PULSE_SECONDS
            return len(self._pulses) if fits else None
        (last, last_seconds), (period, at_zero) = self._pulses[-1], self._line()
        place = (seconds - at_zero) / period
        # What comes late was lost on the way or is late: a late pulse is still the next one.
        step = max(1, round(place - last)) if place - last > 1.5 else 1
        fits = seconds > last_seconds and step <= MOST_MISSED_PULSES and abs(place - last - step) <= JUMP_PULSES
        return last + step if fits else None

    def _line(self) -> tuple[float, float]:
        """Seconds per pulse, and the time of pulse 0."""
        indices, times = np.array(self._pulses).T
        centred = indices - indices.mean()
        period = float(centred @ times / (centred @ centred))
        return max(period, 1e-6), float(times.mean() - period * indices.mean())
