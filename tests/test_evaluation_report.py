"""The whole report, small: real numbers for every measure, JSON without NaN, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.cli.evaluation_screen import show_report
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import frechet, report_plan, ruler
from lmdm_adapter.evaluation.page import DRIFTING, report_page
from lmdm_adapter.evaluation.report import evaluate_report
from lmdm_adapter.evaluation.report_plan import Contender, ReportPlan
from lmdm_adapter.evaluation.report_values import Report
from lmdm_adapter.spec import Sampling
from tests.models import tiny_live
from tests.test_evaluation_music import RATE, model

STEPS = Sampling(steps=1)
STAGES = ("training songs", "reference", "known songs", "model", "model, primed", "baseline, guidance 2", "baseline")


@pytest.fixture(scope="module")
def made() -> tuple[Report, list[tuple[str, int, int]]]:
    """A report on random weights with a baseline of two guidances, and what it said while it worked."""
    heard: list[tuple[str, int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frechet, "LEAST_WINDOWS", 50)
        patch.setattr(report_plan, "LEAST_STREAMS", 3)
        patch.setattr(ruler, "TRAINING_SONGS", 8)
        plan = ReportPlan(
            minutes=0.4, streams=3, window_seconds=10.0, draws=10, reference_songs=8, known_songs=4, players=1
        )  # fmt: skip
        live = model()
        report = evaluate_report(
            Contender("mine", live, STEPS), plan, baseline=Contender("theirs <b>", live, STEPS, (1.0, 2.0)),
            progress=lambda *stage: heard.append(stage),
        )  # fmt: skip
    return report, heard


@pytest.fixture(scope="module")
def text(made) -> str:
    """The page of that report."""
    return report_page(made[0])


def numbers(value: object) -> list[float]:
    """All numbers of a JSON value."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [float(value)] if isinstance(value, int | float) else []


def test_every_measure_has_a_figure_a_slope_and_intervals(made):
    report, _ = made
    names = {measure.name for measure in DRIFTING}
    for one in (report.model, report.baseline):
        assert set(one.drifts) == names == set(one.figures) | {"kernel_distance", "frechet_distance"}
        for drifting in one.drifts.values():
            assert len(drifting.minutes) == len(drifting.values) == 2
            slope = drifting.slope
            assert slope.low - 1e-9 <= slope.value <= slope.high + 1e-9
        assert one.music_seconds == pytest.approx(3 * 2 * 10.0) and one.compute_seconds > 0.0
    assert set(report.steeper) == names
    assert report.songs.figures["tempo_match"].value > report.chance["tempo_match"].value
    assert report.songs.kernel.value < report.model.kernel.value


def test_the_best_guidance_is_taken(made):
    report, heard = made
    tried = report.baseline.tried
    assert set(tried) == {1.0, 2.0} and report.baseline.sampling.guidance == min(tried, key=tried.__getitem__)
    assert not report.model.tried and report.model.sampling == STEPS
    assert {stage for stage, done, total in heard if done == total} >= set(STAGES)


def test_json_is_finite_and_complete(made):
    report, _ = made
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert read["plan"]["windows"] == 2 and len(read["prompts"]) == 3
    assert set(read["model"]["drift"]["kernel_distance"]) >= {"slope_per_minute", "values", "low", "high", "minutes"}
    assert np.isfinite(numbers(read)).all() and len(numbers(read)) > 300


class Page(HTMLParser):
    """Tags that stand open, and every address in the page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_but_itself(text):
    page = Page()
    page.feed(text)
    assert not page.open
    assert all(address.startswith(("#", "data:audio/flac;base64,")) for address in page.addresses)
    words = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|url\((?!#)", words)
    assert page.tags.count("svg") == len(DRIFTING) and page.tags.count("audio") == 2 * 2
    assert "theirs &lt;b&gt;" in text and "theirs <b>" not in text


def test_the_page_is_readable_in_the_dark_and_on_a_telephone(text):
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    assert "currentColor" in text and "#010203" not in text
    # Tables are wider than a telephone: each scrolls in a box of its own, so that the page does not.
    assert text.count("<table>") == text.count('<div class="scroll"><table>') == 3
    assert not re.search(r'<svg[^>]* (width|height)="', text)


def test_recordings_can_be_the_reference(made, monkeypatch, capsys):
    """The same songs as recordings, one by one: the distance is that from them. What is not measured says why."""
    monkeypatch.setattr(report_plan, "LEAST_STREAMS", 2)
    monkeypatch.setattr(frechet, "LEAST_WINDOWS", 50)
    monkeypatch.setattr(ruler, "TRAINING_SONGS", 8)
    noise = np.random.default_rng(0).normal(0.0, 0.1, (3, 1, 10 * RATE)).astype(np.float32)
    plan = ReportPlan(minutes=0.35, streams=2, window_seconds=10.0, draws=4, known_songs=2, players=0)
    report = evaluate_report(
        Contender("mine", model(), STEPS), plan, reference=[Audio(one, RATE) for one in noise], reference_name="noise"
    )
    assert report.reference == "noise" and report.baseline is None and report.steeper == {}
    assert report.songs.frechet is None and report.songs.kernel.windows == (18, 27)
    page = report_page(report)
    monkeypatch.setenv("COLUMNS", "240")
    show_report(report)
    assert "under 1000 windows" in page and "under 1000 windows" in capsys.readouterr().out and "Baseline" not in page
    assert report.songs.kernel.value > 10.0 * made[0].songs.kernel.value


def test_a_baseline_of_another_format_is_refused():
    with pytest.raises(LmdmError, match="1 channels at 1000 Hz.*same format"):
        evaluate_report(
            Contender("mine", model(), STEPS), ReportPlan(), baseline=Contender("other", tiny_live(), STEPS)
        )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"streams": 15}, "16 to 64 streams, got 15"),
        ({"minutes": float("nan")}, "positive number of minutes"),
        ({"minutes": 0.9}, "play 1 minutes or more"),
        ({"window_seconds": 9.0}, "at least 10 s, got 9"),
        ({"seed": -1}, "seed of 0 or more"),
    ],
)
def test_impossible_plans_are_refused(settings, sentence):
    with pytest.raises(LmdmError, match=sentence):
        ReportPlan(**settings)
