"""The page for who uses a mouse or finger alone, hears it instead of seeing it, or reads with tired eyes."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio")
from tests.demo_browser import browser, playwright_of, ready, served
from tests.demo_voices import Voices

pytestmark = pytest.mark.browser

TABS = ("Play", "Sketch", "Jam", "Generative delay")
LEAST_CONTRAST = 4.5
GAINS = """(() => {
  window.gains = [];
  window.GainNode = class extends GainNode { constructor(...told) { super(...told); window.gains.push(this.gain); } };
})()"""
CONTRASTS = """() => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  const over = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    colours.forEach((colour) => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); });
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colours) => over(colours).slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => (node ? [...behind(node.parentElement), getComputedStyle(node).backgroundColor] : ["white"]);
  const words = (node) => [...node.childNodes].filter((child) => child.nodeType === 3);
  const said = (node) => words(node).map((child) => child.data).join("");
  const shown = "figcaption, dt, dd, label, .lane span, .hint, [class*=info], [data-testid*=info]";
  return [...document.querySelectorAll(shown)]
    .filter((node) => node.offsetParent && said(node).trim())
    .map((node) => {
      const back = behind(node), levels = [light(back), light([...back, getComputedStyle(node).color])];
      const contrast = (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
      return [said(node).trim().slice(0, 30), Math.round(10 * contrast) / 10];
    });
}"""


@pytest.fixture(scope="module")
def voices():
    return Voices()


@pytest.fixture(scope="module")
def opened(voices):
    """Open a page, dark or light."""
    with playwright_of() as playwright, served(voices, max_sessions=1) as demo, browser(playwright) as chromium:

        def page(scheme):
            made = chromium.new_context(color_scheme=scheme).new_page()
            made.add_init_script(GAINS)
            return ready(made, demo.url)

        yield page


@pytest.fixture(scope="module")
def page(opened):
    return opened("light")


def choose(page, tab):
    page.get_by_role("tab", name=tab, exact=True).first.click()
    page.wait_for_timeout(300)


def drawn(page, voices, wanted):
    """Wait until the voice was told a curve of the loudness with so many values."""
    for _ in range(600):
        sketches = [value for name, value in voices.made[-1].turns if name == "sketch"]
        if sketches and len(sketches[-1]["loudness"]) == wanted:
            return True
        page.wait_for_timeout(100)
    return False


def test_a_curve_is_drawn_and_cleared_by_mouse(page, voices):
    choose(page, "Sketch")
    page.click("#sketch-start")
    page.wait_for_function("window.taps > 0", timeout=60_000)
    page.locator("canvas[data-curve=loudness]").click(position={"x": 20, "y": 10})
    assert drawn(page, voices, 64)
    page.get_by_role("button", name="Clear Loudness").click()
    assert drawn(page, voices, 0)
    page.click("#sketch-stop")


def test_a_curve_tells_its_name_and_what_is_drawn(page):
    choose(page, "Sketch")
    curve = page.get_by_role("slider", name="Brightness", exact=True)
    assert curve.get_attribute("aria-valuetext") == "place 1 of 64: free"
    for key in ("ArrowRight", "ArrowUp", "ArrowUp"):
        curve.press(key)
    assert curve.get_attribute("aria-valuetext") == "place 2 of 64: 70 %"
    assert curve.get_attribute("aria-valuenow") == "70"
    curve.press("Delete")
    assert curve.get_attribute("aria-valuetext") == "place 2 of 64: free"


def test_the_microphone_is_heard_by_one_box_for_all_tabs(page):
    for tab in TABS:
        choose(page, tab)
    box = page.get_by_label("Hear the microphone")
    assert box.count() == 1
    choose(page, "Jam")
    heard = "window.gains.some((gain) => gain.value === 1)"
    page.click("#jam-start")
    page.wait_for_function("window.gains.some((gain) => gain.value === 0)", timeout=60_000)
    assert not page.evaluate(heard)
    box.check()
    page.wait_for_function(heard)
    page.click("#jam-stop")
    box.uncheck()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_captions_and_help_can_be_read(opened, scheme):
    page, found = opened(scheme), {}
    for tab in TABS:
        choose(page, tab)
        found |= dict(page.evaluate(CONTRASTS))
    assert {"Waveform", "Latency", "Loudness", "0 is free, 1 exact."} <= set(found)
    assert not {text: contrast for text, contrast in found.items() if contrast < LEAST_CONTRAST}
