"""Loopback calibration: the round trip of devices is found to the sample, or refused in a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io import calibration
from lmdm_adapter.io.calibration import PINGS, agreed, round_trip
from lmdm_adapter.io.devices import SoundPlan, sound_ports
from lmdm_adapter.session.loopback import Found
from tests.sound_library import LAPTOP, Cable, FakeSound, Stream

RATE = 8000
PORTS = sound_ports(FakeSound(LAPTOP))
PLAN = SoundPlan(PORTS[1], PORTS[2], RATE, 2, 2)


def cable(delay_samples: int, **settings: Any) -> Cable:
    return Cable(LAPTOP, chunk_samples=400, chunk_seconds=0.0, delay_samples=delay_samples, **settings)


@pytest.mark.parametrize("delay_samples", [400, 737, 5000])
def test_the_round_trip_is_exact(delay_samples: int) -> None:
    found = round_trip(cable(delay_samples), PLAN)
    assert (found.samples, found.sample_rate, found.agreeing) == (delay_samples, RATE, PINGS)
    assert found.milliseconds == pytest.approx(delay_samples / 8) and found.claimed_seconds == pytest.approx(0.03)
    assert found.likeness > 0.99 and found.elsewhere < 0.5


def test_noise_lowers_the_confidence_and_not_the_accuracy() -> None:
    clean, noisy = (round_trip(cable(999, noise=noise), PLAN) for noise in (0.0, 0.05))
    assert abs(noisy.samples - 999) <= 1 and noisy.likeness < clean.likeness - 0.05
    with pytest.raises(LmdmError, match=r"No ping was found|not steady"):
        round_trip(cable(999, noise=2.0), PLAN)


def test_silence_is_refused_with_the_cure() -> None:
    library = cable(500, gain=0.0)
    with pytest.raises(LmdmError, match=r"No ping was found in 1\.00 s of input.*turn up the output"):
        round_trip(library, PLAN)
    assert library.streams[0].closed


def test_a_device_without_an_input_cannot_be_calibrated() -> None:
    with pytest.raises(LmdmError, match="needs an input"):
        round_trip(cable(500), SoundPlan(PORTS[1], None, RATE, 2))


def test_a_device_that_stops_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "PATIENCE_SECONDS", -5.4)
    library = FakeSound(LAPTOP)
    with pytest.raises(LmdmError, match="'Built-in Speakers' stopped in mid-calibration"):
        round_trip(library, PLAN)
    assert library.streams[0].closed


def test_a_device_that_does_not_open_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(stream: Stream) -> None:
        raise stream._library.PortAudioError("Device unavailable", -9985)

    monkeypatch.setattr(Stream, "start", refuse)
    library = cable(500)
    with pytest.raises(LmdmError, match="Cannot calibrate 'Built-in Speakers': Device unavailable"):
        round_trip(library, PLAN)
    assert library.streams[0].closed


def test_pings_that_do_not_agree_are_refused() -> None:
    def found(*places: int) -> list[Found]:
        return [Found(place, 0.9, 0.1) for place in places]

    assert agreed(found(400, 401, 402, 800, 1200), sample_rate=RATE).agreeing == 3, "two periods were missed"
    with pytest.raises(LmdmError, match="not steady: 50.0, 75.0, 100.0, 125.0 ms over 5 pings"):
        agreed(found(400, 600, 800, 1000), sample_rate=RATE)
    with pytest.raises(LmdmError, match="not steady"):
        agreed(found(400, 400), sample_rate=RATE)


def test_the_pings_are_heard_at_a_bearable_level() -> None:
    library = cable(500)
    round_trip(library, PLAN)
    sound = np.concatenate(library.streams[0].played)
    assert 0.3 < np.abs(sound).max() <= 0.5 and not sound[: RATE // 2].any()
    assert np.array_equal(sound[:, 0], sound[:, 1]), "on all channels"
