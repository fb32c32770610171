"""From exact to loose: medians over frames, the same live as offline."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.controls.sketch import Sketch, TightnessState, drawn_widths, finish_loosening, loosen, loosened
from lmdm_adapter.controls.sketch.tightness import width_at
from lmdm_adapter.errors import LmdmError
from tests.sketches import random_sketch, same

WIDEST = 9


def live(sketch: Sketch, tightness: float, sizes: tuple[int, ...]) -> Sketch:
    """A sketch sent through the knob in pieces."""
    state, out, place = TightnessState(WIDEST), [], 0
    while place < sketch.frames:
        for size in sizes:
            piece, state = loosen(state, sketch[place : place + size], tightness=tightness)
            out.append(piece)
            place += size
    return Sketch.joined([*out, finish_loosening(state, tightness=tightness)[0]])


@pytest.mark.parametrize("tightness", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("sizes", [(1,), (12,), (3, 0, 7), (999,)])
def test_live_is_offline(tightness: float, sizes: tuple[int, ...]) -> None:
    sketch = random_sketch(41)
    assert same(live(sketch, tightness, sizes), loosened(sketch, width_at(tightness, WIDEST)))


def test_the_knob_delays_by_what_it_says() -> None:
    """At every position, so that turning it never skips or repeats a frame."""
    state, out = TightnessState(WIDEST), 0
    assert state.delay_frames == 4
    for n, tightness in enumerate((1.0, 0.0, 0.5, 1.0, 0.0, 1.0, 0.2)):
        piece, state = loosen(state, random_sketch(3, seed=n), tightness=tightness)
        out += piece.frames
        assert out == max(3 * (n + 1) - state.delay_frames, 0)
        assert state.known is not None and state.known.frames <= 2 * state.delay_frames


def test_a_turn_of_the_knob_counts_from_the_next_frame() -> None:
    sketch = random_sketch(30)
    first, state = loosen(TightnessState(WIDEST), sketch[:20], tightness=1.0)
    second, _ = loosen(state, sketch[20:], tightness=0.0)
    assert same(first, sketch[:16]) and same(second, loosened(sketch, WIDEST)[16:26])
    assert not same(second, sketch[16:26])


def test_exact_changes_nothing_and_loose_much() -> None:
    sketch = random_sketch(30)
    assert same(loosened(sketch, 1), sketch) and not same(loosened(sketch, 3), sketch)
    spread = [np.nanstd(np.diff(loosened(sketch, width).of("loudness")[0])) for width in (1, 3, 9)]
    assert spread[0] > spread[1] > spread[2]


def test_a_median_removes_a_spike_and_keeps_a_step() -> None:
    told = loosened(Sketch.told({"loudness": np.array([[0, 0, 9, 0, 0, 0, 1, 1, 1, 1.0]])}), 3).of("loudness")[0]
    assert told.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_a_loose_melody_drops_short_notes() -> None:
    melody = np.zeros((2, 12))
    melody[0, 4], melody[1, 6:] = 1.0, 1.0
    told = loosened(Sketch.told({"melody": melody}), 5).of("melody")
    assert not told[0].any() and told[1].tolist() == melody[1].tolist()


def test_a_loose_rhythm_is_busyness() -> None:
    """A median would say that nothing ever begins."""
    told = loosened(Sketch.told({"rhythm": np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 6)[None]}), 5).of("rhythm")[0]
    assert told[2:-2] == pytest.approx(np.full(26, 0.2))


def test_frames_that_are_not_drawn_stay_so_and_do_not_count() -> None:
    gap = np.nan
    told = loosened(Sketch.told({"loudness": np.array([[1.0, gap, 3.0, gap, gap, gap, 8.0]])}), 5).of("loudness")[0]
    assert told == pytest.approx([2.0, gap, 2.0, gap, gap, gap, 8.0], nan_ok=True)


def test_widths_of_training_are_odd_and_each_feature_has_its_own() -> None:
    draws = [drawn_widths(np.random.default_rng(seed), ("loudness", "melody"), 5) for seed in range(200)]
    for feature in ("loudness", "melody"):
        counts = np.bincount([draw[feature] for draw in draws], minlength=6)
        assert not counts[[0, 2, 4]].any() and min(counts[[1, 3, 5]]) > 40
    assert any(draw["loudness"] != draw["melody"] for draw in draws)
    assert draws[3] == drawn_widths(np.random.default_rng(3), ("loudness", "melody"), 5)


def test_widths_by_name_leave_the_others_exact() -> None:
    sketch = random_sketch(20)
    told = loosened(sketch, {"loudness": 5})
    assert same(told, Sketch({**sketch.values, "loudness": loosened(sketch, 5).values["loudness"]}))


def test_the_knob_has_ends() -> None:
    assert [width_at(tightness, 9) for tightness in (0.0, 0.25, 0.5, 1.0)] == [9, 7, 5, 1]
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(LmdmError, match="between 0"):
            width_at(wrong, 9)
    for wrong in (0, 2, -3):
        with pytest.raises(LmdmError, match="odd number of frames"):
            loosened(random_sketch(3), wrong)
        with pytest.raises(LmdmError, match="odd number of frames"):
            TightnessState(wrong)


def test_nothing_came_so_nothing_is_held_back() -> None:
    assert finish_loosening(TightnessState(WIDEST), tightness=1.0)[0] is None
