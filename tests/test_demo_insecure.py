"""The demo over plain http from another machine, where browsers give no sound: it says so, and starts nothing."""

from __future__ import annotations

import pytest

pytest.importorskip("gradio")
from tests.demo_browser import browser, playwright_of, ready, served, shown
from tests.demo_voices import Voices

pytestmark = pytest.mark.browser

NAME = "studio.example"


@pytest.fixture(scope="module")
def voices():
    return Voices()


@pytest.fixture(scope="module")
def demo(voices):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmdm_adapter.demo.app.hosts_of", lambda host: ["*"])
        with served(voices, max_sessions=1) as made:
            yield made


@pytest.fixture(scope="module")
def page(demo):
    """The page by a name that is not this machine's own to the browser, though it is."""
    with playwright_of() as playwright, browser(playwright, f"--host-resolver-rules=MAP {NAME} 127.0.0.1") as chromium:
        yield ready(chromium.new_page(), demo.url.replace("127.0.0.1", NAME))


def test_it_says_how_to_open_it_so_that_it_sounds(page):
    assert not page.evaluate("window.isSecureContext"), "else this test is about nothing"
    port = page.evaluate("location.port")
    said = shown(page, "status")
    assert "https" in said and f"ssh -L {port}:{NAME}:{port} {NAME}" in said


@pytest.mark.parametrize(("tab", "button"), [("Play", "#play-start"), ("Sketch", "#sketch-start"),
                                             ("Jam", "#jam-start"), ("Jam", "#jam-check")])  # fmt: skip
def test_it_starts_nothing(page, demo, voices, tab, button):
    page.get_by_role("tab", name=tab, exact=True).first.click()
    page.evaluate("window.lmdm.say('')")
    page.click(button)
    page.wait_for_timeout(500)
    assert "https" in shown(page, "status") and not voices.made
    assert not demo.visits.seats.taken, "a seat would be held that nobody hears"
