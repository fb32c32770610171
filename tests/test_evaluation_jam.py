"""Playing along, measured on players whose worth is known: perfect, deaf, and a model that was taught nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from html import escape

import numpy as np
import pytest
import torch

from lmdm_adapter.controls.accompaniment import LAG, LATENTS, MASK, Heard
from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.conversion import with_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import control_report
from lmdm_adapter.evaluation import jam_material as jam_songs
from lmdm_adapter.evaluation.control_page import control_page, verdict
from lmdm_adapter.evaluation.control_report import ControlReport
from lmdm_adapter.evaluation.jam import evaluate_jam, heard_late
from lmdm_adapter.evaluation.jam_material import Jam, JamPlan, jam_material
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import Sampling
from tests.players import Listener, deaf, remembered, wilful
from tests.test_evaluation_music import model
from tests.test_evaluation_report import Page, numbers

PLAN = JamPlan(songs=4, seconds=10.0, warm_up_seconds=3.0, visibility_seconds=(1.0, -1.0), draws=200)
STEPS = Sampling(steps=1)


@pytest.fixture(scope="module", autouse=True)
def hearing_once() -> Iterator[None]:
    """Every sound is heard once with each song; four songs are enough for a verdict."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jam_songs, "stem_agreement", remembered(jam_songs.stem_agreement))
        patch.setattr(control_report, "SURE_SONGS", 4)
        yield


@pytest.fixture(scope="module")
def live() -> LiveModel:
    """A tiny model with random weights that hears an accompaniment, its columns still zeros."""
    return with_controls(model(), accompaniment_controls(4))


@pytest.fixture(scope="module")
def jam(live: LiveModel) -> Jam:
    """The songs."""
    return jam_material(live, PLAN, lambda stage, done, total: None)


def report_of(live: LiveModel, play, **settings) -> ControlReport:
    """The whole evaluation of a player."""
    return evaluate_jam(Contender("mine", live, STEPS), PLAN, play=play, **settings)


@pytest.fixture(scope="module")
def perfect(live: LiveModel, jam: Jam) -> ControlReport:
    """Whoever plays the true part of whatever it hears."""
    known = [(heard.latents, truth) for heard, truth in zip(jam.heard, jam.truth, strict=True)]
    return report_of(live, Listener(LATENTS, known))


def test_a_perfect_player_is_as_good_as_the_songs_and_beats_both_baselines(perfect):
    for measure in ("chord_tones", "pulse", "tempo_match"):
        played, songs = (perfect.overall(role, measure) for role in ("played", "songs"))
        assert played.value == pytest.approx(songs.value)
    for measure in ("chord_tones", "chord_root", "pulse"):
        assert perfect.beats_both(measure)
        assert all(
            margin.beats for baseline in ("shuffled", "without") for margin in perfect.margins(measure, baseline)
        )
    assert perfect.overall("shuffled", "chord_tones").value < 0.6 * perfect.overall("songs", "chord_tones").value
    assert perfect.overall("chance", "chord_tones").value < 0.6 * perfect.overall("songs", "chord_tones").value


def test_a_deaf_player_beats_nothing(live, jam):
    for play in (deaf, wilful(jam.truth)):
        report = report_of(live, play)
        assert not any(report.beats_both(measure.name) for measure in report.measures)


def test_a_model_that_was_taught_nothing_plays_as_without(live):
    """Zero columns: its margins are zeros, and no verdict is drawn from them."""
    report = evaluate_jam(Contender("mine", live, STEPS), replace(PLAN, songs=2, visibility_seconds=(0.0,)))
    for measure in report.measures:
        for baseline in ("shuffled", "without"):
            margin = report.margin(measure.name, baseline)
            assert abs(margin.figure.value) < 1e-6 and not margin.beats
    assert report.music_seconds == pytest.approx(3 * 2 * 13.0) and report.compute_seconds > 0.0


def test_another_model_plays_in_pairs(live, jam):
    """The perfect player beside a deaf one; which is which is told by the sampling."""
    known = [(heard.latents, truth) for heard, truth in zip(jam.heard, jam.truth, strict=True)]
    listener = Listener(LATENTS, known)

    def play(live, prompts, **given):
        return (listener if given["sampling"].steps == 1 else deaf)(live, prompts, **given)

    report = report_of(live, play, other=Contender("before", live, Sampling(steps=2)))
    assert report.compared() == ("shuffled", "without", "other") and report.margin("chord_tones", "other").beats
    assert "Other model: before" in control_page(report)


