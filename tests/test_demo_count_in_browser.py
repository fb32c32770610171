"""The count-in of a hum in a real browser, without a server: clicks in time, and the microphone from the beat on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmdm_adapter.demo.assets import asset
from tests.demo_browser import browser, playwright_of

pytestmark = pytest.mark.browser

HOME = "http://127.0.0.1:9/"
"""Never asked: the page is made here. An address of this machine is a secure one, which worklets need."""
LATE_SECONDS, BEAT_SECONDS, BEATS = 0.05, 0.25, 4
CODE = f"""
const blob = new Blob([{json.dumps(asset("worklets.js"))}], {{ type: "text/javascript" }});
const WORKLETS_URL = URL.createObjectURL(blob), element = document.body;
const player = {{ loopbackSeconds: {LATE_SECONDS} }}, said = [], say = (text) => said.push(text);
{asset("socket_feed.js")}
const clicks = [], froms = [], beats = [];
const start = AudioBufferSourceNode.prototype.start, post = MessagePort.prototype.postMessage;
AudioBufferSourceNode.prototype.start = function (at, ...rest) {{
  clicks.push(at);
  return start.call(this, at, ...rest);
}};
MessagePort.prototype.postMessage = function (told, ...rest) {{
  if (told?.port && told.from) froms.push(told.from);
  return post.call(this, told, ...rest);
}};
async function hummed(seconds, beatSeconds, count) {{
  const onbeat = (beat) => {{ if (beats.at(-1) !== beat) beats.push(beat); }};
  const [rate, text] = await recorded(seconds, {{ beatSeconds, beats: count, onbeat }});
  return {{ rate, samples: atob(text).length / 2, clicks, froms, beats }};
}}
"""


FIELDS = """<div id="sketch-bars"><input type="number" value="1"></div>
<div id="sketch-tempo"><input type="number" value="120"></div>"""
TAB = f"""
const element = document.body, POINTS = 4, BEATS_PER_BAR = 4, props = {{}}, trigger = () => {{}}, told = [], said = [];
const server = {{ hum: async (heard) => ({{ curve: heard }}) }};
window.lmdm = {{ say: (text) => said.push(text), record: async (seconds, {{ beatSeconds, beats, onbeat }}) => {{
  for (let beat = -beats; beat <= seconds / beatSeconds; beat++) {{ onbeat(beat); told.push(button.textContent); }}
  return [seconds, beatSeconds, beats, 1];
}} }};
{asset("sketch.js")}
async function pressed(bars) {{
  document.querySelector("#sketch-bars input").value = bars;
  await hum(button);
  return {{ told, said, curve: curves.melody.values, label: button.textContent, locked: button.disabled }};
}}
"""


def test_the_button_counts_the_bar_and_then_the_beats_of_the_hum() -> None:
    with playwright_of() as playwright, browser(playwright) as chromium:
        page = chromium.new_page()
        page.set_content(asset("sketch.html") + FIELDS)
        page.add_script_tag(content=TAB)
        made, refused = page.evaluate("pressed(2)"), page.evaluate("pressed(16)")
    beats = [f"Hum now: bar {bar}, beat {beat}" for bar in (1, 2) for beat in (1, 2, 3, 4)]
    assert made["told"] == [*(f"Count-in: {beat}" for beat in (1, 2, 3, 4)), *beats, "Listening to your hum"]
    assert made["curve"] == [4.0, 0.5, 4, 1] and made["label"] == "Hum the melody" and not made["locked"]
    assert not made["said"] and "choose fewer bars" in refused["said"][0], "32 s"


def test_a_bar_is_counted_in_and_the_microphone_counts_from_the_next_beat_on() -> None:
    with playwright_of() as playwright, browser(playwright) as chromium:
        page = chromium.new_page()
        page.route("**/*", lambda route: route.fulfill(body="<body></body>", content_type="text/html"))
        page.goto(HOME)
        page.add_script_tag(content=CODE)
        made = page.evaluate(f"hummed(1.0, {BEAT_SECONDS}, {BEATS})")
    assert len(made["clicks"]) == BEATS and np.allclose(np.diff(made["clicks"]), BEAT_SECONDS, rtol=0, atol=1e-9)
    (first,), rate = made["froms"], made["rate"]
    assert abs(first - (made["clicks"][-1] + BEAT_SECONDS + LATE_SECONDS) * rate) <= 1
    assert made["samples"] == rate, "one second, to the sample"
    assert made["beats"] == sorted(made["beats"]) and min(made["beats"]) < 0 <= max(made["beats"])
