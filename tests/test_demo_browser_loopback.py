"""Measure loopback in a real browser whose speaker is wired to its microphone, a known time later."""

from __future__ import annotations

import pytest

from tests.demo_browser import browser, playwright_of, ready, served, shown
from tests.demo_voices import Voices

pytestmark = pytest.mark.browser

CABLE_SECONDS = 0.15
CABLE = f"""() => {{
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...more) {{
    if (to === this.context.destination && this.context.cable) connect.call(this, this.context.cable);
    return connect.call(this, to, ...more);
  }};
  navigator.mediaDevices.getUserMedia = async () => {{
    const context = lmdm.player.captureContext, into = context.createMediaStreamDestination();
    context.cable = new DelayNode(context, {{ delayTime: {CABLE_SECONDS} }});
    connect.call(context.cable, into);
    return into.stream;
  }};
}}"""


def test_a_cable_is_as_late_as_it_is_and_the_next_jam_allows_for_it():
    voices = Voices()
    with playwright_of() as playwright, served(voices) as demo, browser(playwright) as chromium:
        page = ready(chromium.new_page(), demo.url)
        page.evaluate(CABLE)
        page.get_by_role("tab", name="Jam", exact=True).first.click()
        page.click("#jam-loopback")
        page.get_by_text("from now on allowed for").wait_for(timeout=60_000)
        seconds = page.evaluate("lmdm.player.loopbackSeconds")
        assert CABLE_SECONDS <= seconds < CABLE_SECONDS + 0.1, shown(page, "status")
        page.click("#jam-start")
        page.wait_for_function("window.taps > 0", timeout=60_000)
        assert voices.made[-1].wish.values["device_seconds"] == seconds
        page.close()
