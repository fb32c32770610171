"""Two feeds and one player, in a real browser: whatever is pressed, and in whatever order, the newest is heard."""

from __future__ import annotations

import pytest

from tests.demo_browser import browser, playwright_of, ready, served, shown
from tests.demo_voices import Voices

pytestmark = pytest.mark.browser

STATUS = "document.querySelector('[data-show=status]').textContent"
SLOW_MICROPHONE = """() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((done) => setTimeout(done, 700));
    const media = await ask(wanted);
    window.tracks.push(...media.getTracks());
    return media;
  };
}"""
"""A visitor who takes a moment to allow the microphone."""
REFUSED = "() => { navigator.mediaDevices.getUserMedia = async () => { throw new Error('Permission denied'); }; }"
LIVE = "window.tracks.filter((track) => track.readyState === 'live').length"
STUCK = "() => { const until = performance.now() + 4000; while (performance.now() < until); }"


@pytest.fixture(scope="module")
def voices():
    return Voices()


@pytest.fixture(scope="module")
def demo(voices):
    with served(voices, max_sessions=1) as made:
        yield made


@pytest.fixture(scope="module")
def chromium():
    with playwright_of() as playwright, browser(playwright) as made:
        yield made


@pytest.fixture
def page(chromium, demo):
    page = ready(chromium.new_page(), demo.url)
    yield page
    page.close()
    assert demo.ended_within(2.0)


def press(page, tab, button):
    page.get_by_role("tab", name=tab, exact=True).first.click()
    page.click(button)


def playing(page, voices, mode):
    """Wait until a voice of that mode plays, and see that it still does a moment later."""
    page.wait_for_function(f"{STATUS} === 'Playing.' && lmdm.player.status?.playing", timeout=20_000)
    page.wait_for_timeout(1500)
    assert shown(page, "status") == "Playing." and voices.made[-1].wish.mode == mode
    assert not voices.made[-1].closed.is_set()
    return page.evaluate("lmdm.player.status.played")


def jam_with_a_backing_track(page):
    page.get_by_role("tab", name="Jam", exact=True).first.click()
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    page.click("#jam-start")


def test_start_pressed_again_begins_again(page, voices):
    jam_with_a_backing_track(page)
    playing(page, voices, "jam")
    for _ in range(2):
        made = len(voices.made)
        page.click("#jam-start")
        page.wait_for_timeout(1000)
        playing(page, voices, "jam")
        assert len(voices.made) == made + 1
    assert len(page.workers) == 1, "the old lines are gone"


def test_play_takes_over_from_a_jam_and_a_jam_from_play(page, voices):
    jam_with_a_backing_track(page)
    playing(page, voices, "jam")
    press(page, "Play", "#play-start")
    page.wait_for_timeout(1000)
    playing(page, voices, "play")
    press(page, "Jam", "#jam-start")
    page.wait_for_timeout(1000)
    playing(page, voices, "jam")


def test_any_stop_stops_whatever_plays_and_at_once(page, voices):
    press(page, "Play", "#play-start")
    playing(page, voices, "play")
    press(page, "Jam", "#jam-stop")
    page.wait_for_function(f"{STATUS} === 'Stopped.' && !lmdm.player.status.playing", timeout=1500)
    assert voices.made[-1].closed.wait(1.0)


def test_a_lead_that_was_turned_down_is_enough_to_go_on_after_a_gap(page, voices):
    press(page, "Play", "#play-start")
    playing(page, voices, "play")
    page.click("text=More")
    lead = page.get_by_label("number input for Lead in seconds").locator("visible=true").first
    lead.fill("0.2")
    lead.press("Tab")
    page.wait_for_timeout(1000)
    page.evaluate(STUCK)
    page.wait_for_timeout(2500)
    assert int(shown(page, "underruns")) >= 1
    played = page.evaluate("lmdm.player.status.played")
    page.wait_for_timeout(1000)
    assert page.evaluate("lmdm.player.status.played") > played, "it does not wait for the old lead"


def test_a_stop_while_the_microphone_is_asked_for_is_a_stop(page, voices):
    page.evaluate(SLOW_MICROPHONE)
    made = len(voices.made)
    press(page, "Jam", "#jam-start")
    page.wait_for_timeout(400)
    page.click("#jam-stop")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.tracks.length") and not page.evaluate(LIVE)
    assert len(voices.made) == made and shown(page, "status") == "Stopped."


def test_two_starts_leave_one_microphone_which_is_missed_when_it_goes(page, voices):
    page.evaluate(SLOW_MICROPHONE)
    press(page, "Jam", "#jam-start")
    page.wait_for_timeout(400)
    page.click("#jam-start")
    page.wait_for_timeout(1000)
    playing(page, voices, "jam")
    assert page.evaluate(LIVE) == 1
    page.evaluate("window.tracks.at(-1).dispatchEvent(new Event('ended'))")
    assert "microphone is gone" in shown(page, "status")


def test_a_microphone_that_is_refused_leaves_nothing_open(page):
    page.evaluate(REFUSED)
    press(page, "Jam", "#jam-start")
    page.wait_for_function(f"{STATUS}.includes('Permission denied')")
    assert page.evaluate("lmdm.player.captureContext.state") == "closed"
