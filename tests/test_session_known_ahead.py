"""What is known before it sounds: drawn curves frame by frame, and sounds that are heard ahead and begin again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.declared import HEARD
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.controls.sketch import loosened, sketched
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import stream_budget
from lmdm_adapter.session.curves import BRIGHTNESS_MIDI, LOUDNESS_DB, MELODY_MIDI, Curves, drawn_frames
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import AheadJam, AheadSketch, DrawnMode
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import facts_of
from tests.mode_models import CONFIG, FRAME, RATE, SPEC, listening_live

WIDE = replace(CONFIG, sample_rate=22_050, frame_samples=512, bins=88, top_k=4)
FRAMES = 32
PERIOD_SECONDS = FRAMES * FRAME / RATE
RAMP = tuple(i / 31 for i in range(32))
LIVE = listening_live(steps=1)
FACTS = facts_of(LIVE)


def sound(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 1)).astype(np.float32)


def blocks_of(mode, *, first: int = 0, count: int, frames: int = SPEC.block_frames):
    """What `count` blocks are told, joined by name."""
    told = [mode.frame_controls(first + block * frames, frames) for block in range(count)]
    return {name: np.concatenate([block[name] for block in told], axis=1) for name in told[0]}


def test_a_value_for_each_frame_is_told_as_it_was_drawn() -> None:
    sketch = drawn_frames(CONFIG, Curves(PERIOD_SECONDS, loudness=RAMP, brightness=RAMP), 0, FRAMES)
    db = LOUDNESS_DB[0] + (LOUDNESS_DB[1] - LOUDNESS_DB[0]) * np.array(RAMP)
    midi = BRIGHTNESS_MIDI[0] + (BRIGHTNESS_MIDI[1] - BRIGHTNESS_MIDI[0]) * np.array(RAMP)
    assert np.allclose(sketch.of("loudness")[0], 1.0 + db / 70.0, atol=1e-6)
    assert np.allclose(sketch.of("brightness")[0], midi / 127.0, atol=1e-6)
    assert np.isnan(sketch.of("melody")).all() and np.isnan(sketch.of("rhythm")).all(), "left to the model"


def test_melody_is_the_nearest_semitone_and_stays_within_the_models_notes() -> None:
    low, high = MELODY_MIDI
    curves = Curves(1.0, melody=(0.0, 0.26, 1.0, 0.5))
    sketch = drawn_frames(WIDE, curves, 0, 40)
    notes = WIDE.lowest_midi + sketch.of("melody").argmax(axis=0)
    expected = [low, round(low + 0.26 * (high - low)), high, (low + high) / 2]
    assert [notes[place] for place in (2, 12, 25, 38)] == expected
    assert (drawn_frames(CONFIG, curves, 25, 30).of("melody").argmax(axis=0) <= CONFIG.bins - 1).all()


def test_curves_repeat_without_drift() -> None:
    curves = Curves(PERIOD_SECONDS, loudness=RAMP, melody=RAMP)
    once, far = (drawn_frames(CONFIG, curves, first, FRAMES) for first in (0, 1000 * FRAMES))
    assert all(np.allclose(once.values[name], far.values[name], atol=1e-5) for name in once.values)
    whole, cut = drawn_frames(CONFIG, curves, 3, 9), drawn_frames(CONFIG, curves, 0, 20)[3:12]
    assert all(np.array_equal(whole.values[name], cut.values[name]) for name in whole.values)


def test_a_drawing_reaches_the_blocks_as_loose_as_the_knob_says_and_changes_at_a_border() -> None:
    first, second = Curves(PERIOD_SECONDS, loudness=RAMP[::-1]), Curves(PERIOD_SECONDS, loudness=(0.25, 0.75))
    mode = DrawnMode(CONFIG, first)
    mode.turn("tightness", 0.0)
    told = blocks_of(mode, count=8)["sketch_loudness"]
    wide = loosened(drawn_frames(CONFIG, first, -2, 54), CONFIG.widest_frames)
    assert np.array_equal(told[:, 2:], wide.controls()["sketch_loudness"].numpy()[:, 4 : 4 + 46])
    mode.turn("curves", second.to_json())
    told = blocks_of(mode, first=48, count=4)["sketch_loudness"]
    wide = loosened(drawn_frames(CONFIG, second, 46, 28), CONFIG.widest_frames)
    assert np.array_equal(told, wide.controls()["sketch_loudness"].numpy()[:, 2:26])


def test_a_sound_is_sketched_ahead_as_in_one_go() -> None:
    heard = sound(40 * FRAME)
    mode = AheadSketch(CONFIG, heard)
    mode.hear(sound(500, seed=1))
    told = blocks_of(mode, count=10)
    whole = sketched(CONFIG, Audio(np.tile(heard, (2, 1)).T, RATE)).controls()
    assert all(np.array_equal(rows, whole[name].numpy()[:, :60]) for name, rows in told.items())


@pytest.mark.parametrize("visibility_seconds", [-0.5, 0.0, 0.3])
def test_a_sound_is_encoded_ahead_as_in_one_go_and_begins_again(visibility_seconds: float) -> None:
    heard = sound(40 * FRAME)
    mode = AheadJam.seeing(Listening(LIVE.codec), FACTS, heard, visibility_seconds=visibility_seconds)
    mode.hear(sound(500, seed=1))
    told = blocks_of(mode, count=10)
    known = Listening(LIVE.codec).whole(Audio(np.tile(heard, (4, 1)).T, RATE))
    timing = JamTiming.ahead(Listening(LIVE.codec), FACTS, visibility_seconds=visibility_seconds)
    whole = blocks_of(JamMode(Listening(LIVE.codec), timing, known=known), count=10)
    assert set(told) == set(HEARD) == set(whole)
    assert all(np.abs(told[name] - whole[name]).max() < 1e-4 for name in told)
    assert mode.heard.end_frame - (60 - timing.lag_frames) < 2 * SPEC.block_frames, "no more than is seen"
    assert torch.isfinite(mode.heard.latents).all()
    waits = mode.budget(FACTS.timing(), lead_seconds=0.1)
    assert waits.parts == stream_budget(FACTS.timing(), lead_seconds=0.1).parts, "for a knob alone"


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"seconds": 0.0}, "more than 0"), ({"seconds": float("nan")}, "more than 0"), ({"seconds": 1e6}, "at most 240"),
     ({"seconds": 1.0, "melody": (0.5, 1.5)}, "melody lie between"),
     ({"seconds": 1.0, "loudness": (float("nan"),)}, "loudness lie between")],
)  # fmt: skip
def test_what_cannot_be_drawn(settings, says) -> None:
    with pytest.raises(LmdmError, match=says):
        Curves(**settings)


def test_a_sound_without_samples_is_refused() -> None:
    with pytest.raises(LmdmError, match="has samples"):
        LoopedSound(np.zeros((0, 1), np.float32))
    looped = LoopedSound(np.arange(5, dtype=np.float32)[:, None])
    assert [*looped.next(3)[:, 0], *looped.next(9)[:, 0]] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
