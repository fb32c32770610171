"""The demo in a real browser: what is generated is what is played, and what leaves leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from tests.demo_browser import LEAD_SECONDS, browser, choose, playwright_of, ready, served, shown, tapped
from tests.demo_voices import BLOCK_SAMPLES, CHANNELS, RATE, Voices, tone

pytestmark = pytest.mark.browser

LOCAL = ("data:", "blob:")


@pytest.fixture(scope="module")
def voices():
    return Voices()


@pytest.fixture(scope="module")
def demo(voices):
    with served(voices, max_sessions=1) as made:
        yield made


@pytest.fixture(scope="module")
def playwright():
    with playwright_of() as made:
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
    assert demo.ended_within(2.0)


def play(page, seconds):
    page.click("#play-start")
    page.wait_for_function("window.taps > 0", timeout=20_000)
    page.wait_for_timeout(seconds * 1000)


ARRIVALS = """() => {
  const push = lmdm.player.push.bind(lmdm.player);
  window.arrivals = [];
  lmdm.player.push = (packet) => { window.arrivals.push(performance.now()); push(packet); };
}"""
STARVED_SECONDS = 1.5
"""A machine that lets no packet through for that long, of a lead of two, is too busy to tell anything."""


def test_every_sample_is_played_to_the_bit_and_on_time(chromium, demo):
    for _ in range(3):
        page = ready(chromium.new_page(), demo.url)
        page.evaluate(ARRIVALS)
        play(page, 4)
        (first, samples), gap_seconds = tapped(page, CHANNELS), page.evaluate(LONGEST_GAP)
        counted = shown(page, "underruns"), shown(page, "lost")
        page.close()
        assert demo.ended_within(2.0)
        if gap_seconds < STARVED_SECONDS:
            break
    assert gap_seconds < STARVED_SECONDS, "no run was on time"
    assert counted == ("0", "0")
    assert first == 0 and len(samples) > 2 * RATE
    assert samples.tobytes() == expected_blocks(len(samples)).tobytes()


LONGEST_GAP = """() => {
  const times = [...window.arrivals, performance.now()];
  return Math.max(...times.slice(1).map((time, i) => time - times[i])) / 1000;
}"""


def expected_blocks(samples):
    blocks = [tone(start, BLOCK_SAMPLES) for start in range(0, samples, BLOCK_SAMPLES)]
    return np.concatenate(blocks)[:samples]


def test_nothing_is_asked_of_any_other_machine(chromium, demo):
    page, asked = chromium.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    ready(page, demo.url)
    play(page, 1)
    for tab in ("Sketch", "Jam", "Generative delay"):
        page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(500)
    page.close()
    assert asked and not [url for url in asked if not url.startswith((demo.url, *LOCAL))]
    assert demo.ended_within(2.0)


def test_the_voice_is_gone_within_a_second_of_closing_the_tab(chromium, demo, voices):
    page = ready(chromium.new_page(), demo.url)
    play(page, 1)
    page.close()
    began = time.monotonic()
    assert voices.made[-1].closed.wait(1.0), "closed after more than a second"
    assert demo.ended_within(1.0 - (time.monotonic() - began))


def test_the_stop_button_stops(page, demo, voices):
    play(page, 0.5)
    page.click("#play-stop")
    assert voices.made[-1].closed.wait(1.0)
    page.wait_for_function("document.querySelector('[data-show=status]').textContent === 'Stopped.'")
    page.click("#play-start")
    page.wait_for_function("document.querySelector('[data-show=status]').textContent === 'Playing.'")


def test_a_new_prompt_is_heard_within_a_block_and_the_lead(page, voices):
    play(page, 2)
    box = page.locator("#prompt-1 textarea, #prompt-1 input").first
    box.fill("high")
    played = page.evaluate("window.lmdm.player.status.played")
    turned = time.monotonic()
    while voices.made[-1].raised_at is None and time.monotonic() - turned < 5:
        page.wait_for_timeout(10)
    lag_seconds = (voices.made[-1].raised_at - played) / RATE
    assert lag_seconds <= BLOCK_SAMPLES / RATE + LEAD_SECONDS + 0.1


def test_a_second_browser_sees_its_place_and_then_plays(chromium, demo, page):
    play(page, 0.5)
    second = ready(chromium.new_page(), demo.url)
    second.click("#play-start")
    second.wait_for_function("document.querySelector('[data-show=status]').textContent.includes('you are next')")
    third = ready(chromium.new_page(), demo.url)
    third.click("#play-start")
    third.wait_for_function("document.querySelector('[data-show=status]').textContent.includes('1 are before you')")
    third.close()
    page.wait_for_timeout(1000)
    assert demo.visits.seats.waiting == 1, "who closes the tab in the line leaves it"
    page.click("#play-stop")
    second.wait_for_function("document.querySelector('[data-show=status]').textContent === 'Playing.'")
    second.close()


def test_a_page_that_is_stuck_for_five_seconds_costs_no_more_than_its_lead(page, voices):
    play(page, 1)
    before = voices.made[-1].blocks
    page.evaluate("() => { const until = performance.now() + 5000; while (performance.now() < until); }")
    stuck = (voices.made[-1].blocks - before) * BLOCK_SAMPLES / RATE
    assert stuck < 3.0, "5 s of music would be a buffer that grows"
    page.wait_for_timeout(2500)
    assert shown(page, "lost") == "0" and int(shown(page, "underruns")) >= 1
    played = page.evaluate("window.lmdm.player.status.played")
    page.wait_for_timeout(500)
    assert page.evaluate("window.lmdm.player.status.played") > played, "it goes on"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_telephone_shows_every_tab_without_scrolling_sideways(chromium, demo, scheme):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = ready(context.new_page(), demo.url)
    for tab in ("Play", "Sketch", "Jam", "Generative delay"):
        choose(page, tab)
        page.wait_for_timeout(300)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{tab} is {width} px wide"
    context.close()


def test_the_pad_and_the_player_work_from_the_keyboard(page, voices):
    play(page, 0.5)
    page.focus("#pad .pad")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    shares = []
    for _ in range(50):
        page.wait_for_timeout(100)
        turned = [value for name, value in voices.made[-1].turns if name == "prompt"]
        shares = [[round(weight, 2) for _, weight in prompts] for prompts in turned]
        if shares and shares[-1] == [0.5, 0.5]:
            break
    assert shares and shares[-1] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("file", "says"), [("song.txt.wav", "cannot be read as sound"), ("hour.flac", "60.0 minutes"), (None, "Choose")]
)
def test_a_file_that_cannot_play_is_answered_with_a_sentence(page, voices, tmp_path, file, says):
    made = len(voices.made)
    choose(page, "Jam")
    page.get_by_label("Sound file", exact=True).first.check()
    if file is not None:
        path = tmp_path / file
        path.write_bytes(b"not a sound")
        if path.suffix == ".flac":
            soundfile.write(path, np.zeros(3600 * 1000, np.int16), 1000)
        upload(page, path)
    page.click("#jam-start")
    page.get_by_text(says).first.wait_for()
    assert len(voices.made) == made


def playwright_timeout():
    from playwright.sync_api import TimeoutError as Timeout

    return Timeout


def upload(page, path):
    """Give the page a file; the field that takes it listens a moment after it is shown, and misses what came before."""
    for _ in range(5):
        page.wait_for_timeout(1000)
        page.locator("input[type=file]").first.set_input_files([])
        page.locator("input[type=file]").first.set_input_files(path)
        try:
            return page.get_by_text(path.name).first.wait_for(timeout=5000)
        except playwright_timeout():
            continue
    raise AssertionError(f"{path.name} was not taken")


def test_a_backing_track_plays_into_the_line(page, voices):
    choose(page, "Jam")
    page.get_by_label("Backing track", exact=True).first.check()
    page.click("#jam-start")
    page.wait_for_function("window.taps > 0", timeout=30_000)
    page.wait_for_timeout(500)
    wish = voices.made[-1].wish
    assert wish.mode == "jam" and wish.source is None and wish.values["sound"].endswith("house.flac")
    assert not voices.made[-1].heard, "the server plays it to the session itself"
    page.click("#jam-stop")
    assert voices.made[-1].closed.wait(1.0)


def test_the_command_plays_the_bundled_model(chromium):
    command = [sys.executable, "-m", "lmdm_adapter", "demo", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            url = server.stdout.readline().split()[4]
            page = ready(chromium.new_page(), url)
            page.click("text=More")
            for knob, value in (("Steps", "1"), ("Guidance", "1"), ("Lead in seconds", "1")):
                page.get_by_label(f"number input for {knob}").fill(value)
                page.keyboard.press("Tab")
            page.wait_for_timeout(500)
            page.click("#play-start")
            page.wait_for_function("window.taps > 200", timeout=60_000)
            _, samples = tapped(page, 1)
            assert np.abs(samples).max() > 0.01 and "MiB" in shown(page, "memory")
            page.close()
        finally:
            server.send_signal(signal.SIGINT)
            said = server.communicate(timeout=30)[0]
    assert server.returncode == 130 and "Traceback" not in said, said
