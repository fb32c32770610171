"""Sessions that follow a drawing or a sound known ahead replay from their recordings: bit for bit, or finer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import lmdm_adapter as lmdm
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import AheadJam, AheadSketch, DrawnMode
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.restored import recorded_material, restored_mode
from lmdm_adapter.session.session_log import SessionLog
from lmdm_adapter.session.simulation import Device
from tests.cli import done
from tests.mode_models import CONFIG, PLAN, RATE, SPEC, listening_live
from tests.test_session_replay import recorded, replayed

LIVE = listening_live()
FACTS = facts_of(LIVE)
RAMP = tuple(i / 31 for i in range(32))
BLOCK = SPEC.block_frames + 1
"""The tempo makes blocks a frame longer."""


def sound(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (3000, 1)).astype(np.float32)


def drawn() -> Mode:
    return DrawnMode(CONFIG, Curves(0.4, loudness=RAMP, melody=RAMP[::-1]))


def sketched() -> Mode:
    return AheadSketch(CONFIG, sound())


def jammed() -> Mode:
    return AheadJam.seeing(Listening(LIVE.codec), FACTS, sound(), visibility_seconds=0.2)


def session(
    folder: Path, mode: Mode, *, mix: tuple[Any, ...] = (), live: LiveModel = LIVE, **settings: Any
) -> tuple[np.ndarray, SessionLog]:  # fmt: skip
    """A session with stalls, holds and turns; half-way the tightness is turned, the drawing drawn anew, and so on."""
    turns = ((0.7, "curves", {"seconds": 0.3, "loudness": list(RAMP[::-1])}), (0.8, "tightness", 0.2),
             (1.0, "freeze", True), (1.2, "freeze", False), (1.4, "sketch_gain", 0.5),
             (1.7, "curves", None))  # fmt: skip
    return recorded(folder, live, FACTS, live.start(5), mode=mode, plan=PLAN, more=(*turns, *mix), **settings)


@pytest.mark.parametrize("made", [drawn, sketched, jammed])
def test_what_is_known_ahead_replays_bit_for_bit_and_finer(tmp_path: Path, made: Callable[[], Mode]) -> None:
    folder = tmp_path / "take"
    played, log = session(folder, made())
    assert log.of("hold") and log.of("governor")

    def again(log: SessionLog = log, **settings: Any) -> np.ndarray:
        mode = restored_mode(LIVE, log, recorded_material(folder))
        return replayed(log, LIVE, FACTS, LIVE.start(5), mode=mode, **settings)

    assert np.array_equal(played, again()) and played.any()
    finer = again(steps=3)
    assert finer.shape == played.shape and not np.array_equal(finer, played)
    told = "curves" if made is drawn else "tightness" if made is sketched else "freeze"
    less = SessionLog(log.header, tuple(record for record in log.records if record.get("name") != told))
    assert not np.array_equal(played, again(less)), "what was turned is what makes the music"


@pytest.mark.parametrize("made", [sketched, jammed])
def test_the_sound_is_what_makes_the_music(tmp_path: Path, made: Callable[[], Mode]) -> None:
    played, log = session(tmp_path / "take", made(), seconds=0.6)
    other = restored_mode(LIVE, log, {"sound": sound(1)})
    assert not np.array_equal(played, replayed(log, LIVE, FACTS, LIVE.start(5), mode=other))
    with pytest.raises(LmdmError, match="a sound that is not there"):
        restored_mode(LIVE, log, {})


def test_a_drawing_begins_as_it_was_first_drawn(tmp_path: Path) -> None:
    mode = drawn()
    mode.turn("curves", {"seconds": 1.0, "melody": [0.5]})
    assert mode.settings()["curves"] == drawn().settings()["curves"]


def test_the_command_replays_a_drawing(tmp_path: Path) -> None:
    LIVE.save(tmp_path / "live")
    played, _ = session(tmp_path / "take", drawn(), live=lmdm.load(tmp_path / "live"), seconds=0.9)
    done("replay", tmp_path / "take", "--model", tmp_path / "live", "--out", tmp_path / "again.wav")
    assert np.array_equal(soundfile.read(tmp_path / "again.wav", dtype="float32", always_2d=True)[0], played)


def listening() -> dict[str, Mode]:
    timing = JamTiming.live(Listening(LIVE.codec), FACTS, PLAN, longest_block_frames=BLOCK)
    delay = DelayMode.of(CONFIG, replace(FACTS, block_frames=BLOCK), PLAN, delay_seconds=0.7)
    return {"jam": JamMode(Listening(LIVE.codec), timing), "delay": delay}


@pytest.mark.parametrize("name", ["jam", "delay"])
def test_a_sound_that_was_the_input_stands_for_its_recording(tmp_path: Path, name: str) -> None:
    """Feedback is made anew from what is played, holds and turns of the mixer included."""
    looped = LoopedSound(sound())
    device = Device((100, 1, 37), hears=looped.at, source=(RATE, 1))
    mix = ((0.1, "feedback", 0.6), (0.4, "mix", 0.5))
    played, log = session(tmp_path / "take", listening()[name], device=device, mix=mix)
    assert log.of("hold")

    def again(heard: np.ndarray) -> np.ndarray:
        mode = restored_mode(LIVE, log, {})
        return replayed(log, LIVE, FACTS, LIVE.start(5), mode=mode, sound=LoopedSound(heard))

    assert np.array_equal(played, again(sound())) and played.any()
    assert not np.array_equal(played, again(sound(1)))
