"""How late each feature tells: measured on a beginning tone or noise, against what it publishes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lmdm_adapter.controls.sketch import FEATURES, SketchConfig, melody_late_frames, push, sketched, start
from tests.sketches import CONFIG, audio, noise, silence, tone

BEGIN, FRAMES = 12, 30
BEGINNINGS = {
    "loudness": noise(FRAMES),
    "brightness": noise(FRAMES),
    "melody": tone(69, FRAMES),
    "rhythm": noise(FRAMES),
}


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, window_seconds=0.3, melody_ahead_seconds=0.3),
                                    replace(CONFIG, window_seconds=0.01, melody_ahead_seconds=0.0)])  # fmt: skip
@pytest.mark.parametrize("feature", FEATURES)
def test_a_beginning_is_told_when_promised(feature: str, config: SketchConfig) -> None:
    """Pushed frame by frame: the frame in which sound begins comes out exactly `feature_delay_frames` later."""
    alone = replace(config, features=(feature,))
    assert alone.delay_frames == config.feature_delay_frames(feature)
    size, sound = alone.frame_samples, audio(silence(BEGIN), BEGINNINGS[feature]).samples
    state, told, came = start(alone), [], []
    for frame in range(FRAMES):
        sketch, state = push(alone, state, audio(sound[:, frame * size : (frame + 1) * size]))
        told += list(sketch.of(feature).T)
        came += [frame] * sketch.frames
    assert [late - n for n, late in enumerate(came)] == [alone.delay_frames] * len(came)
    place = {"melody": 69 - alone.lowest_midi}.get(feature, 0)
    begun = np.nan_to_num([values[place] for values in told])
    assert begun[BEGIN] > 0.5 * begun.max() and begun[: BEGIN - 6].max() == 0.0


def test_all_features_wait_for_the_slowest() -> None:
    assert CONFIG.delay_frames == CONFIG.feature_delay_frames("melody") == 2
    assert [CONFIG.feature_delay_frames(feature) for feature in FEATURES] == [1, 1, 2, 0]


@pytest.mark.parametrize(
    "changes", [{}, {"gamma_hz": 0.0}, {"melody_ahead_seconds": 0.0}, {"melody_ahead_seconds": 0.3}]
)
@pytest.mark.parametrize("midi", [21, 28, 40, 69])
def test_low_notes_are_no_later_than_they_say(midi: int, changes: dict[str, float]) -> None:
    """From silence: the frames until the right note is the strongest, and stays so."""
    config = replace(CONFIG, features=("melody",), **changes)
    right = sketched(config, audio(silence(BEGIN), tone(midi, FRAMES))).of("melody")[midi - 21, :-8] == 1.0
    begun = int(np.flatnonzero(~right).max()) + 1
    assert begun - BEGIN <= math.ceil(melody_late_frames(config)[midi - 21])


def test_what_makes_low_notes_late() -> None:
    """Only low notes are late; plain constant Q makes them later, looking ahead makes them less so."""
    late = melody_late_frames(CONFIG)
    assert late[0] == pytest.approx(0.5, abs=0.01) and not late[28 - 21 :].any()
    assert melody_late_frames(replace(CONFIG, gamma_hz=0.0))[0] > 4.0
    assert melody_late_frames(replace(CONFIG, melody_ahead_seconds=0.0))[0] > 2.0
    assert not melody_late_frames(replace(CONFIG, melody_ahead_seconds=0.2)).any()
    plain = replace(CONFIG, features=("melody",), gamma_hz=0.0)
    slow = sketched(plain, audio(silence(BEGIN), tone(21, FRAMES))).of("melody")[0, BEGIN + 1]
    assert slow < 1.0, "negative control: lateness is heard"
