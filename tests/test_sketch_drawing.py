"""Curves through points, in a musician's units."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmdm_adapter.controls.sketch import SketchConfig, drawn, sketched
from lmdm_adapter.controls.sketch.brightness import brightness_midi, midi_of_hz
from lmdm_adapter.controls.sketch.loudness import loudness_db
from lmdm_adapter.errors import LmdmError
from tests.sketches import CONFIG, audio, notes, tone

GAP = math.nan


def test_what_is_not_given_is_not_drawn() -> None:
    sketch = drawn(CONFIG, 4)
    assert tuple((f"sketch_{name}", len(rows)) for name, rows in sketch.values.items()) == CONFIG.frame_controls
    assert sketch.frames == 4 and not any(rows.any() for rows in sketch.values.values())


def test_a_line_goes_through_its_points_in_decibels() -> None:
    sketch = drawn(CONFIG, 6, loudness_db=[(1, -40.0), (5, -20.0)], unit="frames")
    told = loudness_db(sketch.of("loudness")[0])
    assert np.isnan(told[[0, 5]]).all() and told[1:5] == pytest.approx([-37.5, -32.5, -27.5, -22.5], abs=1e-4)


def test_a_gap_and_a_jump() -> None:
    points = [(0, 60.0), (2, 60.0), (2, 90.0), (4, 90.0), (5, GAP), (6, 50.0), (8, 50.0)]
    told = brightness_midi(drawn(CONFIG, 8, brightness_midi=points, unit="frames").of("brightness")[0])
    expected = [60, 60, 90, 90, GAP, GAP, 50, 50]
    assert told == pytest.approx(expected, abs=1e-4, nan_ok=True)


def test_one_point_is_level_throughout() -> None:
    told = drawn(CONFIG, 3, brightness_midi=[(1.0, float(midi_of_hz(880.0)))]).of("brightness")[0]
    assert brightness_midi(told) == pytest.approx([81.0] * 3, abs=1e-4)


def test_notes_last_until_the_next() -> None:
    melody = [(1, 60), (3, (48, 64)), (4, ()), (5, GAP), (6, 21.4), (7, 21.6)]
    sketch = drawn(CONFIG, 8, melody_midi=melody, unit="frames")
    assert [notes(sketch, n) for n in range(8)] == [[], [60], [60], [48, 64], [], [], [21], [22]]
    assert sketch.values["melody"][0].tolist() == [0, 1, 1, 1, 1, 0, 1, 1], "a rest is drawn, a gap is not"


def test_quarter_tones_have_bins_of_their_own() -> None:
    fine = SketchConfig(lowest_midi=48, bins=24, bins_per_octave=24)
    sketch = drawn(fine, 1, melody_midi=[(0, 50.5)])
    assert np.flatnonzero(sketch.of("melody")[:, 0]).tolist() == [5]


def test_onsets_stand_alone() -> None:
    sketch = drawn(CONFIG, 8, rhythm=[(-3, 1.0), (1.9, 1.0), (2.1, 0.5), (4, GAP), (6, 0.25), (99, 1.0)], unit="frames")
    told = sketch.of("rhythm")[0]
    assert told == pytest.approx([0, 1, 0.5, 0, GAP, GAP, 0.25, 0], nan_ok=True)


def test_seconds_and_beats_are_frames() -> None:
    """A frame lasts 1024 / 22050 s: beat 4 at 120 BPM, or 2 s, lies in frame 43."""
    for points, more in (([(4.0, 1.0)], {"unit": "beats", "bpm": 120.0}), ([(2.0, 1.0)], {})):
        assert np.flatnonzero(drawn(CONFIG, 50, rhythm=points, **more).of("rhythm")[0]).tolist() == [43]


def test_a_drawn_note_is_what_is_heard_of_one() -> None:
    """Drawing and extraction mean the same: bin, size and presence."""
    heard = sketched(CONFIG, audio(tone(33, 16)))[5:10].values["melody"]
    assert np.array_equal(heard, drawn(CONFIG, 5, melody_midi=[(0, 33)]).values["melody"])


@pytest.mark.parametrize(
    ("curves", "words"),
    [
        ({"frames": -1}, "0 frames or more, got -1"),
        ({"loudness_db": [(2, -10.0), (1, -10.0)]}, "in order"),
        ({"loudness_db": [(GAP, -10.0), (1, -10.0)]}, "finite and in order"),
        ({"loudness_db": [(0, -10.0), (1, math.inf)]}, "loudness lie between -200 and 20, got inf"),
        ({"brightness_midi": [(0, 4000.0)]}, "brightness lie between 0 and 140, got 4000"),
        ({"melody_midi": [(0, 20)]}, "melody lie between 21 and 108, got 20"),
        ({"melody_midi": [(0, (60, 109))]}, "got 109"),
        ({"rhythm": [(0, 2.0)]}, "rhythm lie between 0 and 1, got 2"),
        ({"unit": "bars"}, "got 'bars'"),
        ({"unit": "beats"}, "need a tempo"),
        ({"unit": "beats", "bpm": 0.0}, "need a tempo between 1 and 1000 BPM, got 0"),
    ],
)
def test_curves_that_cannot_be_drawn(curves: dict[str, object], words: str) -> None:
    with pytest.raises(LmdmError, match=words):
        drawn(CONFIG, **{"frames": 4, **curves})


def test_a_feature_that_the_model_lacks_cannot_be_drawn() -> None:
    with pytest.raises(LmdmError, match="no melody; its features are loudness"):
        drawn(SketchConfig(features=("loudness",)), 4, melody_midi=[(0, 60)])
