"""A jam's curve has one point for each lag, played once; the report says which visibilities it stands for."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import pytest

import lmdm_adapter as lmdm
from lmdm_adapter.controls.accompaniment import LATENTS
from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.conversion import with_controls
from lmdm_adapter.evaluation.control_page import control_page
from lmdm_adapter.evaluation.jam import evaluate_jam
from lmdm_adapter.evaluation.jam_material import JamPlan
from lmdm_adapter.evaluation.jam_points import jam_points
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.players import deaf
from tests.test_evaluation_music import model

USUAL = JamPlan().visibility_seconds


@pytest.fixture(scope="module")
def tiny() -> LiveModel:
    """Blocks of 12 frames, 0.557 s."""
    return lmdm.load("tiny")


def longer(live: LiveModel) -> LiveModel:
    """The same with blocks of 48 frames, 2.229 s."""
    return replace(live, section=replace(live.section, spec=BlockSpec(block_frames=48)))


def test_what_is_beyond_a_short_block_is_one_point_at_the_least_that_is_enough(tiny):
    points = jam_points(USUAL, [tiny])
    assert [point.visibility_seconds for point in points] == [1.0, 0.0, -1.0, -2.0]
    assert [point.lags_frames for point in points] == [(0,), (12,), (34,), (56,)]
    assert points[0].visibilities_seconds == (2.0, 1.0) and points[1].note is None
    assert points[0].note == (
        "Visibilities of 2 s and 1 s give one lag, 0 frames: they are played once and shown as 1 s."
    )  # fmt: skip


def test_a_long_block_tells_them_apart_and_so_does_one_of_two_players(tiny):
    for players in ([longer(tiny)], [tiny, longer(tiny)], [longer(tiny), tiny]):
        points = jam_points(USUAL, players)
        assert tuple(point.visibility_seconds for point in points) == USUAL
        assert not any(point.note for point in points)
    both = jam_points((3.0, 2.5), [tiny, longer(tiny)])
    assert len(both) == 1 and both[0].lags_frames == (0, 0)


def test_visibilities_of_one_frame_are_one_point_and_order_stays(tiny):
    points = jam_points((-1.0, 0.0, -1.01), [tiny])
    assert [point.visibilities_seconds for point in points] == [(-1.0, -1.01), (0.0,)]
    assert points[0].visibility_seconds == -1.01 and "34 frames" in points[0].note


def test_each_point_is_played_once_counts_once_and_is_explained():
    """Blocks of 2.048 s: 3 and 2.1 s are both beyond."""
    heard: list[Any] = []

    def play(live, prompts, *, controls, **given):
        heard.append(None if controls is None else [np.asarray(row[LATENTS]) for row in controls(200, 128)])
        return deaf(live, prompts, controls=controls, **given)

    live = with_controls(model(), accompaniment_controls(4))
    plan = JamPlan(songs=2, seconds=10.0, warm_up_seconds=1.0, visibility_seconds=(3.0, 2.1, -1.0), draws=50)
    told: list[tuple[str, int, int]] = []
    report = evaluate_jam(
        Contender("mine", live, Sampling(steps=1)), plan, play=play,
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )  # fmt: skip
    assert report.settings == (2.1, -1.0) and len(heard) == 5 and told[-1] == ("rollouts", 5, 5)
    assert not np.array_equal(heard[0][0], heard[1][0]), "points differ in what is heard"
    read, page = json.loads(json.dumps(report.to_json())), control_page(report)
    assert read["visibility_seconds"] == [2.1, -1.0] and read["plan"]["visibility_seconds"] == [3.0, 2.1, -1.0]
    assert len(read["scores"]["played"]["pulse"]) == 2
    (note,) = read["notes"]
    assert note.startswith("Visibilities of 3 s and 2.1 s give one lag") and escape(note) in page
