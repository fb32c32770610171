"""Pictures of every tab for docs/demo.md: `LMDM_PICTURES=1` takes them of the bundled model while it plays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.demo_browser import browser, choose, playwright_of, ready, served
from tests.demo_voices import Voices

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "demo"
ASKED = bool(os.environ.get("LMDM_PICTURES"))
PLAYED_SECONDS = 12.0 if ASKED else 1.0
TABS = {"Play": "play", "Sketch": "sketch", "Jam": "jam", "Generative delay": "delay"}


@pytest.fixture(scope="module")
def demo():
    with _bundled() if ASKED else served(Voices(), max_sessions=1) as made:
        yield made


def _bundled():
    import lmdm_adapter
    from lmdm_adapter.demo.band import Band
    from lmdm_adapter.demo.chooser import Chooser

    chooser = Chooser(Band(lmdm_adapter.load("tiny-controls"), name="tiny-controls"))
    return served(chooser.voice, facts=chooser.facts, chooser=chooser, max_sessions=1)


@pytest.fixture(scope="module")
def chromium():
    with playwright_of() as playwright, browser(playwright) as made:
        yield made


def draw(page):
    """A line up and down over each curve."""
    for lane in page.locator("canvas[data-curve]").all():
        box = lane.bounding_box()
        places = [(x / 20, 0.5 + 0.4 * (1 if x % 10 < 5 else -1) * (x % 5) / 5) for x in range(1, 20)]
        page.mouse.move(box["x"] + places[0][0] * box["width"], box["y"] + places[0][1] * box["height"])
        page.mouse.down()
        for x, y in places[1:]:
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.mouse.up()


def prepare(page, tab):
    if tab == "Sketch":
        draw(page)
    if tab in ("Jam", "Generative delay"):
        page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()


@pytest.mark.parametrize("tab", TABS)
def test_a_picture_of_every_tab(chromium, demo, tmp_path, tab):
    folder = PICTURES if ASKED else tmp_path
    page = ready(chromium.new_page(viewport={"width": 1000, "height": 900}), demo.url)
    choose(page, tab)
    prepare(page, tab)
    page.click(f"#{TABS[tab]}-start")
    page.wait_for_function("window.taps > 0", timeout=60_000)
    page.wait_for_timeout(PLAYED_SECONDS * 1000)
    path = folder / f"{TABS[tab]}.png"
    page.screenshot(path=path, full_page=True)
    assert 5_000 < path.stat().st_size < 200_000
    page.close()
    assert demo.ended_within(5.0)
