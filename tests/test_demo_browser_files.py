"""Recordings and models in a real browser: what is downloaded is what was sent, and another model is a click away."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from lmdm_adapter.spec import BlockSpec, Sampling
from tests.cli import edit_config, save_live
from tests.demo_browser import browser, fetched, playwright_of, ready, served

pytestmark = pytest.mark.browser

RATE = 8000
"""The least that a browser plays."""
ARRIVED = """() => {
  const push = lmdm.player.push.bind(lmdm.player);
  window.arrived = [];
  lmdm.player.push = (packet) => { window.arrived.push([packet.first, Array.from(packet.samples)]); push(packet); };
}"""
"""Keeps what the player got; on a busy machine what is heard has gaps, and the player's own tests look at those."""


def model(folder, seed, **settings):
    return edit_config(save_live(folder, seed, **settings), lambda config: config.update(sample_rate=RATE))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return (model(folder / "first", 0, spec=BlockSpec(100, 2), sampling=Sampling(steps=3)),
            model(folder / "second", 1, spec=BlockSpec(150, 2), sampling=Sampling(steps=2)))  # fmt: skip


@pytest.fixture(scope="module")
def band(models):
    import lmdm_adapter
    from lmdm_adapter.demo.band import Band

    return Band(lmdm_adapter.load(models[0]), name="first")


@pytest.fixture
def demo(band):
    from lmdm_adapter.demo.chooser import Chooser

    chooser = Chooser(band)
    with served(chooser.voice, chooser=chooser, max_sessions=1) as made:
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


def play(page):
    page.evaluate("window.taps = 0")
    page.click("#play-start")
    page.wait_for_function("window.taps > 20", timeout=30_000)


def width_on_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    return page.evaluate("document.documentElement.scrollWidth")


def arrived(page):
    """All samples that the player got, from the first on: `s ch`."""
    packets = page.evaluate("window.arrived")
    assert [first for first, _ in packets] == list(np.cumsum([0, *(len(samples) for _, samples in packets)])[:-1])
    return np.concatenate([np.array(samples, np.float32) for _, samples in packets])[:, None]


def test_what_is_recorded_and_downloaded_is_what_was_sent_and_plays_again(page, demo, band, tmp_path):
    from lmdm_adapter.demo.record_log import read_record_log, replayed

    page.evaluate(ARRIVED)
    play(page)
    page.get_by_role("tab", name="Jam", exact=True).first.click()
    page.locator("#record input").check()
    page.get_by_text("recording").first.wait_for()
    page.get_by_role("tab", name="Play", exact=True).first.click()
    page.locator("#prompt-1 textarea, #prompt-1 input").first.fill("techno bass")
    page.wait_for_timeout(3000)
    page.locator("#record input").uncheck()
    page.get_by_role("link", name="sound").first.wait_for()
    sound, log = fetched(page, "sound", tmp_path), read_record_log(fetched(page, "events", tmp_path))
    page.wait_for_timeout(3000)
    samples, rate = soundfile.read(sound, dtype="float32", always_2d=True)
    place, sent = log.first_sample, arrived(page)
    assert rate == RATE and place > 0 and len(samples) > RATE / 2
    assert sent[place : place + len(samples)].tobytes() == samples.tobytes()
    assert any(turn["name"] == "prompt" for turn in log.turns)
    assert np.concatenate(list(replayed(log, band.voice))).tobytes() == samples.tobytes()
    url = page.get_by_role("link", name="sound").first.get_attribute("href")
    assert page.request.get(demo.url + url).ok
    assert width_on_a_telephone(page) <= 390
    page.goto("about:blank")
    assert demo.ended_within(2.0)
    assert page.request.get(demo.url + url).status == 404, "it goes with the page"


def test_another_model_is_loaded_while_the_old_one_plays(page, models):
    play(page)
    page.get_by_role("button", name="Model", exact=False).first.click()
    name, said = page.locator("#model-name textarea, #model-name input").first, page.locator("#model-said")
    name.fill("no/such folder")
    page.click("#model-load")
    said.get_by_text("There is no model").wait_for()
    page.wait_for_timeout(1000)
    name.fill(str(models[1]))
    page.click("#model-load")
    said.get_by_text("Press Play to hear it").wait_for(timeout=60_000)
    assert width_on_a_telephone(page) <= 390
    played = page.evaluate("window.lmdm.player.status.played")
    page.wait_for_timeout(500)
    assert page.evaluate("window.lmdm.player.status.played") > played, "the old one plays on"
    assert "first" in page.locator("h1 + p").inner_text()
    play(page)
    assert "second" in page.locator("h1 + p").inner_text()
    page.click("text=More")
    assert page.get_by_label("number input for Steps").input_value() == "2"


def name_model(page, folder):
    """Write the name until it stays: a box that has just been unfolded may take its first value once more."""
    box = page.locator("#model-name textarea, #model-name input").first
    for _ in range(20):
        box.fill(str(folder))
        page.wait_for_timeout(300)
        if box.input_value() == str(folder):
            return
    raise AssertionError(f"The box keeps {box.input_value()!r}.")


STATUSES = """() => {
  const status = document.querySelector('[data-show=status]');
  window.statuses = [];
  new MutationObserver(() => window.statuses.push(status.textContent))
    .observe(status, { childList: true, characterData: true, subtree: true });
}"""
"""Keeps what the status line said: music that plays on may say its own word after a refusal."""


def test_jam_too_shows_the_model_that_would_play(page, models):
    page.get_by_role("button", name="Model", exact=False).first.click()
    play(page)
    name_model(page, models[1])
    page.click("#model-load")
    page.locator("#model-said").get_by_text("Press Play to hear it").wait_for(timeout=60_000)
    assert "first" in page.locator("h1 + p").inner_text(), "it plays on"
    page.get_by_role("tab", name="Jam", exact=True).first.click()
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    page.evaluate(STATUSES)
    page.click("#jam-start")
    page.wait_for_function("document.querySelector('h1 + p').textContent.includes('second')")
    page.wait_for_function("statuses.some((one) => one.includes('lacks'))")


def upload(page, files):
    """Send files, and wait until each has arrived: one that is still on its way is no part of what is loaded."""
    page.locator("#model-files input[type=file]").set_input_files(files)
    page.locator("#model-files a[download]").nth(len(files) - 1).wait_for(timeout=60_000)


def test_an_upload_plays_and_stops(page, demo, models):
    page.get_by_role("button", name="Model", exact=False).first.click()
    upload(page, sorted(models[1].iterdir()))
    page.click("#model-load")
    page.locator("#model-said").get_by_text("an upload").wait_for(timeout=60_000)
    page.locator("#model-said").get_by_text("float32 on cpu").wait_for(timeout=60_000)
    play(page)
    assert "an upload" in page.locator("h1 + p").inner_text()
    page.click("#play-stop")
    page.wait_for_function("document.querySelector('[data-show=status]').textContent === 'Stopped.'")
    assert demo.ended_within(2.0)
