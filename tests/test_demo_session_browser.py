"""Sketch, Jam and Generative delay in a real browser: what is heard is what the session's engine plays, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gradio")
from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.demo.backing import STYLES, backing_track
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.tabs import live_input
from lmdm_adapter.resampling import fitted
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.delay_mode import DelayMode, delay_seconds_of
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.known_ahead import AheadJam, DrawnMode
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.sound_file import read_audio
from lmdm_adapter.spec import BlockSpec
from tests.demo_browser import browser, choose, fake_microphone, playwright_of, ready, served, shown, tapped
from tests.mode_models import CONFIG, RATE, listening_live, performed

pytestmark = pytest.mark.browser

LEAD_SECONDS, LINE_LEAD_SECONDS = 3.0, 2.0
"""Much, since a machine that runs tests is busy; what is measured is the transport."""
LISTENING = SessionPlan.listening(LEAD_SECONDS)
SECONDS = 5
PLAYED = "(window.lmdm.player.status?.played ?? 0)"


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
def demo(voices):
    facts = replace(voices.band.facts, lead_seconds=LEAD_SECONDS)
    with served(voices, facts=facts, max_sessions=1) as made:
        yield made


@pytest.fixture(scope="module")
def chromium(playwright):
    with browser(playwright) as made:
        yield made


@pytest.fixture
def page(chromium, demo, monkeypatch):
    monkeypatch.setattr(live_input, "LEAD_SECONDS", LINE_LEAD_SECONDS)
    page = chromium.new_page()
    yield ready(page, demo.url)
    page.close()
    assert demo.ended_within(1.0)


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


def heard_in(page, voices, start, stop, seconds=SECONDS):
    """What the page played, `s ch`; tried again when the machine was too busy for it."""
    for _ in range(3):
        page.evaluate("window.tapped = []")
        page.click(start)
        page.wait_for_function(f"window.tapped.length && {PLAYED} > {seconds * RATE}", timeout=90_000)
        (first, samples), counted = tapped(page, 1), (shown(page, "underruns"), shown(page, "lost"))
        held = voices.made[-1].engine.player.holds
        page.click(stop)
        if (*counted, held) == ("0", "0", 0):
            assert first == 0
            return samples
        page.wait_for_timeout(3000)
    raise AssertionError(f"no run was on time: {counted}, {held} holds")


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
    samples = heard_in(page, voices, "#sketch-start", "#sketch-stop")
    curves = Curves(8.0, loudness=(0.7, 0.4, *[0.5] * 62))
    assert voices.made[-1].engine.mode.curves == curves
    plan = SessionPlan(GovernorPlan(LEAD_SECONDS, most_lead_seconds=4.0))
    values = {"prompt": "124 BPM house in A minor", "tightness": 0.7}
    engine = engine_of(live, facts, DrawnMode(CONFIG, curves), plan=plan, **values)
    assert np.array_equal(samples, performed(engine, np.zeros((len(samples), 1), np.float32), chunk=500))
    other = engine_of(live, facts, DrawnMode(CONFIG, replace(curves, loudness=())), plan=plan, **values)
    assert not np.array_equal(samples, performed(other, np.zeros((len(samples), 1), np.float32), chunk=500))
    assert "Answers after" in shown(page, "budget")


def test_a_jam_with_a_backing_track_that_is_seen_ahead(page, live, facts, voices):
    choose(page, "Jam")
    settled(page)
    set_number(page, "number input for Future visibility in seconds", 1.0)
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    samples = heard_in(page, voices, "#jam-start", "#jam-stop")
    assert voices.made[-1].engine.mode.timing.visibility_frames == 125
    values = {"prompt": "jazz, upright bass, piano", "mix": 0.7}
    heard = backing(live)[: len(samples)]
    hearing = Listening(live.codec)
    modes = [AheadJam.seeing(hearing, facts, backing(live), visibility_seconds=seconds) for seconds in (1.0, 0.0)]
    expected = [
        performed(engine_of(live, facts, mode, source=(RATE, 1), **values), heard, chunk=500) for mode in modes
    ]
    assert np.array_equal(samples, expected[0]) and not np.array_equal(samples, expected[1])


def test_a_generative_delay_of_a_backing_track(page, live, facts, voices):
    choose(page, "Generative delay")
    settled(page)
    set_number(page, "number input for Delay in beats", 8)
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    samples = heard_in(page, voices, "#delay-start", "#delay-stop")
    mode = DelayMode.of(CONFIG, facts, LISTENING, delay_seconds=delay_seconds_of(8, 100))
    engine = engine_of(live, facts, mode, source=(RATE, 1), prompt="", feedback=0.4, tightness=0.7, mix=0.5)
    assert np.array_equal(samples, performed(engine, backing(live)[: len(samples)], chunk=500))


def test_a_delay_that_is_too_short_is_refused_with_the_shortest_that_works(page, voices):
    choose(page, "Generative delay")
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    set_number(page, "number input for Delay in beats", 0.5)
    page.wait_for_timeout(500)
    page.click("#delay-start")
    page.wait_for_function("document.querySelector('[data-show=status]').textContent.includes('the shortest that')")
    assert "beats at 100 BPM" in shown(page, "status")


def test_the_latency_is_that_of_the_settings_which_start_was_pressed_with(page):
    choose(page, "Generative delay")
    settled(page)
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    for beats, says in ((8, "Answers after 4.80 s"), (10, "Answers after 6.00 s"), (0.5, "")):
        set_number(page, "number input for Delay in beats", beats)
        page.wait_for_timeout(500)
        page.click("#delay-start")
        line = "document.querySelector('[data-show=budget]').textContent"
        page.wait_for_function(f"{line}.startsWith({says!r})" if says else f"{line} === ''", timeout=90_000)
        page.wait_for_timeout(1000)
        assert shown(page, "budget").startswith(says or "") and "closed" not in shown(page, "status")


COUNTING = """() => {
  window.clicks = []; window.froms = []; window.counts = [];
  window.lmdm.player.loopbackSeconds = 0.05;
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (at, ...rest) {
    window.clicks.push(at);
    return start.call(this, at, ...rest);
  };
  const post = MessagePort.prototype.postMessage;
  MessagePort.prototype.postMessage = function (told, ...rest) {
    if (told?.port && told.from) window.froms.push(told.from);
    return post.call(this, told, ...rest);
  };
  const record = window.lmdm.record;
  window.lmdm.record = async (...told) => {
    const made = await record(...told);
    window.hum = [made[0], atob(made[1]).length / 2];
    return made;
  };
  const button = document.querySelector("[data-hum]");
  new MutationObserver(() => window.counts.push(button.textContent)).observe(button, { childList: true });
}"""


def counted_in(page, *, beat_seconds, beats):
    """A bar of clicks in time, on the button too, and then so many beats of microphone from the very next beat on."""
    clicks, (rate, samples) = page.evaluate("window.clicks"), page.evaluate("window.hum")
    (first,) = page.evaluate("window.froms")
    assert np.allclose(np.diff(clicks), beat_seconds, rtol=0, atol=1e-9) and len(clicks) == 4
    assert abs(first - (clicks[3] + beat_seconds + 0.05) * rate) <= 1, "0.05 s is how late the page is heard"
    assert samples == round(beats * beat_seconds * rate)
    said = page.evaluate("window.counts")
    shown_beats = [one for one in said if one.startswith(("Count-in", "Hum now"))]
    order = [f"Count-in: {beat}" for beat in range(1, 5)] + [f"Hum now: bar 1, beat {beat}" for beat in range(1, 5)]
    assert shown_beats == [one for one in order if one in shown_beats] and len(shown_beats) > 4, said


def test_a_hum_becomes_the_curve_of_the_melody(playwright, live, tmp_path):
    seconds = np.arange(48_000 * 8) / 48_000
    hum = 0.3 * np.sin(2 * np.pi * 220 * seconds) + 0.1 * np.sin(2 * np.pi * 440 * seconds)
    flag = fake_microphone(tmp_path / "hum.wav", hum, 48_000)
    with served(Kept(live), max_sessions=1) as demo, browser(playwright, flag) as chromium:
        page = ready(chromium.new_page(), demo.url)
        choose(page, "Sketch")
        set_number(page, "number input for Bars", 1)
        page.evaluate(COUNTING)
        page.click("[data-hum]")
        drawn = """() => { const canvas = document.querySelector("canvas[data-curve=melody]");
          const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const rows = [], ink = (y) => data[4 * (y * width + width / 2) + 3];
          for (let y = 0; y < height; y++) if (ink(y) > 200) rows.push(y);
          return rows.length ? 1 - rows[0] / (height - 4) : null; }"""
        page.wait_for_function(f"({drawn})() !== null", timeout=90_000)
        assert abs(page.evaluate(drawn) - (57 - 36) / 48) < 0.03, "A3, from C2 to C6"
        counted_in(page, beat_seconds=60 / 124, beats=4)
        set_number(page, "number input for Bars", 16)
        page.click("[data-hum]")
        page.wait_for_function("document.querySelector('[data-show=status]').textContent.includes('fewer bars')")
        page.close()