def test_songs_differ_and_swap_with_others_of_another_tempo_or_key(jam):
    assert len({song.tempo_bpm for song in jam.songs}) == 4
    assert sorted(jam.partners) == [0, 1, 2, 3] and all(row != partner for row, partner in enumerate(jam.partners))
    assert all(jam.songs[row].key != jam.songs[partner].key for row, partner in enumerate(jam.partners))
    for song, prompt in zip(jam.songs, jam.prompts, strict=True):
        assert prompt.startswith(song.style) and "BPM" not in prompt and song.key not in prompt
        assert song.stems["bass"].phrase in prompt and song.stems["drums"].phrase not in prompt


def test_a_full_prompt_names_tempo_and_key(live, jam):
    full = jam_material(live, replace(PLAN, songs=2, prompt="full"), lambda stage, done, total: None)
    for song, prompt in zip(full.songs, full.prompts, strict=True):
        assert f"{song.tempo_bpm} BPM" in prompt and song.key in prompt and song.stems["drums"].phrase not in prompt


@pytest.mark.parametrize("visibility", [2.0, 0.0, -2.0])
def test_others_are_carried_as_late_as_their_visibility_says(live, visibility):
    """62.5 frames per second and blocks of 128: at 0 s the first block hears nothing, at 2 s nearly all of itself."""
    latents = np.arange(1.0, 401.0, dtype=np.float32)[None].repeat(4, axis=0)
    heard = Heard(torch.from_numpy(latents))
    controls = heard_late([heard], live, visibility)
    lag_frames = 128 - round(62.5 * visibility)
    first, second = controls(0, 128)[0], controls(128, 128)[0]
    assert float(second[LATENTS][0, -1]) == 256 - lag_frames if lag_frames < 256 else not second[MASK].any()
    assert int(first[MASK].sum()) == max(0, 128 - lag_frames)
    if second[MASK].any():
        assert float(second[LAG].max()) == pytest.approx(lag_frames / 62.5)


def test_json_and_page_say_the_same_and_need_nothing_else(perfect):
    read = json.loads(json.dumps(perfect.to_json(), allow_nan=False))
    margin = read["measures"]["chord_tones"]["played_minus"]["shuffled"]
    assert margin["overall"]["beats"] and len(margin["settings"]) == 2
    assert read["visibility_seconds"] == [1.0, -1.0] and len(read["songs"]) == 4
    assert np.isfinite(numbers(read)).all()
    text, page = control_page(perfect), Page()
    page.feed(text)
    assert not page.open and page.tags.count("svg") == len(perfect.known_measures())
    chords = perfect.measures[0]
    assert "beats both baselines" in verdict(perfect, chords) and escape(chords.label) in text
    assert f"{margin['overall']['value']:+.3g}" in text


def test_drums_are_not_asked_for_notes(live):
    plan = JamPlan(songs=2, seconds=10.0, warm_up_seconds=0.0, visibility_seconds=(0.0,), stem="drums")
    report = evaluate_jam(Contender("mine", live, STEPS), plan, play=deaf)
    assert [measure.name for measure in report.known_measures()] == ["beat_f1", "onset_f1", "pulse", "tempo_match"]
    assert "chord_tones" not in report.to_json()["measures"]
    json.dumps(report.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"songs": 1}, "2 to 64 songs"),
        ({"seconds": 9.0}, "10 to 600 s, got 9"),
        ({"visibility_seconds": ()}, "different visibilities"),
        ({"visibility_seconds": (0.0, 0.0)}, "different visibilities"),
        ({"visibility_seconds": (float("nan"),)}, "different visibilities"),
        ({"stem": "harp"}, "not 'harp'"),
        ({"prompt": "none"}, "Unknown prompt 'none'"),
        ({"warm_up_seconds": -1.0}, "warm-up"),
    ],
)
def test_impossible_plans_are_refused(settings, sentence):
    with pytest.raises(LmdmError, match=sentence):
        JamPlan(**settings)


def test_a_model_that_hears_nothing_is_refused():
    with pytest.raises(LmdmError, match="has no accompaniment .*--controls accompaniment"):
        evaluate_jam(Contender("mine", model(), STEPS), PLAN)
