"""How the report is put together: what is played under which seeds, scored from where, and heard through what."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.evaluation import report
from lmdm_adapter.evaluation.baselines import coded
from lmdm_adapter.evaluation.drift import mean_curve
from lmdm_adapter.evaluation.report_plan import Contender, ReportPlan
from lmdm_adapter.spec import Sampling
from tests.test_evaluation_music import RATE, model

PLAN = ReportPlan(minutes=2.5, streams=16, window_seconds=30.0, seed=3, draws=10, known_songs=2, reference_songs=2)
SONG_SECONDS = 30.0


def setting(plan: ReportPlan = PLAN) -> SimpleNamespace:
    """What contenders share, without anything heard: songs by name, and the sounds they go on from."""
    songs = [SimpleNamespace(prompt=f"prompt {row}") for row in range(plan.streams)]
    primes = [Audio(np.zeros((1, round(SONG_SECONDS * RATE)), np.float32), RATE)] * plan.streams
    return SimpleNamespace(
        plan=plan, songs=songs, primes=primes, ruler=None, reference=SimpleNamespace(streams=()),
        progress=lambda *_: None,
    )  # fmt: skip


def test_slopes_are_per_minute_of_music(monkeypatch):
    """A planted half a unit a minute is found as that, whatever the windows' length."""
    for window_seconds in (30.0, 10.0):
        plan = ReportPlan(minutes=2.5, streams=16, window_seconds=window_seconds, draws=10)
        minutes = np.arange(plan.windows) * window_seconds / 60.0
        planted = np.repeat(0.5 * minutes[:, None], plan.streams, axis=1)
        for name in ("kernel_curve", "frechet_curve"):
            monkeypatch.setattr(report, name, lambda *_, planted=planted: mean_curve(-2.0 * planted))
        monkeypatch.setattr(report, "prompt_figures", lambda *_, planted=planted: {"tempo_match": planted})
        found = report._drifts(SimpleNamespace(features=None), setting(plan))
        slopes = {name: drift.slope.value for name, drift in found.items()}
        assert slopes == pytest.approx({"tempo_match": 0.5, "kernel_distance": -1.0, "frechet_distance": -1.0})
        assert found["tempo_match"].minutes[0] == pytest.approx(window_seconds / 120.0), "middles of windows"


def test_what_goes_on_from_a_song_is_scored_from_the_end_of_what_was_given(monkeypatch):
    asked, given = [], setting()
    monkeypatch.setattr(report, "_listened", lambda *_, primes=None, **__: "alone" if primes is None else "primed")
    monkeypatch.setattr(report, "song_figures", lambda *told, start_seconds: asked.append((*told, start_seconds)))
    monkeypatch.setattr(report, "_measured", lambda *_: given.plan)
    monkeypatch.setattr(report, "replace", lambda measured, **_: measured)
    monkeypatch.setattr(report, "_drifts", lambda *_: {})
    report._contender(SimpleNamespace(guidances=(), sampling=Sampling(), name="mine"), given, "model")
    assert asked == [("primed", given.songs, SONG_SECONDS)]


def test_every_stream_has_a_seed_of_its_own(monkeypatch):
    """The same ones for all contenders, so that they are compared in pairs, and others under another seed."""
    asked = []
    monkeypatch.setattr(report, "windows_together", lambda *_, seeds, **__: asked.append(list(seeds)) or [])
    monkeypatch.setattr(report, "listen", lambda windows, *_, **__: list(windows))
    contender = SimpleNamespace(live=None)
    for plan in (PLAN, PLAN, ReportPlan(minutes=2.5, seed=4)):
        report._listened(contender, Sampling(), setting(plan), "model", windows=1)
    one, again, other = asked
    assert len(set(one)) == PLAN.streams and one == again and not set(one) & set(other)


def test_songs_are_heard_through_the_codec_of_the_model(monkeypatch):
    """The row says what the best sound of this model is: songs encoded and decoded, and the other row the songs."""
    heard, live = {}, model()
    monkeypatch.setattr(report, "_setting", lambda *_: setting())
    monkeypatch.setattr(report, "_heard", lambda stage, sounds, _: heard.update({stage: list(sounds)}))
    for name in ("_truth", "_chance", "_contender"):
        monkeypatch.setattr(report, name, lambda *_: {})
    monkeypatch.setattr(report, "Report", SimpleNamespace)
    plan = ReportPlan(minutes=0.5, window_seconds=10.0, known_songs=2, draws=2)
    report.evaluate_report(Contender("mine", live, Sampling(steps=1)), plan)
    songs, through = heard["known songs"], heard["known songs through the codec"]
    assert len(songs) == len(through) == 2
    for song, other in zip(songs, through, strict=True):
        np.testing.assert_allclose(other.samples, coded(live.codec, song).samples)
        assert np.abs(other.samples - song.samples).max() > 1e-3
