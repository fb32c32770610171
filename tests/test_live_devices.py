"""Which sound device is meant, how it is opened, and what is said where there is none."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.devices import (
    SoundPort,
    chosen,
    default_index,
    found_again,
    planned,
    sound_library,
    sound_ports,
)
from tests.sound_library import LAPTOP, FakeSound, device

PORTS = sound_ports(FakeSound(LAPTOP))


@pytest.mark.parametrize(
    ("wanted", "side", "index"),
    [
        (None, "output", 1), ("2", "output", 2), ("2", "input", 2), ("headset", "output", 3), ("speakers", "output", 1),
        ("Built-in Microphone", "input", 0), ("built", "output", 1),
    ],
)  # fmt: skip
def test_a_device_is_found_by_number_and_by_a_part_of_its_name(wanted: str | None, side: Any, index: int) -> None:
    assert chosen(PORTS, wanted, side, default=1).index == index


@pytest.mark.parametrize(
    ("wanted", "side", "words"),
    [
        ("usb", "output", "fits several sound outputs; there are 2 'USB Interface', 3 'USB Headset'"),
        ("gramophone", "output", "'gramophone' is no sound output; there are 1 'Built-in Speakers'"),
        ("0", "output", "'0' is no sound output"),
        ("17", "input", "'17' is no sound input"),
    ],
)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(wanted: str, side: Any, words: str) -> None:
    with pytest.raises(LmdmError, match="list-devices") as refused:
        chosen(PORTS, wanted, side)
    assert words in str(refused.value)


def test_a_machine_without_sound_is_told_what_to_do() -> None:
    with pytest.raises(LmdmError, match="no sound output here; connect a device, or start a sound server such as JACK"):
        chosen((), None, "output")
    assert chosen(PORTS, None, "output", default=-1).index == 1, "without a choice of the system the first one plays"


def test_the_session_plays_at_its_own_rate_where_the_device_takes_it() -> None:
    library = FakeSound(LAPTOP, rates=(22050, 44100))
    plan = planned(library, PORTS[1], None, sample_rate=22050, channels=2)
    assert (plan.sample_rate, plan.output_channels, plan.engine_source) == (22050, 2, None)
    plan = planned(library, PORTS[1], PORTS[0], sample_rate=8000, channels=2)
    assert (plan.sample_rate, plan.source_channels, plan.engine_source) == (44100, 1, (44100, 1))
    assert planned(library, PORTS[3], PORTS[2], sample_rate=22050, channels=1).engine_source == (22050, 1)


def test_devices_that_share_no_rate_are_refused() -> None:
    with pytest.raises(LmdmError, match="'Built-in Speakers' and 'USB Headset' take neither 8000 Hz nor 44100 Hz"):
        planned(FakeSound(LAPTOP, rates=()), PORTS[1], PORTS[3], sample_rate=8000, channels=2)


def test_a_latency_that_cannot_be_is_refused() -> None:
    with pytest.raises(LmdmError, match="between 0 and 10 s, got -1"):
        planned(FakeSound(LAPTOP), PORTS[1], None, sample_rate=8000, channels=2, latency_seconds=-1.0)


def test_a_missing_package_is_a_sentence_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(LmdmError, match=r"pip install 'lmdm-adapter\[live\]'"):
        sound_library()


def test_a_missing_portaudio_is_a_sentence_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    original = builtins.__import__

    def importing(name: str, *rest: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return original(name, *rest)

    monkeypatch.setattr("importlib.import_module", importing)
    with pytest.raises(LmdmError, match=r"PortAudio .*not found.*apt-get install libportaudio2"):
        sound_library()


def test_a_device_is_found_again_under_another_number() -> None:
    def ports(*names: str) -> tuple[SoundPort, ...]:
        return sound_ports(FakeSound([device(index, name, outputs=2) for index, name in enumerate(names)]))

    (was,) = ports("USB Audio: - (hw:1,0)")
    for names, index in ((("HDMI", "USB Audio: - (hw:1,0)"), 1), (("USB Audio: - (hw:2,0)", "HDMI"), 0),
                         (("USB Audio: - (hw:2,0)", "USB Audio: - (hw:1,0)"), 1)):  # fmt: skip
        again = found_again(ports(*names), was, "output")
        assert again is not None and again.index == index
    assert found_again(ports("HDMI"), was, "output") is None
    assert found_again(ports("USB Audio: - (hw:2,0)", "USB Audio: - (hw:3,0)"), was, "output") is None, "which?"
    assert found_again(ports("USB Audio: - (hw:1,0)"), was, "input") is None


def test_the_default_is_the_systems() -> None:
    assert default_index(FakeSound(LAPTOP), "output") == 1
