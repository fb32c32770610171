"""The sample-exact part of a session: gain, dry/wet mix, and an echo with feedback, on what is played.

A change begins at its very sample. A jump of gain, mix or feedback would click, so the value moves there in a straight
line over `RAMP_SECONDS`; a new delay is faded in over the same time. Only a change of delay that comes within the fade
of another waits for that to end. Nothing here depends on how the audio is cut into chunks, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmdm_adapter.session.events import EventQueue, Turn
from lmdm_adapter.session.parameters import LONGEST_DELAY_SECONDS, SILENCE_DB, values_of

RAMP_SECONDS = 0.005
WORK_SAMPLES = 1024


@dataclass(frozen=True)
class Ramp:
    """A value that goes in a straight line from `before` to `after` over `samples`, from the sample `first` on."""

    before: float
    after: float
    first: int
    samples: int

    def at(self, first: int, out: np.ndarray) -> np.ndarray:
        """`out` (`s 1`), filled with the value at sample `first` and those that follow."""
        share = np.arange(first - self.first + 1, first - self.first + 1 + len(out)) / self.samples
        out[:, 0] = self.before + (self.after - self.before) * np.clip(share, 0.0, 1.0)
        return out

    def settled(self, sample: int) -> bool:
        """Whether it has arrived before `sample`."""
        return sample - self.first >= self.samples

    def moved(self, after: float, first: int) -> Ramp:
        """The ramp from where this one is at `first` to `after`."""
        share = min(max((first - self.first) / self.samples, 0.0), 1.0)
        return Ramp(self.before + (self.after - self.before) * share, after, first, self.samples)


class Mixer:
    """`gain * ((1 - mix) * dry + mix * echo)`, where `echo[n] = wet[n] + feedback * echo[n - delay]`.

    With its defaults it leaves every bit as it is. `announce` hears a log record for every turn that took effect.
    With `send` there are no echoes: it hears `feedback * wet` (`s ch`), all of it in order, and may do with it what it
    likes.
    """

    def __init__(
        self, events: EventQueue, *, channels: int, sample_rate: int, announce: Callable[[dict[str, Any]], None],
        values: Mapping[str, Any] | None = None, send: Callable[[np.ndarray], None] | None = None,
    ) -> None:  # fmt: skip
        self._send = send
        self._events, self._rate, self._announce = events, sample_rate, announce
        self.start_values = start = values_of("mix", values or {})
        ramp_samples = max(1, round(RAMP_SECONDS * sample_rate))
        self._ramps = {name: self._steady(name, start, ramp_samples) for name in ("gain_db", "mix", "feedback")}
        self._delay = Ramp(delay := self._delay_samples(start["delay_seconds"]), delay, -ramp_samples, ramp_samples)
        self._line = np.zeros((self._delay_samples(LONGEST_DELAY_SECONDS) + WORK_SAMPLES, channels), np.float32)
        self._value = np.zeros((WORK_SAMPLES, 1), np.float32)
        self._work = np.zeros((2, WORK_SAMPLES, channels), np.float32)

    def process(self, out: np.ndarray, dry: np.ndarray, *, first_sample: int) -> None:
        """Mix in place: `out` (`s ch`) is what the model plays, `dry` the live input, from `first_sample` on."""
        done = 0
        while done < len(out):
            sample = first_sample + done
            self._turn(sample)
            piece = slice(done, done + self._plain_samples(sample, len(out) - done))
            self._mix(out[piece], dry[piece], sample)
            done = piece.stop

    def _plain_samples(self, sample: int, left: int) -> int:
        """How many samples can be done at once: until the next turn, and never more than the echo's distance."""
        until = self._events.next_stamp("mix")
        count = min(left, WORK_SAMPLES, int(self._delay.before), int(self._delay.after))
        if until is not None and until > sample:
            count = min(count, until - sample)
        if not self._delay.settled(sample):
            count = min(count, self._delay.first + self._delay.samples - sample)
        return count

    def _turn(self, sample: int) -> None:
        while (turn := self._next_turn(sample)) is not None:
            if turn.name == "delay_seconds":
                self._delay = Ramp(
                    self._delay.after, self._delay_samples(turn.value), sample, self._delay.samples
                )  # fmt: skip
            else:
                self._ramps[turn.name] = self._ramps[turn.name].moved(_factor(turn.name, turn.value), sample)
            self._announce(turn.record(sample))

    def _next_turn(self, sample: int) -> Turn | None:
        turn = self._events.due("mix", sample)
        if turn is not None and turn.name == "delay_seconds" and not self._delay.settled(sample):
            later = self._delay.first + self._delay.samples
            self._events.put_back(turn, later)
            return self._next_turn(sample)
        return turn

    def _mix(self, out: np.ndarray, dry: np.ndarray, sample: int) -> None:
        count = len(out)
        value = self._value[:count]
        feedback, mix, gain = (self._ramps[name] for name in ("feedback", "mix", "gain_db"))
        if self._send is not None:
            self._send(out * feedback.at(sample, value))
        elif not (feedback.settled(sample) and feedback.after == 0.0):
            out += self._echo(sample, count) * feedback.at(sample, value)
        self._remember(out, sample)
        if not (mix.settled(sample) and mix.after == 1.0):
            share = mix.at(sample, value)
            np.multiply(out, share, out=out)
            out += dry * (1.0 - share)
        if not (gain.settled(sample) and gain.after == 1.0):
            out *= gain.at(sample, value)

    def _echo(self, sample: int, count: int) -> np.ndarray:
        """What was played one delay ago (`s ch`); from the old distance to the new one while that changes."""
        new = self._recall(sample - int(self._delay.after), self._work[0, :count])
        if self._delay.settled(sample):
            return new
        old = self._recall(sample - int(self._delay.before), self._work[1, :count])
        share = Ramp(0.0, 1.0, self._delay.first, self._delay.samples).at(sample, np.empty((count, 1), np.float32))
        return old + (new - old) * share

    def _remember(self, played: np.ndarray, sample: int) -> None:
        start = sample % len(self._line)
        first = min(len(played), len(self._line) - start)
        self._line[start : start + first] = played[:first]
        self._line[: len(played) - first] = played[first:]

    def _recall(self, sample: int, out: np.ndarray) -> np.ndarray:
        start = sample % len(self._line)
        first = min(len(out), len(self._line) - start)
        out[:first] = self._line[start : start + first]
        out[first:] = self._line[: len(out) - first]
        return out

    def _delay_samples(self, seconds: float) -> int:
        return max(1, round(seconds * self._rate))

    @staticmethod
    def _steady(name: str, values: Mapping[str, Any], ramp_samples: int) -> Ramp:
        value = _factor(name, values[name])
        return Ramp(value, value, -ramp_samples, ramp_samples)


def _factor(name: str, value: float) -> float:
    """What the samples are multiplied with."""
    if name != "gain_db":
        return value
    return 0.0 if value <= SILENCE_DB else float(10.0 ** (value / 20.0))
