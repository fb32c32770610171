"""A stand-in for the package sounddevice: devices that are there when a test says so, and callbacks on demand."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.io import sound_device
from tests.models import SAMPLE_RATE

PLAIN = SimpleNamespace(input_overflow=False, output_underflow=False)


class PortAudioError(Exception):
    """As the library's own."""


class CallbackAbort(Exception):
    """As the library's own."""


def device(index: int, name: str, *, inputs: int = 0, outputs: int = 0, rate: float = 44100.0) -> dict[str, Any]:
    """One entry of `query_devices`."""
    return {"index": index, "name": name, "hostapi": 0, "max_input_channels": inputs, "max_output_channels": outputs,
            "default_samplerate": rate,
            "default_low_input_latency": 0.01, "default_low_output_latency": 0.02}  # fmt: skip


class Stream:
    """A stream whose callback a test calls through `run`; with `chunk_seconds` it runs by itself when started."""

    latency: Any = (0.01, 0.02)

    def __init__(self, library: FakeSound, settings: dict[str, Any]) -> None:
        self.settings, self.active, self.closed, self.played = settings, False, False, []
        self._library, self._thread = library, None
        self._chunk = 0

    def start(self) -> None:
        """Begin to ask for sound."""
        self.active = True
        if self._library.chunk_samples:
            self._thread = threading.Thread(target=self._go_on, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self.active = False

    def close(self, ignore_errors: bool = True) -> None:
        """End for ever."""
        self.active, self.closed = False, True

    def unplug(self) -> None:
        """The device is pulled out: PortAudio ends the stream."""
        self.active = False
        self._library.start_scans()
        self.settings["finished_callback"]()

    def run(self, heard: np.ndarray | None, samples: int, *, status: Any = PLAIN) -> np.ndarray:
        """One call of the callback; what it played, `s ch`. An abort ends the stream."""
        channels = self.settings["channels"]
        out = np.full((samples, channels if heard is None else channels[1]), 7.0, np.float32)
        try:
            self.settings["callback"](*(() if heard is None else (heard,)), out, samples, None, status)
        except CallbackAbort:
            self.unplug()
        self.played.append(out)
        return out

    def _go_on(self) -> None:
        samples = self._library.chunk_samples
        both = isinstance(self.settings["channels"], tuple)
        while self.active:
            self.run(self._library.heard(self, samples) if both else None, samples)
            self._chunk += 1
            if self._chunk == self._library.unplugged_after_chunks and len(self._library.streams) == 1:
                self.unplug()
            time.sleep(self._library.chunk_seconds)


class FakeSound:
    """The module. `rates` are those that its devices take; `streams` are all that were opened.

    After an unplugging there is no device until PortAudio was started anew `back_after_scans` times.
    """

    PortAudioError, CallbackAbort = PortAudioError, CallbackAbort

    def __init__(
        self, devices: Sequence[dict[str, Any]] = (), *, rates: Sequence[int] = (8000, 22050, 44100),
        chunk_samples: int = 0, chunk_seconds: float = 0.005, unplugged_after_chunks: int = 0,
        back_after_scans: int = 1,
    ) -> None:  # fmt: skip
        self.devices, self.rates, self.streams = list(devices), rates, []
        self.default = SimpleNamespace(device=(1, 1))
        self.chunk_samples, self.chunk_seconds = chunk_samples, chunk_seconds
        self.unplugged_after_chunks, self.back_after_scans = unplugged_after_chunks, back_after_scans
        self.scans: int | None = None

    def heard(self, stream: Stream, samples: int) -> np.ndarray:
        """What comes in while `samples` are played, `s ch`: silence."""
        return np.zeros((samples, stream.settings["channels"][0]), np.float32)

    def _exit_handler(self) -> None:
        """What the module runs at the end of the process."""

    def start_scans(self) -> None:
        """From here on starts are counted."""
        self.scans = 0

    def _terminate(self) -> None:
        """End PortAudio, which no stream survives."""
        assert not any(stream.active for stream in self.streams)

    def _initialize(self) -> None:
        """Start PortAudio: it looks for devices."""
        self.scans = None if self.scans is None else self.scans + 1

    def query_devices(self) -> list[dict[str, Any]]:
        """All devices."""
        return [] if self.scans is not None and self.scans < self.back_after_scans else self.devices

    def query_hostapis(self) -> list[dict[str, Any]]:
        """One system."""
        return [{"name": "Fake"}]

    def check_output_settings(self, *, samplerate: int, **rest: Any) -> None:
        """Refuse other rates."""
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate.", -9997)

    check_input_settings = check_output_settings

    def Stream(self, **settings: Any) -> Stream:
        """A stream in full duplex."""
        self.streams.append(Stream(self, settings))
        return self.streams[-1]

    def OutputStream(self, **settings: Any) -> Stream:
        """A stream that only plays."""
        stream = self.Stream(**settings)
        stream.latency = 0.02
        return stream


class Cable(FakeSound):
    """Devices whose output comes back in, `delay_samples` later by this clock, with `gain` and under `noise`."""

    def __init__(self, *arguments: Any, delay_samples: int, gain: float = 0.5, noise: float = 0.0, **rest: Any) -> None:
        super().__init__(*arguments, **rest)
        self.delay_samples, self._gain, self._noise = delay_samples, gain, noise
        self._draws = np.random.default_rng(0)

    def heard(self, stream: Stream, samples: int) -> np.ndarray:
        """The output of `delay_samples` ago."""
        shape = (samples, stream.settings["channels"][0])
        out = np.concatenate([np.zeros((self.delay_samples, 1), np.float32), *(one[:, :1] for one in stream.played)])
        place = len(out) - self.delay_samples
        noise = self._draws.normal(0.0, self._noise, shape) if self._noise else np.zeros(shape)
        return (self._gain * out[place : place + samples] + noise).astype(np.float32)


LAPTOP = (
    device(0, "Built-in Microphone", inputs=1),
    device(1, "Built-in Speakers", outputs=2),
    device(2, "USB Interface", inputs=4, outputs=4),
    device(3, "USB Headset", inputs=1, outputs=1),
)


def waited(done: Callable[[], bool], *, seconds: float = 5.0) -> bool:
    """Whether `done` became true in time."""
    until = time.monotonic() + seconds
    while not done() and time.monotonic() < until:
        time.sleep(0.005)
    return done()


def laptop_that_plays(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    """The module sounddevice for a test: a laptop's devices, which ask for sound by themselves."""
    fake = FakeSound(LAPTOP, rates=(SAMPLE_RATE, 44100), chunk_samples=64, chunk_seconds=0.004)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    monkeypatch.setattr(sound_device, "FADE_STEPS", 50)
    return fake
