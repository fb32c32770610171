"""Following a sketch, measured on players whose worth is known: perfect, deaf, and a model that was taught nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch
from lmdm_adapter.conversion import with_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import control_report, sketch_following
from lmdm_adapter.evaluation.control_page import control_page
from lmdm_adapter.evaluation.control_report import ControlReport
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.evaluation.sketch_config import sketch_config_of
from lmdm_adapter.evaluation.sketch_following import (
    SKETCH_MEASURES,
    Sketched,
    SketchPlan,
    evaluate_sketch,
    following,
    sketch_material,
)
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import Sampling
from tests.players import Listener, deaf, remembered, wilful
from tests.test_evaluation_music import RATE, model
from tests.test_evaluation_report import Page, numbers

PLAN = SketchPlan(songs=4, seconds=3.0, tightness=(0.0, 1.0), draws=200)
STEPS = Sampling(steps=1)
SKETCHES = (("sketch_loudness", 2), ("sketch_brightness", 2), ("sketch_melody", 73), ("sketch_rhythm", 2))
NAMES = [measure.name for measure in SKETCH_MEASURES]


@pytest.fixture(scope="module", autouse=True)
def hearing_once() -> Iterator[None]:
    """Every sound is sketched once; four songs are enough for a verdict."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketch_following, "sketched", remembered(sketch_following.sketched))
        patch.setattr(control_report, "SURE_SONGS", 4)
        yield


@pytest.fixture(scope="module")
def live() -> LiveModel:
    """A tiny model with random weights that is given a sketch, its columns still zeros."""
    return with_controls(model(), SKETCHES)


@pytest.fixture(scope="module")
def material(live: LiveModel) -> Sketched:
    """The songs and their sketches."""
    return sketch_material(live, PLAN, lambda stage, done, total: None)


def report_of(live: LiveModel, play, **settings) -> ControlReport:
    """The whole evaluation of a player."""
    return evaluate_sketch(Contender("mine", live, STEPS), PLAN, play=play, **settings)


def listener(material: Sketched, control: str = "sketch_loudness") -> Listener:
    """Plays the song whose sketch it is given, known by one feature."""
    return Listener(
        control,
        [(sketch.controls()[control], truth) for sketch, truth in zip(material.drawn, material.truth, strict=True)],
    )


@pytest.fixture(scope="module")
def perfect(live: LiveModel, material: Sketched) -> ControlReport:
    """Whoever plays the very song that is drawn."""
    return report_of(live, listener(material))


def test_a_perfect_player_follows_every_feature_and_beats_both_baselines(perfect):
    assert [measure.name for measure in perfect.known_measures()] == NAMES
    for name in NAMES:
        for setting in range(2):
            assert perfect.figures("played", name)[setting].value == pytest.approx(1.0)
            assert perfect.figures("songs", name)[setting].value == pytest.approx(1.0)
        assert perfect.beats_both(name)
        assert perfect.overall("shuffled", name).value < 0.75 and perfect.overall("chance", name).value < 0.75


def test_a_deaf_player_beats_nothing(live, material):
    for play in (deaf, wilful(material.truth)):
        report = report_of(live, play)
        assert not any(report.beats_both(name) for name in NAMES)


def test_who_hears_one_feature_alone_is_seen(live, material, perfect):
    """The perfect player above knows songs by their loudness: drawn alone it is enough, and without it nothing is."""
    assert perfect.alone_margin("loudness_correlation").beats
    assert perfect.alone_figure("loudness_correlation").value == pytest.approx(1.0)
    assert perfect.alone_figure("rhythm_correlation").value < 0.9


def test_silence_follows_nothing_at_all(live, material):
    """Brightness of silence is not there to compare; that counts as 0, and is not left out."""
    silent = [Audio(np.zeros_like(truth.samples), RATE) for truth in material.truth]
    scores = material.scores(material.heard(silent), 1)
    assert all(np.array_equal(scores[name], np.zeros(4)) for name in NAMES)


