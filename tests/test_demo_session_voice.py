"""A session behind the page: what a voice plays is what its engine plays, whatever comes in and however it is cut."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import soundfile

from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.session_settings import decibels
from lmdm_adapter.demo.session_voice import Played, SessionVoice
from lmdm_adapter.demo.session_wish import LINE_SECONDS, session_voice
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import AheadJam, AheadSketch, DrawnMode
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import SketchMode
from tests.mode_models import CONFIG, FRAME, RATE, SPEC, listening_live, performed
from tests.models import tiny_live
from tests.session_makers import NoiseMaker, noise_engine

LIVE = listening_live(steps=1)
FACTS = facts_of(LIVE, look_ahead_frames=low_latency_frames(LIVE.codec))
AHEAD_SECONDS, LEAD_SECONDS = 0.1, 0.1
PLAN = SessionPlan.listening(AHEAD_SECONDS)
TOLD = {"prompt": "house", "ahead_seconds": AHEAD_SECONDS, "seed": 3}
LATE = round((1.25 * LEAD_SECONDS + LINE_SECONDS) * RATE)
DRAWING = {"loudness": [i * 7 % 64 / 63 for i in range(64)], "brightness": [], "melody": [0.0] * 64, "seconds": 0.5}
SAMPLES, DELAYED_SAMPLES = 2500, 6000
DELAY, DELAY_SECONDS = {"beats": 1, "bpm": 100.0}, 0.6


def sound(samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 1)).astype(np.float32)


@pytest.fixture
def song(tmp_path):
    """A sound file, shorter than what is played, and its samples."""
    soundfile.write(tmp_path / "song.wav", sound(2000, seed=5), RATE, subtype="FLOAT")
    return str(tmp_path / "song.wav"), sound(2000, seed=5)


def voice_of(
    mode: str, values: Mapping[str, Any], source: tuple[int, int] | None = None, *, lead_seconds: float = LEAD_SECONDS
) -> SessionVoice:
    wish = Wish(mode, {**TOLD, **values}, lead_seconds=lead_seconds, source=source)
    voice = session_voice(LIVE, wish, name="toy", computing=threading.Lock())
    voice._now = lambda: 0.0  # The page never runs dry, so a block is waited for as long as it takes.
    return voice


def played(voice: SessionVoice, samples: int = SAMPLES, *, before: Any = lambda done: None) -> np.ndarray:
    """What the voice plays; `before(samples so far)` is called before each chunk."""
    pieces, done = [], 0
    while done < samples:
        before(done)
        pieces.append(voice.next_chunk().samples)
        done += len(pieces[-1])
    voice.close()
    return np.concatenate(pieces)[:samples]


def engine_of(mode: Any, *, plan: SessionPlan = PLAN, source: tuple[int, int] | None = None, **values: Any) -> Engine:
    state = LIVE.start(3, look_ahead_frames=FACTS.hold_back_frames)
    return Engine(LIVE, FACTS, mode, state=state, plan=plan, values={"prompt": "house", **values}, source=source)


def curves(drawing: Mapping[str, Any] = DRAWING) -> Curves:
    return Curves(drawing["seconds"], *(tuple(drawing[name]) for name in ("loudness", "brightness", "melody")))


def drawn_plan() -> SessionPlan:
    return SessionPlan(GovernorPlan(AHEAD_SECONDS, most_lead_seconds=4.0))


def rendered(engine: Engine, heard: np.ndarray | None = None, samples: int = SAMPLES) -> np.ndarray:
    return performed(engine, np.zeros((samples, 1), np.float32) if heard is None else heard[:samples], chunk=100)


def test_a_drawing_is_played_as_the_engine_plays_it_again_and_again() -> None:
    expected = rendered(engine_of(DrawnMode(CONFIG, curves()), plan=drawn_plan(), tightness=0.5))
    assert np.array_equal(played(voice_of("sketch", {"sketch": DRAWING, "tightness": 0.5})), expected)
    other = voice_of("sketch", {"sketch": {**DRAWING, "melody": [0.1] * 64}, "tightness": 0.5})
    assert not np.array_equal(played(other), expected)


def test_a_file_is_known_ahead_and_begins_again(song) -> None:
    path, samples = song
    dry = np.tile(samples, (3, 1))
    jam = played(voice_of("jam", {"sound": path, "visibility_seconds": 0.3, "mix": 0.5}, lead_seconds=1.2))
    mode = AheadJam.seeing(LIVE.codec, FACTS, samples, visibility_seconds=0.3)
    assert np.array_equal(jam, rendered(engine_of(mode, source=(RATE, 1), mix=0.5), dry))
    sketch = played(voice_of("sketch", {"sound": path}))
    assert np.array_equal(sketch, rendered(engine_of(AheadSketch(CONFIG, samples), source=(RATE, 1)), dry))
    delay = played(voice_of("delay", {"sound": path, **DELAY, "mix": 0.5, "feedback": 0.3}), DELAYED_SAMPLES)
    mode = DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=DELAY_SECONDS)
    engine = engine_of(mode, source=(RATE, 1), mix=0.5, feedback=0.3)
    assert np.array_equal(delay, rendered(engine, dry, DELAYED_SAMPLES))


def test_a_file_may_be_heard_as_if_it_were_live(song) -> None:
    path, samples = song
    timing = JamTiming.live(LIVE.codec, FACTS, PLAN, visibility_seconds=-1.0)
    expected = rendered(engine_of(JamMode(LIVE.codec, timing), source=(RATE, 1)), np.concatenate([samples, samples]))
    assert np.array_equal(played(voice_of("jam", {"sound": path, "visibility_seconds": -1.0})), expected)


def live_modes(device: int) -> dict[str, Any]:
    return {
        "jam": JamMode(LIVE.codec, JamTiming.live(LIVE.codec, FACTS, PLAN, device_samples=device)),
        "sketch": SketchMode.following(CONFIG, FACTS, PLAN, device_samples=device),
        "delay": DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=DELAY_SECONDS, device_samples=device),
    }


def microphone(voice: SessionVoice, heard: np.ndarray, chunk: int) -> Any:
    """Sends what was heard until now in chunks of that many samples."""
    told = [0]

    def before(done: int) -> None:
        while told[0] < min(done, len(heard)):
            voice.hear(heard[told[0] : told[0] + chunk], first_sample=told[0])
            told[0] += len(heard[told[0] : told[0] + chunk])

    return before


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
    voice, heard = voice_of("jam", {}, source=(rate, 1)), sound(rate // 2)
    voice._played = Played(voice._played.chunk_samples, None, True, round(LATE / RATE * rate))
    out = played(voice, before=lambda done: microphone_at(voice, heard, done, rate))
    engine = engine_of(live_modes(LATE)["jam"], source=(rate, 1))
    engine.hear(np.concatenate([np.zeros((round(LATE / RATE * rate), 1), np.float32), heard]))
    expected = np.zeros((SAMPLES, 1), np.float32)
    for start in range(0, SAMPLES, 100):
        while engine.produce():
            continue
        engine.pull(expected[start : start + 100])
    assert np.abs(out - expected).max() < 1e-4 * np.abs(expected).max()


def microphone_at(voice: SessionVoice, heard: np.ndarray, done: int, rate: int) -> None:
    first, last = (int(place * rate / RATE) for place in (done, done + voice._played.chunk_samples))
    if len(heard[first:last]):
        voice.hear(heard[first:last], first_sample=first)


def test_a_turn_counts_from_the_samples_that_were_taken_on() -> None:
    voice, records, turns = voice_of("sketch", {"sketch": DRAWING}), [], {"tightness": 0.0, "gain_db": -6.0}
    chunk, noted = voice._played.chunk_samples, voice.engine.noted
    voice.engine.noted = lambda: (records.extend(made := noted()), made)[1]

    def before(done: int) -> None:
        for name, value in turns.items() if done == 4 * chunk else ():
            voice.set(name, value)

    out = played(voice, before=before)
    effects = {record["name"]: (record["stamp"], record["effect"]) for record in records if record["kind"] == "event"}
    assert effects["gain_db"] == (4 * chunk, 4 * chunk), "at its very sample"
    stamp, effect = effects["tightness"]
    assert stamp == 4 * chunk <= effect and effect % (SPEC.block_frames * FRAME) == 0, "at a border"
    for at, same in ((effect, True), (effect + SPEC.block_frames * FRAME, False)):
        engine = engine_of(DrawnMode(CONFIG, curves()), plan=drawn_plan())
        engine.turn("gain_db", -6.0, at=stamp)
        engine.turn("tightness", 0.0, at=at)
        assert np.array_equal(out, rendered(engine)) is same


def test_a_drawing_can_be_changed_while_it_plays() -> None:
    voice, other = voice_of("sketch", {"sketch": DRAWING}), {**DRAWING, "loudness": [0.0] * 64}
    out = played(voice, before=lambda done: voice.set("sketch", other) if done == 800 else None)
    plain = rendered(engine_of(DrawnMode(CONFIG, curves()), plan=drawn_plan()))
    first = int(np.flatnonzero((out != plain).any(axis=1))[0])
    assert 800 <= first <= 800 + RATE * AHEAD_SECONDS + 2 * SPEC.block_frames * FRAME
    with pytest.raises(LmdmError, match="cannot be read"):
        voice.set("sketch", {"colour": []})


def test_what_counts_from_the_start_is_said() -> None:
    voice = voice_of("sketch", {"sketch": {**DRAWING, "brightness": [0.5] * 64}})
    voice.set("ahead_seconds", 1.0)
    notices = []
    for _ in range(20):
        notices.append(voice.next_chunk().report.notice)
    voice.close()
    assert "press Start again" in " ".join(filter(None, notices))


def test_a_live_sound_shows_no_more_than_it_has() -> None:
    voice = voice_of("jam", {"visibility_seconds": 0.5}, source=(RATE, 1))
    assert "At most -0." in voice._notice and voice.engine.mode.timing.visibility_frames < 0
    asked = voice_of("jam", {"visibility_seconds": -1.0}, source=(RATE, 1))
    assert asked._notice is None and asked.engine.mode.timing.visibility_frames == -RATE // FRAME


def test_nan_is_silence_and_said() -> None:
    voice, heard = voice_of("jam", {}, source=(RATE, 1)), sound()
    heard[1000:1100] = np.nan
    said = []
    before = microphone(voice, heard, 50)

    def listened(done: int) -> None:
        before(done)
        said.extend(note["what"] for note in voice.engine.notes if note["kind"] == "input")

    assert np.isfinite(played(voice, before=listened)).all() and {"nan", "nan over"} <= set(said)


@pytest.mark.parametrize(
    ("mode", "values", "source", "says"),
    [("delay", {"beats": 0.5, "bpm": 120}, (RATE, 1), r"is too short .*shortest that works is .*beats at 120 BPM"),
     ("delay", {"beats": 4, "bpm": 7}, (RATE, 1), "from 20 to 400 BPM"),
     ("jam", {}, None, "needs a sound to hear"), ("sketch", {"sketch": "loud"}, None, "cannot be read"),
     ("sketch", {"sketch": {**DRAWING, "seconds": 0.0}}, None, "span more than 0"),
     ("sketch", {"sketch": {**DRAWING, "seconds": "x"}}, None, "cannot be read"),
     ("jam", {"seed": -1}, (RATE, 1), "seed must be"), ("jam", {"steps": 10**6}, (RATE, 1), "steps must be"),
     ("jam", {"mix": 2}, (RATE, 1), "from 0 to 1"), ("jam", {"ahead_seconds": 60}, (RATE, 1), "from 0.05 to 4 s"),
     ("jam", {"volume": 1}, (RATE, 1), "no parameter 'volume'"), ("jam", {}, (1, 1), "cannot be resampled"),
     ("jam", {"sound": "nowhere.wav"}, None, "no sound file")],
)  # fmt: skip
def test_wishes_that_cannot_be_are_refused_in_a_sentence(mode, values, source, says) -> None:
    with pytest.raises(LmdmError, match=says):
        voice_of(mode, values, source)


@pytest.mark.parametrize("mode", ["sketch", "jam", "delay"])
def test_a_model_without_the_controls_says_which_command_makes_one(mode: str) -> None:
    with pytest.raises(LmdmError, match=f"The mode {mode} needs .*which plain lacks; `lmdm train finetune --controls"):
        Band(tiny_live(), name="plain").voice(Wish(mode, {"sketch": DRAWING}))


class Slow(NoiseMaker):
    """Takes its time, and knows whether the lock is held meanwhile."""

    def __init__(self, seconds: float, computing: threading.Lock, **settings: Any) -> None:
        super().__init__(**settings)
        self.seconds, self.computing, self.alone = seconds, computing, True

    def step(self, *told: Any, **more: Any) -> Any:
        self.alone &= self.computing.locked()
        time.sleep(self.seconds)
        return super().step(*told, **more)


def slow_voice(seconds: float, **settings: Any) -> tuple[SessionVoice, Slow]:
    computing = threading.Lock()
    maker = Slow(seconds, computing, **settings)
    engine = noise_engine(maker, values={"prompt": "a", "steps": 8})
    return SessionVoice(engine, Played(160), budget={}, computing=computing), maker


def test_a_late_model_is_told_and_holds_its_last_bar() -> None:
    voice, maker = slow_voice(0.03)
    voice._now = map(float, itertools.count(step=10)).__next__  # The page ran dry long ago: nothing is waited for.
    said, until = "", time.monotonic() + 5.0
    while time.monotonic() < until and not ("last bar is held" in said and "steps a block instead of 8" in said):
        said += voice.next_chunk().report.notice or ""
    voice.close()
    assert time.monotonic() < until, said
    assert voice.engine.player.holds and maker.alone


def test_a_failing_model_plays_out_what_there_is_and_says_why() -> None:
    voice, _ = slow_voice(0.0, broken_at=6)
    voice._now = lambda: 0.0
    pieces = []
    with pytest.raises(LmdmError, match="ended at block 6: .*the device is gone"):
        for _ in range(200):
            pieces.append(voice.next_chunk().samples)
    heard = np.concatenate(pieces)
    assert np.abs(heard).max() > 0.1 and not heard[-160:].any() and len(heard) > 5 * 640
    voice.close()


def test_closing_frees_the_thread_before_and_while_it_plays() -> None:
    unheard, playing = voice_of("jam", {}, source=(RATE, 1)), voice_of("sketch", {"sketch": DRAWING})
    playing.next_chunk()
    assert "lmdm-demo-session" in {thread.name for thread in threading.enumerate()}
    began = time.monotonic()
    for voice in (unheard, playing):
        voice.close()
    assert time.monotonic() - began < 1.0
    assert "lmdm-demo-session" not in {thread.name for thread in threading.enumerate()}


def test_a_report_tells_of_blocks_and_not_of_chunks() -> None:
    voice = voice_of("sketch", {"sketch": DRAWING})
    reports = [voice.next_chunk().report for _ in range(40)]
    voice.close()
    audio = sum(report.audio_seconds for report in reports)
    made = [report for report in reports if report.audio_seconds]
    assert audio == pytest.approx((reports[-1].index + 1) * SPEC.block_frames * FRAME / RATE)
    assert all(report.compute_seconds > 0.0 and report.memory_bytes for report in made)
