"""Verdicts on scores that are written down by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.evaluation.agreement import Measure
from lmdm_adapter.evaluation.control_page import verdict
from lmdm_adapter.evaluation.control_report import ControlReport
from lmdm_adapter.spec import Sampling

HIGH, LOW = Measure("fit", "Fit"), Measure("error", "Error", "%", "low")


def report(played: np.ndarray, shuffled: np.ndarray, without: np.ndarray, *, measure: Measure = HIGH) -> ControlReport:
    """A report of these scores, (settings, songs) or (1, songs) each."""
    roles = {"played": played, "shuffled": shuffled, "without": without, "songs": played}
    return ControlReport(
        title="By hand", model="mine", other=None, sampling=Sampling(), knob="tightness",
        settings=tuple(float(index) for index in range(len(played))), measures=(measure,), plan={},
        songs=("song",) * played.shape[1], scores={role: {measure.name: rows} for role, rows in roles.items()},
        draws=400, seed=0,
    )  # fmt: skip


def songs(mean: float, *, count: int = 16, settings: int = 2, spread: float = 0.1, seed: int = 0) -> np.ndarray:
    """Scores around a mean."""
    return mean + spread * np.random.default_rng(seed).standard_normal((settings, count))


def test_both_baselines_must_be_beaten():
    high, low, same = songs(0.8), songs(0.3, seed=1, settings=1), songs(0.8, seed=2, settings=1)
    assert report(high, low, low).beats_both("fit") and "beats both" in verdict(report(high, low, low), HIGH)
    assert not report(high, low, same).beats_both("fit") and not report(high, same, low).beats_both("fit")
    assert not report(low.repeat(2, axis=0), high, high).beats_both("fit"), "worse is not better"


def test_less_is_better_where_a_measure_says_so():
    high, low = songs(0.8), songs(0.3, seed=1)
    assert report(low, high, high, measure=LOW).beats_both("error")
    assert not report(high, low, low, measure=LOW).beats_both("error")


def test_differences_are_taken_in_pairs():
    """Songs differ far more than the model gains: only pairs show it."""
    hard = songs(0.5, spread=1.0, settings=1)
    gain = report(hard.repeat(2, axis=0) + songs(0.1, spread=0.02), hard, hard)
    assert gain.beats_both("fit") and gain.margin("fit", "without").figure.value == pytest.approx(0.1, abs=0.02)
    other = songs(0.5, spread=1.0, settings=1, seed=1)
    assert not report(hard.repeat(2, axis=0) + 0.1, other, other).beats_both("fit")


def test_settings_of_one_song_are_no_songs_of_their_own():
    """A hundred settings of eight songs that differ by luck are no more sure than one setting is."""
    luck = songs(0.0, count=8, settings=1)
    reports = (report(luck.repeat(settings, axis=0), luck * 0.0, luck * 0.0) for settings in (1, 100))
    one, many = (list(each.margin("fit", "without").figure.to_json().values()) for each in reports)
    assert one == pytest.approx(many)


@pytest.mark.parametrize("count", [2, 5, 6])
def test_fewer_than_six_songs_give_no_verdict(count):
    sure = report(songs(0.9, count=count), songs(0.1, count=count), songs(0.1, count=count))
    assert sure.beats_both("fit") == (count >= 6)
    assert ("too few" in verdict(sure, HIGH)) == (count < 6)


def test_verdicts_by_luck_are_rare():
    """Sixteen songs, nothing to gain: about one in forty goes above 0 by luck, and hardly one above both."""
    wins = [
        report(*(songs(0.5, seed=3 * trial + role, settings=1) for role in range(3))).beats_both("fit")
        for trial in range(60)
    ]
    assert sum(wins) <= 3
