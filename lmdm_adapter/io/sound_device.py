"""A session on sound devices: one stream in full duplex whose callback hears, plays, and measures levels."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.devices import SoundPlan, sound_reason
from lmdm_adapter.io.meters import Meter
from lmdm_adapter.io.outlet import OtherRate, Outlet, SameRate
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.performer import raised_cosine

log = logging.getLogger(__name__)

SILENT_SECONDS = 2.0
"""A device whose callback has not come for so long is gone, whatever its library says."""
FADE_STEPS = 100
CLOSE_SECONDS = 3.0
STEP_SECONDS = 0.01
FADE_IN_SECONDS = 0.5
"""After a device came back: the music goes on in mid-bar, for ears that heard nothing."""


class SoundDevice:
    """Plays `engine` on the devices of `plan` within a `with` block, whose end fades out.

    The callback calls `engine.hear`, then `engine.pull`, so dry sound comes out in the very call that brought it in.
    `lost` says why the device plays no more, or is None; the session and its recording do not depend on it.
    `underflows` and `overflows` count what the device itself missed. `reopen` puts another stream in place of a lost
    one. Raises LmdmError when it cannot be opened.
    """

    def __init__(
        self, engine: Engine, plan: SoundPlan, library: Any, *, now: Callable[[], float] = time.perf_counter
    ) -> None:
        self.plan, self.underflows, self.overflows = plan, 0, 0
        self.output_meter, self.input_meter = Meter(plan.output_channels), Meter(max(1, plan.source_channels))
        self._engine, self._library, self._now = engine, library, now
        self._outlet = _outlet(engine, plan)
        self._failure: Exception | None = None
        self._stream: Any = None
        self._ended = threading.Event()
        self._called_at, self._sample = now(), 0
        self._fade_in, self._faded = np.zeros((0, 1), np.float32), 0

    def __enter__(self) -> SoundDevice:
        self._begin()
        log.info("%s at %d Hz, latency %.1f ms", self.name, self.plan.sample_rate, 1000.0 * self.latency_seconds)
        return self

    def _begin(self) -> None:
        try:
            self._stream = self._opened()
            self._called_at = self._now()
            self._stream.start()
        except (self._library.PortAudioError, ValueError) as error:
            self._shut()
            raise LmdmError(f"Cannot open {self.name}: {sound_reason(error)}; is another program using it?") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fade_out()
        self._shut()

    @property
    def name(self) -> str:
        """The devices' names, for sentences."""
        source = self.plan.source
        return repr(self.plan.output.name) + ("" if source is None else f" with input {source.name!r}")

    @property
    def latency_seconds(self) -> float:
        """From the input's socket to the output's, as the device says, and what resampling holds."""
        return self.claimed_seconds + self.held_seconds

    @property
    def claimed_seconds(self) -> float:
        """The round trip, or without an input the way out, as the device says."""
        return 0.0 if self._stream is None else float(np.sum(self._stream.latency))

    @property
    def held_seconds(self) -> float:
        """What resampling holds."""
        return self._outlet.held_seconds

    @property
    def sample(self) -> int:
        """The session's sample that is pulled next."""
        return self._engine.player.sample

    @property
    def session_rate(self) -> int:
        """The session's own rate, in Hz."""
        return self._engine.facts.sample_rate

    @property
    def broken(self) -> bool:
        """Whether it was a fault in the callback that ended it: no device would mend that."""
        return self._failure is not None

    def close_lost(self) -> bool:
        """Close the stream of a device that is gone; whether the library managed to."""
        closed, self._stream = self._close(gone=True), None
        return closed

    def reopen(self, plan: SoundPlan) -> None:
        """Play on by `plan`, after `close_lost`: the session goes on where it was, faded in.

        Raises LmdmError when the device cannot be opened, or hears at another rate or in other channels than before.
        """
        if plan.engine_source != self.plan.engine_source:
            raise LmdmError(f"{self.name} came back with another input than before.")
        self.plan, self._outlet = plan, _outlet(self._engine, plan)
        self.output_meter = Meter(plan.output_channels)
        self._fade_in, self._faded = raised_cosine(round(FADE_IN_SECONDS * plan.sample_rate)), 0
        self._begin()

    @property
    def lost(self) -> str | None:
        """Why the device plays no more, or None while it does."""
        if self._failure is not None:
            return f"{type(self._failure).__name__}: {self._failure}"
        if self._ended.is_set() or not self._active:
            return "its stream ended"
        if self._now() - self._called_at > SILENT_SECONDS:
            return f"it has asked for nothing for {SILENT_SECONDS:g} s"
        return None

    @property
    def _active(self) -> bool:
        try:
            return self._stream is not None and bool(self._stream.active)
        except self._library.PortAudioError:
            return False

    def seconds_now(self) -> float:
        """The session's time that is heard now: what was pulled last, less what still waits in the device."""
        latency = 0.0 if self._stream is None else self._stream.latency
        output_latency = float(np.ravel(latency)[-1])
        waiting = output_latency + self._outlet.held_seconds
        played = self._sample / self._engine.facts.sample_rate
        return max(0.0, played + self._now() - self._called_at - waiting)

    def fade_out(self) -> None:
        """Fade the music out and wait until it is silent, or the device is gone."""
        self._engine.stop()
        for _ in range(FADE_STEPS):
            if self._engine.player.doing == "ended" or self.lost is not None:
                return
            time.sleep(STEP_SECONDS)

    def _opened(self) -> Any:
        plan, library = self.plan, self._library
        self._ended = threading.Event()  # one for each stream: a closed one may tell its end late
        settings = {
            "samplerate": plan.sample_rate, "blocksize": plan.chunk_samples, "dtype": "float32",
            "latency": "low" if plan.latency_seconds is None else plan.latency_seconds,
            "finished_callback": self._ended.set,
        }  # fmt: skip
        if plan.source is None:
            return library.OutputStream(
                device=plan.output.index, channels=plan.output_channels, callback=self._plays, **settings
            )
        return library.Stream(
            device=(plan.source.index, plan.output.index), channels=(plan.source_channels, plan.output_channels),
            callback=self._hears_and_plays, **settings,
        )  # fmt: skip

    def _hears_and_plays(self, heard: np.ndarray, out: np.ndarray, samples: int, when: Any, status: Any) -> None:
        self.overflows += bool(status.input_overflow)
        try:
            self.input_meter.see(heard)
            self._engine.hear(heard)
        except Exception as error:
            self._fail(error, out)
        self._plays(out, samples, when, status)

    def _plays(self, out: np.ndarray, samples: int, when: Any, status: Any) -> None:
        self.underflows += bool(status.output_underflow)
        try:
            self._outlet.fill(out)
            self._fade(out)
            self.output_meter.see(out)
        except Exception as error:
            self._fail(error, out)
        self._called_at, self._sample = self._now(), self._engine.player.sample

    def _fade(self, out: np.ndarray) -> None:
        """Fade in what is played after a reopening, in place."""
        if self._faded < len(self._fade_in):
            gains = self._fade_in[self._faded : self._faded + len(out)]
            out[: len(gains)] *= gains
            self._faded += len(gains)

    def _fail(self, error: Exception, out: np.ndarray) -> None:
        """A bug must not scream into the room: silence, and the stream ends."""
        self._failure = error
        out.fill(0.0)
        raise self._library.CallbackAbort from error

    def _shut(self) -> None:
        gone = self.lost is not None
        self._close(gone=gone)
        if gone:
            _leave_to_the_system(self._library)

    def _close(self, *, gone: bool) -> bool:
        """Close the stream, if any. A library may hang on a device that is gone: that is waited for only so long."""
        if self._stream is None:
            return True
        closer = threading.Thread(target=self._close_stream, args=(self._stream, gone), daemon=True)
        closer.start()
        closer.join(CLOSE_SECONDS)
        if closer.is_alive():
            log.info("%s does not close; it is left to the system.", self.name)
        return not closer.is_alive()

    def _close_stream(self, stream: Any, gone: bool) -> None:
        try:
            if not gone:
                stream.stop()
            stream.close(ignore_errors=True)
        except self._library.PortAudioError as error:
            log.info("%s closed with: %s", self.name, sound_reason(error))


def _outlet(engine: Engine, plan: SoundPlan) -> Outlet:
    facts = engine.facts
    channels = {"channels": facts.channels, "device_channels": plan.output_channels}
    if plan.sample_rate == facts.sample_rate:
        return SameRate(engine.pull, **channels)
    return OtherRate(engine.pull, sample_rate=facts.sample_rate, device_rate=plan.sample_rate, **channels)


def _leave_to_the_system(library: Any) -> None:
    """Do not end PortAudio with the process: its release 19.6 aborts by an assertion once a JACK server is gone."""
    handler = getattr(library, "_exit_handler", None)
    if handler is not None:
        atexit.unregister(handler)
