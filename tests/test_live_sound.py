"""A session on a sound device that a test calls: exact samples, levels, rates, and a device that goes away."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io import sound_device
from lmdm_adapter.io.devices import SoundPlan, planned, sound_ports
from lmdm_adapter.io.meters import FLOOR_DB, Meter
from lmdm_adapter.io.outlet import OtherRate, spread
from lmdm_adapter.io.sound_device import SoundDevice
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.modes import EchoMode
from tests.session_makers import FACTS, NoiseMaker, filled, noise_engine, played
from tests.sound_library import LAPTOP, FakeSound, PortAudioError, Stream, waited

PORTS = sound_ports(FakeSound(LAPTOP))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody calls these devices while they close, so there is no fade to wait for."""
    monkeypatch.setattr(sound_device, "FADE_STEPS", 1)


def opened(
    engine: Engine, *, library: FakeSound | None = None, source: Any = None, output: Any = PORTS[1], **settings: Any
) -> tuple[SoundDevice, FakeSound]:
    """A device for the engine, on a library of its own."""
    library = library or FakeSound(LAPTOP)
    rates = {"sample_rate": FACTS.sample_rate, "channels": FACTS.channels}
    return SoundDevice(engine, planned(library, output, source, **rates), library, **settings), library


def test_what_the_device_plays_is_what_the_engine_gives_to_the_bit() -> None:
    engine = noise_engine()
    device, library = opened(engine)
    parts = []
    with device:
        (stream,) = library.streams
        for samples in (160, 1, 1200, 77):
            filled(engine)
            parts.append(stream.run(None, samples))
        filled(engine)
    assert np.array_equal(np.concatenate(parts), played(noise_engine(), 1438))
    assert stream.settings["latency"] == "low" and stream.settings["dtype"] == "float32" and stream.closed


def test_full_duplex_hears_before_it_plays_and_delays_exactly() -> None:
    """Dry sound comes out in the very call that brought it in; the mode's delay is the delay and nothing more."""
    mode = EchoMode(channels=2, frame_samples=64, delay_frames=60)
    source = (FACTS.sample_rate, 2)
    engine = noise_engine(mode=mode, source=source, values={"prompt": "a", "mix": 1.0})
    dry = noise_engine(source=source, values={"prompt": "a", "mix": 0.0})
    heard = np.random.default_rng(0).uniform(-0.5, 0.5, (9600, 2)).astype(np.float32)
    for session, delay in ((engine, 60 * FACTS.frame_samples), (dry, 0)):
        device, library = opened(session, source=PORTS[2])
        parts = []
        with device:
            for start in range(0, len(heard), 128):
                parts.append(library.streams[0].run(heard[start : start + 128], 128))
                filled(session)
        joined = np.concatenate(parts)
        assert np.array_equal(joined[delay:], heard[: len(heard) - delay]), f"a delay of {delay} samples"
        assert not joined[:delay].any()


def test_the_devices_latency_is_part_of_the_budget() -> None:
    engine = noise_engine(source=(FACTS.sample_rate, 2))
    device, _ = opened(engine, source=PORTS[2])
    with device:
        budget = engine.budget(device_seconds=device.latency_seconds)
        assert dict(budget.parts)["device"] == pytest.approx(0.03)
    device, _ = opened(noise_engine())
    with device:
        assert device.latency_seconds == pytest.approx(0.02)


def test_seconds_now_is_what_is_heard_now() -> None:
    now = SimpleNamespace(seconds=100.0)
    engine = noise_engine()
    device, library = opened(engine, now=lambda: now.seconds)
    with device:
        for _ in range(10):
            library.streams[0].run(None, 80)
        now.seconds += 0.005
        assert device.seconds_now() == pytest.approx(0.1 + 0.005 - 0.02)


def test_a_device_that_is_unplugged_is_lost_and_the_session_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio may abort the process when it is ended after that, so it is left to the system; else it is not."""
    left: list[Any] = []
    monkeypatch.setattr("atexit.unregister", left.append)
    with opened(noise_engine())[0]:
        pass
    assert left == []
    engine = noise_engine()
    device, library = opened(engine)
    with device:
        filled(engine)
        library.streams[0].run(None, 160)
        assert device.lost is None
        library.streams[0].unplug()
        assert device.lost == "its stream ended"
    assert library.streams[0].closed and engine.failure is None and left == [library._exit_handler]


def test_a_device_that_asks_for_nothing_is_lost() -> None:
    now = SimpleNamespace(seconds=0.0)
    device, _ = opened(noise_engine(), now=lambda: now.seconds)
    with device:
        now.seconds = 1.9
        assert device.lost is None
        now.seconds = 2.1
        assert "asked for nothing" in str(device.lost)


def test_a_bug_in_the_callback_is_silence_and_an_end() -> None:
    engine = noise_engine()
    device, library = opened(engine)
    with device:
        engine.pull = None  # type: ignore[assignment]
        device._outlet._pull = None  # type: ignore[attr-defined]
        assert not library.streams[0].run(None, 64).any()
        assert str(device.lost).startswith("TypeError")


def test_a_device_that_does_not_open_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(stream: Stream) -> None:
        raise PortAudioError("Device unavailable", -9985)

    monkeypatch.setattr(Stream, "start", refuse)
    device, library = opened(noise_engine())
    with pytest.raises(LmdmError, match="Cannot open 'Built-in Speakers': Device unavailable; is another program"):
        device.__enter__()
    assert library.streams[0].closed


def test_what_the_device_missed_is_counted() -> None:
    engine = noise_engine(source=(FACTS.sample_rate, 2))
    device, library = opened(engine, source=PORTS[2])
    late = SimpleNamespace(input_overflow=True, output_underflow=True)
    with device:
        for status in (late, SimpleNamespace(input_overflow=False, output_underflow=False), late):
            library.streams[0].run(np.zeros((32, 2), np.float32), 32, status=status)
    assert (device.underflows, device.overflows) == (2, 2)


def test_leaving_fades_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is asked on until the music is silent: the end of a session is no click."""
    monkeypatch.setattr(sound_device, "FADE_STEPS", 200)
    engine = noise_engine()
    library = FakeSound(LAPTOP, chunk_samples=40, chunk_seconds=0.001)
    filled(engine)
    device, _ = opened(engine, library=library)
    with device:
        assert waited(lambda: engine.player.sample >= 200)
    joined = np.concatenate(library.streams[0].played)
    assert engine.player.doing == "ended" and np.abs(joined[:100]).max() > 0.3
    assert not joined[-1].any() or len(joined) - engine.player.sample < 40


