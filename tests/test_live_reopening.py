"""A sound device that goes away in mid-stream: waited for, found again, and played on to the sample."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.io import sound_device
from lmdm_adapter.io.devices import planned, sound_ports
from lmdm_adapter.io.reopening import Reopening
from lmdm_adapter.io.sound_device import SoundDevice
from lmdm_adapter.session.engine import Engine
from tests.session_makers import FACTS, filled, noise_engine, played
from tests.sound_library import LAPTOP, FakeSound

PORTS = sound_ports(FakeSound(LAPTOP))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody calls these devices while they close, so there is no fade to wait for."""
    monkeypatch.setattr(sound_device, "FADE_STEPS", 1)


def opened(
    engine: Engine, *, library: FakeSound | None = None, source: Any = None, output: Any = PORTS[1]
) -> tuple[SoundDevice, FakeSound]:
    """A device for the engine, on a library of its own."""
    library = library or FakeSound(LAPTOP)
    rates = {"sample_rate": FACTS.sample_rate, "channels": FACTS.channels}
    return SoundDevice(engine, planned(library, output, source, **rates), library), library


def watched(device: SoundDevice, library: FakeSound, now: SimpleNamespace, seconds: float) -> tuple[Reopening, list]:
    """A watch over the device on a clock of the test's own, and what it told."""
    told: list[dict[str, Any]] = []
    return Reopening(device, library, seconds=seconds, announce=told.append, now=lambda: now.seconds), told


def test_a_device_that_comes_back_fades_in_where_the_session_was() -> None:
    now, engine = SimpleNamespace(seconds=0.0), noise_engine()
    library = FakeSound(LAPTOP, back_after_scans=2)
    device, _ = opened(engine, library=library)
    watch, told = watched(device, library, now, 30.0)
    with device:
        filled(engine)
        library.streams[0].run(None, 160)
        assert watch.plays_or_waits() and watch.left_seconds is None and told == []
        library.streams[0].unplug()
        for now.seconds in (0.0, 0.5, 1.0, 1.1):
            assert watch.plays_or_waits()
        assert watch.left_seconds is None and len(library.streams) == 2
        parts = []
        for _ in range(60):
            filled(engine)
            parts.append(library.streams[1].run(None, 100))
    assert [one["what"] for one in told] == ["lost", "back"] and told[1]["gap_seconds"] == pytest.approx(1.0)
    assert told[0]["sample"] == told[1]["sample"] == 160
    wanted, heard, fade = played(noise_engine(), 6160)[160:], np.concatenate(parts), FACTS.sample_rate // 2
    assert np.array_equal(heard[fade:], wanted[fade:]), "not a sample of the music is lost"
    gains = np.abs(heard[:fade]).sum(axis=1) / np.abs(wanted[:fade]).sum(axis=1)
    assert gains[0] < 1e-4 and (np.diff(gains) > -1e-4).all() and gains[-1] > 0.999


@pytest.mark.parametrize(("seconds", "change"), [(0.0, None), (30.0, "bug"), (30.0, "JACK Audio Connection Kit")])
def test_a_device_that_cannot_come_back_is_not_waited_for(seconds: float, change: str | None) -> None:
    """Nor is one whose callback failed: that would fail again. What ended a JACK server ends PortAudio too."""
    engine, now = noise_engine(), SimpleNamespace(seconds=0.0)
    output = replace(PORTS[1], system=change) if change and change != "bug" else PORTS[1]
    device, library = opened(engine, output=output)
    watch, told = watched(device, library, now, seconds)
    with device:
        if change == "bug":
            device._outlet._pull = None  # type: ignore[attr-defined]
            library.streams[0].run(None, 64)
        else:
            library.streams[0].unplug()
        assert not watch.plays_or_waits() and told[0]["what"] == "lost" and len(library.streams) == 1


def test_a_device_that_comes_back_with_another_input_is_not_taken() -> None:
    engine, now = noise_engine(source=(FACTS.sample_rate, 2)), SimpleNamespace(seconds=0.0)
    device, library = opened(engine, source=PORTS[2])
    watch, _ = watched(device, library, now, 5.0)
    with device:
        library.streams[0].unplug()
        library.devices = [*LAPTOP[:2], {**LAPTOP[2], "max_input_channels": 1}]
        for now.seconds in (0.0, 1.5, 4.9):
            assert watch.plays_or_waits()
        assert len(library.streams) == 1
        now.seconds = 5.1
        assert not watch.plays_or_waits() and watch.reason == "its stream ended"
