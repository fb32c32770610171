"""How late a pair of sound devices is: pings are played and found in what the input hears."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.devices import SoundPlan, sound_reason
from lmdm_adapter.session.loopback import Found, found_ping, ping

PINGS, LEAST_AGREEING = 5, 3
SLOT_SECONDS = 1.0
"""From one ping to the next: the longest round trip that can be told."""
FIRST_SECONDS = 0.5
"""Before the first ping: devices fade in, and miss more at their start."""
AGREEING_SECONDS = 0.001
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class RoundTrip:
    """From what is played to what is heard: `samples` at `sample_rate`, as `agreeing` of `pings` pings say.

    `likeness` is how alike the worst of these was to what was sent, from 0 to 1, and `elsewhere` how alike anything
    else was that was heard; `claimed_seconds` is what the device says.
    """

    samples: int
    sample_rate: int
    likeness: float
    elsewhere: float
    agreeing: int
    claimed_seconds: float
    pings: int = PINGS

    @property
    def milliseconds(self) -> float:
        """The round trip in ms."""
        return 1000.0 * self.samples / self.sample_rate

    def to_json(self) -> dict[str, Any]:
        """All figures as one JSON object."""
        return {**asdict(self), "milliseconds": self.milliseconds}


def round_trip(library: Any, plan: SoundPlan) -> RoundTrip:
    """Play pings on the devices of `plan` and listen, for about six seconds.

    Raises LmdmError for a plan without an input, devices that do not open or stop, no ping in what is heard, or pings
    that do not agree.
    """
    if plan.source is None:
        raise LmdmError("A calibration needs an input to listen with; give --input.")
    pinger = _Pinger(plan)
    try:
        stream = library.Stream(
            device=(plan.source.index, plan.output.index), channels=(plan.source_channels, plan.output_channels),
            samplerate=plan.sample_rate, blocksize=plan.chunk_samples, dtype="float32", callback=pinger,
            latency="low" if plan.latency_seconds is None else plan.latency_seconds,
        )  # fmt: skip
        done, claimed = _played(stream, pinger)
    except (library.PortAudioError, ValueError) as error:
        raise LmdmError(f"Cannot calibrate {plan.output.name!r}: {sound_reason(error)}; is it in use?") from error
    if not done:
        raise LmdmError(f"The sound device {plan.output.name!r} stopped in mid-calibration; try again.")
    return agreed(pinger.found(), sample_rate=plan.sample_rate, claimed_seconds=claimed)


def _played(stream: Any, pinger: _Pinger) -> tuple[bool, float]:
    """Whether all was played, and the round trip that the stream claims."""
    try:
        stream.start()
        return pinger.wait(), float(np.sum(stream.latency))
    finally:
        stream.close(ignore_errors=True)


def agreed(found: list[Found], *, sample_rate: int, claimed_seconds: float = 0.0) -> RoundTrip:
    """The median of what was found. Raises LmdmError when fewer than three lie within a millisecond of it."""
    middle = int(np.median([one.samples for one in found]))
    near = [one for one in found if abs(one.samples - middle) <= AGREEING_SECONDS * sample_rate]
    if len(near) < LEAST_AGREEING:
        places = ", ".join(f"{1000.0 * one.samples / sample_rate:.1f}" for one in found)
        raise LmdmError(
            f"The round trip is not steady: {places} ms over {PINGS} pings; give a longer --latency, end what else "
            "uses the machine, and try again."
        )
    return RoundTrip(
        int(np.median([one.samples for one in near])), sample_rate, min(one.likeness for one in near),
        max(one.elsewhere for one in near), len(near), claimed_seconds,
    )  # fmt: skip


class _Pinger:
    """A callback that plays silence and pings, and keeps what it hears."""

    def __init__(self, plan: SoundPlan) -> None:
        self._rate, sent = plan.sample_rate, ping(plan.sample_rate)
        self._slot, first = round(SLOT_SECONDS * self._rate), round(FIRST_SECONDS * self._rate)
        self._starts = [first + index * self._slot for index in range(PINGS)]
        self._sound = np.zeros((first + PINGS * self._slot, 1), np.float32)
        for start in self._starts:
            self._sound[start : start + len(sent), 0] = sent
        self._heard = np.zeros((len(self._sound), plan.source_channels), np.float32)
        self._place, self._done = 0, threading.Event()

    def __call__(self, heard: np.ndarray, out: np.ndarray, samples: int, when: Any, status: Any) -> None:
        count = min(samples, len(self._sound) - self._place)
        piece = slice(self._place, self._place + count)
        out[:count], out[count:] = self._sound[piece], 0.0
        self._heard[piece] = heard[:count]
        self._place += count
        if self._place == len(self._sound):
            self._done.set()

    def wait(self) -> bool:
        """Whether all of it was played in time."""
        until = time.monotonic() + len(self._sound) / self._rate + PATIENCE_SECONDS
        return self._done.wait(max(0.0, until - time.monotonic()))

    def found(self) -> list[Found]:
        """What each ping's slot says. Raises LmdmError when none has a ping."""
        found, refused = [], LmdmError("No ping was played.")
        for start in self._starts:
            try:
                found.append(found_ping(self._heard[start : start + self._slot], sample_rate=self._rate))
            except LmdmError as error:
                refused = error
        if not found:
            raise refused
        return found
