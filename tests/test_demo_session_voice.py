"""A session behind the page: what a voice plays is what its engine plays, whatever comes in and however it is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import soundfile

from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.demo.session_settings import decibels
from lmdm_adapter.demo.session_voice import Played, SessionVoice
from lmdm_adapter.demo.session_wish import LINE_SECONDS
from lmdm_adapter.resampling import resampling_seconds
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import AheadJam, AheadSketch, DrawnMode
from lmdm_adapter.session.sketch_mode import SketchMode
from tests.demo_session import (
    DRAWING,
    FACTS,
    LEAD_SECONDS,
    LIVE,
    PLAN,
    SAMPLES,
    curves,
    drawn_plan,
    engine_of,
    microphone,
    played,
    rendered,
    sound,
    voice_of,
)  # fmt: skip
from tests.mode_models import CONFIG, RATE

HEARING = Listening(LIVE.codec)
LATE = round((1.25 * LEAD_SECONDS + LINE_SECONDS) * RATE)
DELAYED_SAMPLES = 6000
DELAY, DELAY_SECONDS = {"beats": 1, "bpm": 100.0}, 0.6


@pytest.fixture
def song(tmp_path):
    """A sound file, shorter than what is played, and its samples."""
    soundfile.write(tmp_path / "song.wav", sound(2000, seed=5), RATE, subtype="FLOAT")
    return str(tmp_path / "song.wav"), sound(2000, seed=5)


def test_a_drawing_is_played_as_the_engine_plays_it_again_and_again() -> None:
    expected = rendered(engine_of(DrawnMode(CONFIG, curves()), plan=drawn_plan(), tightness=0.5))
    assert np.array_equal(played(voice_of("sketch", {"sketch": DRAWING, "tightness": 0.5})), expected)
    other = voice_of("sketch", {"sketch": {**DRAWING, "melody": [0.1] * 64}, "tightness": 0.5})
    assert not np.array_equal(played(other), expected)


def test_a_file_is_known_ahead_and_begins_again(song) -> None:
    path, samples = song
    dry = np.tile(samples, (3, 1))
    jam = played(voice_of("jam", {"sound": path, "visibility_seconds": 0.3, "mix": 0.5}, lead_seconds=1.2))
    mode = AheadJam.seeing(HEARING, FACTS, samples, visibility_seconds=0.3)
    assert np.array_equal(jam, rendered(engine_of(mode, source=(RATE, 1), mix=0.5), dry))
    sketch = played(voice_of("sketch", {"sound": path}))
    assert np.array_equal(sketch, rendered(engine_of(AheadSketch(CONFIG, samples), source=(RATE, 1)), dry))
    delay = played(voice_of("delay", {"sound": path, **DELAY, "mix": 0.5, "feedback": 0.3}), DELAYED_SAMPLES)
    mode = DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=DELAY_SECONDS)
    engine = engine_of(mode, source=(RATE, 1), mix=0.5, feedback=0.3)
    assert np.array_equal(delay, rendered(engine, dry, DELAYED_SAMPLES))


def test_a_file_may_be_heard_as_if_it_were_live(song) -> None:
    path, samples = song
    timing = JamTiming.live(HEARING, FACTS, PLAN, visibility_seconds=-1.0)
    heard = np.concatenate([samples, samples])
    expected = rendered(engine_of(JamMode(HEARING, timing), source=(RATE, 1)), heard)
    assert np.array_equal(played(voice_of("jam", {"sound": path, "visibility_seconds": -1.0})), expected)


def live_modes(device: int, source_rate: int = RATE) -> dict[str, Any]:
    held = math.ceil(resampling_seconds(source_rate, RATE) * RATE)
    late = {"device_samples": device, "resampling_samples": held}
    return {
        "jam": JamMode(HEARING, JamTiming.live(HEARING, FACTS, PLAN, **late)),
        "sketch": SketchMode.following(CONFIG, FACTS, PLAN, **late),
        "delay": DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=DELAY_SECONDS + held / RATE, **late),
    }


@pytest.mark.parametrize(("mode", "chunk"), [("jam", 1), ("sketch", 37), ("delay", 256)])
def test_a_microphone_is_an_input_as_late_as_the_pages_buffer_and_line(mode: str, chunk: int) -> None:
    values = {"mix": 0.5, "device_seconds": 0.05, **(DELAY if mode == "delay" else {})}
    samples = DELAYED_SAMPLES if mode == "delay" else SAMPLES
    voice, heard = voice_of(mode, values, source=(RATE, 1)), sound(samples)
    out = played(voice, samples, before=microphone(voice, heard, chunk))
    engine = engine_of(live_modes(LATE + 400)[mode], source=(RATE, 1), gain_db=decibels(0.5))
    late = np.concatenate([np.zeros((LATE, 1), np.float32), heard])
    assert np.array_equal(out, rendered(engine, late, samples))
    assert voice.budget["device"] == pytest.approx(LATE / RATE + 0.05)
    spare = {"spare": voice.budget["spare"]} if mode == "delay" else {}
    assert voice.budget == pytest.approx({**dict(engine.budget(device_seconds=(LATE + 400) / RATE).parts), **spare})


def test_a_delay_says_when_it_answers_whatever_it_takes_at_the_least(song) -> None:
    path, _ = song
    voices = [voice_of("delay", {"sound": path, "beats": beats, "bpm": 120.0}) for beats in (2, 5)]
    for voice, seconds in zip(voices, (1.0, 2.5), strict=True):
        assert sum(voice.budget.values()) == pytest.approx(seconds)
        voice.close()


@pytest.mark.parametrize("rate", [48_000, 11_025])
def test_another_rate_is_resampled(rate: int) -> None:
    """As the engine resamples it; a stream of soxr depends on its pieces by rounding alone."""
    voice, heard = voice_of("jam", {}, source=(rate, 1)), sound(rate)
    voice._played = Played(voice._played.chunk_samples, None, True, round(LATE / RATE * rate))
    out = played(voice, DELAYED_SAMPLES, before=lambda done: microphone_at(voice, heard, done, rate))
    engine = engine_of(live_modes(LATE, rate)["jam"], source=(rate, 1))
    engine.hear(np.concatenate([np.zeros((round(LATE / RATE * rate), 1), np.float32), heard]))
    expected = np.zeros((DELAYED_SAMPLES, 1), np.float32)
    for start in range(0, DELAYED_SAMPLES, 100):
        while engine.produce():
            continue
        engine.pull(expected[start : start + 100])
    assert np.abs(out - expected).max() < 1e-4 * np.abs(expected).max()
    held = resampling_seconds(rate, RATE)
    assert voice.budget["device"] == pytest.approx(LATE / RATE + held), "what is resampled is known that much later"


def microphone_at(voice: SessionVoice, heard: np.ndarray, done: int, rate: int) -> None:
    first, last = (int(place * rate / RATE) for place in (done, done + voice._played.chunk_samples))
    if len(heard[first:last]):
        voice.hear(heard[first:last], first_sample=first)


def test_nan_is_silence_and_said() -> None:
    voice, heard = voice_of("jam", {}, source=(RATE, 1)), sound()
    heard[1000:1100] = np.nan
    said = []
    before = microphone(voice, heard, 50)

    def listened(done: int) -> None:
        before(done)
        said.extend(note["what"] for note in voice.engine.notes if note["kind"] == "input")

    assert np.isfinite(played(voice, before=listened)).all() and {"nan", "nan over"} <= set(said)