def test_a_model_that_was_taught_nothing_plays_as_without(live):
    report = evaluate_sketch(Contender("mine", live, STEPS), replace(PLAN, songs=2, seconds=2.0, tightness=(1.0,)))
    for name in NAMES:
        for baseline in ("shuffled", "without"):
            margin = report.margin(name, baseline)
            assert margin is None or (abs(margin.figure.value) < 1e-6 and not margin.beats)
    assert report.music_seconds == pytest.approx((2 + 4 + 1) * 2 * 2.0)


def test_another_model_plays_from_the_same_sketches(live, material):
    follows = listener(material)

    def play(live, prompts, **given):
        return (follows if given["sampling"].steps == 1 else deaf)(live, prompts, **given)

    report = report_of(live, play, other=Contender("before", live, Sampling(steps=2)))
    assert all(report.margin(name, "other").beats for name in NAMES if name != "melody_f1")
    page = control_page(report)
    assert "Other model: before" in page and "Each feature alone" in page
    parsed = Page()
    parsed.feed(page)
    assert not parsed.open and parsed.tags.count("svg") == len(NAMES)


def test_json_is_finite_and_complete(perfect):
    read = json.loads(json.dumps(perfect.to_json(), allow_nan=False))
    assert read["tightness"] == [0.0, 1.0] and set(read["measures"]) == set(NAMES)
    assert read["measures"]["rhythm_correlation"]["alone_minus_without"]["beats"] in (True, False)
    assert np.isfinite(numbers(read)).all()


def test_controls_are_those_of_the_drawing_and_nothing_past_its_end(material):
    sketch = material.drawn[1]
    inside, across = (following(material.drawn)(first, 10)[1] for first in (20, sketch.frames - 4))
    for name, values in sketch.controls().items():
        assert np.array_equal(inside[name], values[:, 20:30])
        assert np.array_equal(across[name][:, :4], values[:, -4:]) and not across[name][:, 4:].any()


def test_only_the_features_that_a_model_has_are_drawn():
    some = with_controls(model(), (("sketch_loudness", 2), ("sketch_melody", 61)))
    config = sketch_config_of(some)
    assert config.features == ("loudness", "melody") and config.bins == 60
    assert config.frame_controls == (("sketch_loudness", 2), ("sketch_melody", 61))
    report = evaluate_sketch(Contender("mine", some, STEPS), replace(PLAN, songs=2), play=deaf)
    assert [measure.name for measure in report.measures] == ["loudness_correlation", "melody_f1"]


def test_both_sides_are_loosened_alike(material):
    """A single click more in the output is forgiven by a loose sketch, not by an exact one."""
    drawn = material.drawn[0]
    heard = Sketch({**drawn.values, "loudness": _with_a_click(drawn.values["loudness"])})
    exact, loose = (material.scores([heard], width, [drawn])["loudness_correlation"][0] for width in (1, 9))
    assert exact < 0.999 and loose == pytest.approx(1.0, abs=1e-3)


def _with_a_click(rows: np.ndarray) -> np.ndarray:
    louder = rows.copy()
    louder[1, 60] += 1.0
    return louder


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"songs": 65}, "2 to 64 songs"),
        ({"seconds": 1.0}, "2 to 600 s, got 1"),
        ({"tightness": ()}, "each tightness once"),
        ({"tightness": (1.0, 0.0)}, "rising order"),
        ({"tightness": (0.0, 1.5)}, "between 0 .* and 1"),
        ({"widest_frames": 8}, "odd"),
    ],
)
def test_impossible_plans_are_refused(settings, sentence):
    with pytest.raises(LmdmError, match=sentence):
        SketchPlan(**settings)


def test_a_model_without_sketches_is_refused():
    for refused in (
        lambda: evaluate_sketch(Contender("mine", model(), STEPS), PLAN),
        lambda: sketch_config_of(model()),
    ):
        with pytest.raises(LmdmError, match="--controls sketch"):
            refused()
