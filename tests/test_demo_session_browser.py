"""Sketch, Jam and Generative delay in a real browser: what is heard is what the session's engine plays, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gradio")
from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.demo.backing import STYLES, backing_track
from lmdm_adapter.demo.band import Band
from lmdm_adapter.resampling import fitted
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.known_ahead import DrawnMode
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.sound_file import read_audio
from lmdm_adapter.spec import BlockSpec
from tests.demo_browser import browser, playwright_of, ready, served, shown, tapped
from tests.mode_models import CONFIG, RATE, listening_live, performed

pytestmark = pytest.mark.browser

LEAD_SECONDS = 2.0
"""Much, since a machine that runs tests is busy."""
LISTENING = SessionPlan.listening(LEAD_SECONDS)
SECONDS = 4


@pytest.fixture(scope="module")
def live():
    return listening_live(steps=1, spec=BlockSpec(block_frames=60, context_blocks=2))


@pytest.fixture(scope="module")
def facts(live):
    return facts_of(live, look_ahead_frames=low_latency_frames(live.codec))


@pytest.fixture(scope="module")
def playwright():
    with playwright_of() as made:
        yield made


class Kept:
    """A band that keeps its voices for questions."""

    def __init__(self, live):
        self.band, self.made = Band(live, name="toy"), []

    def __call__(self, wish):
        self.made.append(self.band.voice(wish))
        return self.made[-1]


@pytest.fixture(scope="module")
def voices(live):
    return Kept(live)


@pytest.fixture(scope="module")
def demo(voices, live):
    with served(voices, facts=Kept(live).band.facts, max_sessions=1) as made:
        yield made


@pytest.fixture(scope="module")
def chromium(playwright):
    with browser(playwright) as made:
        yield made


@pytest.fixture
def page(chromium, demo):
    page = chromium.new_page()
    yield ready(page, demo.url)
    page.close()
    assert demo.ended_within(1.0)


def choose(page, tab):
    page.get_by_role("tab", name=tab, exact=True).first.click()


def set_number(page, label, value):
    """Put a value into the field of that name that is shown."""
    field = page.get_by_label(label).locator("visible=true").first
    field.fill(str(value))
    field.press("Tab")


def settled(page):
    """A long lead, and all that was set has reached the server."""
    page.get_by_role("button", name="More").locator("visible=true").first.click()
    set_number(page, "number input for Lead in seconds", LEAD_SECONDS)
    page.wait_for_timeout(500)


def heard_in(page, seconds=SECONDS):
    page.wait_for_function(f"(window.lmdm.player.status?.played ?? 0) > {seconds * RATE}", timeout=60_000)
    first, samples = tapped(page, 1)
    assert first == 0 and (shown(page, "underruns"), shown(page, "lost")) == ("0", "0")
    return samples


def engine_of(live, facts, mode, *, plan=LISTENING, source=None, **values):
    return Engine(live, facts, mode, state=live.start(0, look_ahead_frames=facts.hold_back_frames), plan=plan,
                  values={"steps": 1, **values}, source=source)  # fmt: skip


def backing(live):
    audio = read_audio(backing_track(STYLES[0]))
    return fitted(audio, sample_rate=RATE, channels=1).samples.T


def test_a_drawing_is_played_as_the_engine_plays_it(page, live, facts, voices):
    choose(page, "Sketch")
    settled(page)
    page.get_by_label("Tempo in BPM").locator("visible=true").first.fill("120")
    canvas = page.locator("canvas[data-curve=loudness]")
    canvas.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowDown"):
        canvas.press(key)
    page.wait_for_timeout(500)
    page.click("#sketch-start")
    samples = heard_in(page)
    curves = Curves(8.0, loudness=(0.7, 0.4, *[0.5] * 62))
    assert voices.made[-1].engine.mode.curves == curves and voices.made[-1].engine.player.holds == 0
    plan = SessionPlan(GovernorPlan(LEAD_SECONDS, most_lead_seconds=4.0))
    values = {"prompt": "124 BPM house in A minor", "tightness": 0.7}
    engine = engine_of(live, facts, DrawnMode(CONFIG, curves), plan=plan, **values)
    assert np.array_equal(samples, performed(engine, np.zeros((len(samples), 1), np.float32), chunk=500))
    other = engine_of(live, facts, DrawnMode(CONFIG, replace(curves, loudness=())), plan=plan, **values)
    assert not np.array_equal(samples, performed(other, np.zeros((len(samples), 1), np.float32), chunk=500))
    assert "Answers after" in shown(page, "budget")
