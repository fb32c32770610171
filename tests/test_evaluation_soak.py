"""Minutes of playing: what is counted, what is compared, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.checks import Check
from lmdm_adapter.evaluation.memory import Slope, memory_slope, rss_bytes
from lmdm_adapter.evaluation.soak import SoakPlan, exact_difference, soak
from tests.models import tiny_live


def test_some_blocks_of_a_tiny_model():
    live, heard = tiny_live(), []
    report = soak(live, SoakPlan(minutes=0.03), progress=lambda *figures: heard.append(figures))
    assert report.blocks == len(heard) == 38
    assert report.seconds == pytest.approx(heard[-1][0]) == pytest.approx(38 * 0.048)
    assert report.nan_samples == 0 and report.exact_difference <= 1e-5 and report.peak > 0
    assert 0 < report.factor_median <= report.factor_p95
    assert report.border is not None and report.border.look_ahead_frames == live.codec.hold_back_frames - 2
    # Less than a minute says nothing about leaks.
    assert report.rss_slope is None
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["blocks"] == 38


def test_the_comparison_finds_a_wrong_block():
    live, latents, audio = tiny_live(), [], []
    state = live.start(0)
    for _ in range(8):
        piece, state = live.step(state, "house")
        audio.append(piece)
        latents.append(state.pending[-1].latents)
    assert exact_difference(live.codec, latents, audio) <= 1e-5
    wrong = [*latents[:3], latents[3] + 0.01, *latents[4:]]
    assert exact_difference(live.codec, wrong, audio) > 1e-4
    with pytest.raises(LmdmError, match="shorter than the codec's look-ahead"):
        exact_difference(live.codec, latents[:1], audio[:1])


def test_broken_weights_are_counted_and_fail():
    live = tiny_live()
    with torch.no_grad():
        live.network.dit.postprocess_conv.weight.fill_(float("nan"))
    report = soak(live, SoakPlan(minutes=0.03))
    assert report.nan_samples > 0 and not report.passed
    failed = {check.name for check in report.checks if not check.passed}
    assert {"NaN or infinite samples", "exact mode minus one-shot decode"} <= failed
    json.dumps(report.to_json(), allow_nan=False)


def test_memory_slopes():
    minutes = np.linspace(0.0, 10.0, 1000)
    noise = np.random.default_rng(0).normal(0.0, 0.5, 1000)
    level, leak = memory_slope(minutes, 300.0 + noise), memory_slope(minutes, 300.0 + 2.0 * minutes + noise)
    assert level is not None and leak is not None
    assert level.low < 0.0 < level.high < 0.2
    assert leak.value == pytest.approx(2.0, abs=0.1) and leak.low > 1.5
    # One step in the middle is no slope to be sure of: the interval must show that.
    step = memory_slope(minutes, 300.0 + 5.0 * (minutes > 5.0))
    assert step is not None and step.high - step.low > 0.3
    assert memory_slope(minutes[:15], noise[:15]) is None and memory_slope(minutes[:99], noise[:99]) is None


def test_memory_must_surely_not_grow():
    """The upper end of the interval decides: a slope of which nobody can be sure is no pass."""
    report = soak(tiny_live(), SoakPlan(minutes=0.03))
    for slope, passed in ((Slope(0.0, -0.1, 0.1), True), (Slope(0.0, -9.0, 9.0), False)):
        checks = {check.name: check for check in replace(report, rss_slope=slope).checks}
        assert checks["memory growth, MiB per minute"].passed == passed


def test_this_process_has_memory():
    assert (rss_bytes() or 2**21) > 2**20


def test_checks_decide_by_the_figure():
    check = Check("x", 0.5, 0.5, low=0.1, high=0.9)
    assert check.passed and not replace(check, value=0.51).passed
    assert replace(check, at_least=True, value=0.51).passed and not replace(check, at_least=True, value=0.49).passed
    assert not replace(check, value=float("nan")).passed
    assert not replace(check, value=float("nan"), at_least=True).passed


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_impossible_lengths_are_refused(minutes):
    with pytest.raises(LmdmError, match="positive number of minutes"):
        SoakPlan(minutes=minutes)
