"""How well music follows a sketch: right where it does, near nothing where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lmdm_adapter.controls.sketch import Sketch, drawn, sketched
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.sketch_agreement import melody_f1, sketch_agreement
from tests.sketches import CONFIG, audio, noise, random_sketch, tone

FEW = {"loudness": np.array([[0.1, 0.4, 0.2, 0.9]])}


def test_a_sketch_agrees_with_itself_and_not_with_chance() -> None:
    sketch = random_sketch(400, gaps=False)
    own, other = sketch_agreement(sketch, sketch), sketch_agreement(sketch, random_sketch(400, seed=1, gaps=False))
    assert set(own) == {"loudness_correlation", "brightness_correlation", "rhythm_correlation", "melody_f1"}
    assert all(figure == pytest.approx(1.0) for figure in own.values())
    assert all(abs(figure) < 0.2 for name, figure in other.items() if name != "melody_f1")


def test_louder_throughout_still_follows() -> None:
    """From sound: a swell over noise, and the same swell 10 dB softer; against it backwards."""
    swell = noise(40) * np.linspace(0.05, 1.0, 40 * CONFIG.frame_samples)
    asked, softer, back = (sketched(CONFIG, audio(sound)) for sound in (swell, 0.3 * swell, swell[:, ::-1]))
    assert sketch_agreement(asked, softer)["loudness_correlation"] > 0.99
    assert sketch_agreement(asked, back)["loudness_correlation"] < -0.5


def test_melody_counts_notes_in_their_own_octave() -> None:
    asked = drawn(CONFIG, 8, melody_midi=[(0, 40)])
    heard = {midi: sketched(CONFIG, audio(tone(midi, 8)))[:8] for midi in (40, 52)}
    assert melody_f1(asked, heard[40]) > 0.9 and melody_f1(asked, heard[52]) < 0.1


def test_half_of_the_notes_and_one_too_many() -> None:
    asked = drawn(CONFIG, 1, melody_midi=[(0, (30, 60))])
    heard = drawn(CONFIG, 1, melody_midi=[(0, (30, 61))])
    assert melody_f1(asked, heard) == 0.5
    assert melody_f1(asked, heard, last_bin=27) == 1.0 and melody_f1(asked, heard, first_bin=27) == 0.0
    assert math.isnan(melody_f1(asked, heard, first_bin=60)), "no note up there, in neither"


def test_only_drawn_frames_count() -> None:
    heard = random_sketch(50, gaps=False)
    asked = Sketch.joined((heard[:25], random_sketch(25, seed=5, gaps=False).without(*heard.values)))
    assert all(figure == pytest.approx(1.0) for figure in sketch_agreement(asked, heard).values())


def test_what_cannot_be_compared() -> None:
    """A level or undrawn sketch asks for nothing; level output follows nothing."""
    curve, level = Sketch.told(FEW), Sketch.told({"loudness": np.full((1, 4), 0.3)})
    assert math.isnan(sketch_agreement(level, curve)["loudness_correlation"])
    assert math.isnan(sketch_agreement(curve.without("loudness"), curve)["loudness_correlation"])
    assert sketch_agreement(curve, level)["loudness_correlation"] == 0.0


def test_sketches_that_do_not_fit_are_refused() -> None:
    curve = Sketch.told(FEW)
    for drawn_one, heard in ((curve, curve[:3]), (random_sketch(4), curve)):
        with pytest.raises(LmdmError, match="they must fit"):
            sketch_agreement(drawn_one, heard)