def test_a_mono_device_plays_the_mean_and_a_mono_session_both_sides() -> None:
    stereo, mono = np.array([[0.5, -0.25], [1.0, 0.0]], np.float32), np.zeros((2, 1), np.float32)
    spread(stereo, mono)
    assert mono[:, 0].tolist() == [0.125, 0.5]
    out = np.full((2, 2), 9.0, np.float32)
    spread(mono, out)
    assert np.array_equal(out, np.repeat(mono, 2, axis=1))
    engine = noise_engine()
    device, library = opened(engine, output=PORTS[3])
    filled(engine)
    with device:
        out = library.streams[0].run(None, 600)
    assert np.allclose(out[:, 0], played(noise_engine(), 600).mean(axis=1), atol=1e-7)


def test_another_rate_is_resampled_whatever_the_chunks() -> None:
    def tone(rate: int, count: int) -> np.ndarray:
        return np.sin(2 * np.pi * 440 * np.arange(count) / rate)[:, None].astype(np.float32)

    outs = []
    for chunks in ((512,) * 20, (1, 1000, 2048) * 3 + (1093,)):
        source, place = tone(8000, 6000), [0]

        def pull(room: np.ndarray, source: np.ndarray = source, place: list[int] = place) -> None:
            room[:] = source[place[0] : place[0] + len(room)]
            place[0] += len(room)

        outlet = OtherRate(pull, channels=1, device_channels=2, sample_rate=8000, device_rate=22050)
        parts = [np.zeros((count, 2), np.float32) for count in chunks]
        for part in parts:
            outlet.fill(part)
        outs.append(np.concatenate(parts))
        assert 0.0 <= outlet.held_seconds < 0.15
    assert np.array_equal(outs[0], outs[1])
    wanted = tone(22050, len(outs[0]))[:, 0]
    middle = slice(2000, 9000)
    error = min(np.abs(np.roll(wanted, -shift)[middle] - outs[0][middle, 0]).max() for shift in range(-60, 60))
    assert error < 0.05 and np.array_equal(outs[0][:, 0], outs[0][:, 1])


def test_rates_too_far_apart_are_refused() -> None:
    with pytest.raises(LmdmError, match="cannot be resampled"):
        OtherRate(lambda room: None, channels=1, device_channels=1, sample_rate=8000, device_rate=1)


def test_a_meter_shows_the_loudest_and_forgets_it() -> None:
    meter = Meter(2)
    meter.see(np.array([[0.5, 0.0], [-1.0, 0.0]], np.float32))
    meter.see(np.full((3000, 2), 0.1, np.float32))
    assert meter.levels_db() == pytest.approx((0.0, -20.0))
    assert meter.levels_db() == (FLOOR_DB, FLOOR_DB)
    meter.see(np.array([[np.nan, 0.1]], np.float32))
    assert meter.levels_db()[0] == FLOOR_DB


def test_the_callback_takes_no_new_memory_for_sound() -> None:
    """What it allocates does not grow with the chunk: all sound goes through rooms that were there before."""
    import tracemalloc

    engine = noise_engine(NoiseMaker())
    filled(engine)
    device, library = opened(engine)
    with device:
        stream, out = library.streams[0], np.zeros((1024, 2), np.float32)
        stream.settings["callback"](out, 1024, None, SimpleNamespace(output_underflow=False))
        tracemalloc.start()
        stream.settings["callback"](out, 1024, None, SimpleNamespace(output_underflow=False))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert out.any() and peak < out.nbytes / 2


def test_the_beat_of_the_bar_is_that_of_what_is_played() -> None:
    engine = noise_engine(values={"prompt": "a", "tempo_bpm": 120.0, "beats_per_bar": 3})
    filled(engine)
    for samples, beat in ((1000, 0.25), (4000, 1.25), (7000, 0.0), (12000, 0.0)):
        played(engine, samples)
        assert engine.beat == pytest.approx(beat), "a beat has 4000 samples, a bar 12000"
    assert noise_engine().beat is None


def test_a_plan_tells_the_engine_its_input() -> None:
    assert SoundPlan(PORTS[1], None, 44100, 2).engine_source is None
    assert SoundPlan(PORTS[1], PORTS[0], 48000, 2, 1).engine_source == (48000, 1)
