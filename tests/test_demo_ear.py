"""Measures how late the browser answers: control to ear, and microphone to speaker without a model.

Takes minutes, so it runs only when it is told where to write: `LMDM_MEASURE=ear.json pytest -n 0 -m browser -s
tests/test_demo_ear.py`. Prints the table of docs/results/live.md.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

pytest.importorskip("gradio")
from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.demo.backing import STYLES, backing_track
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.session_wish import CHUNKS_OF_A_LEAD
from lmdm_adapter.demo.tabs.live_input import LEAD_SECONDS as LINE_LEAD_SECONDS
from lmdm_adapter.loading import load
from lmdm_adapter.resampling import fitted
from lmdm_adapter.session.known_ahead import LoopedSound
from lmdm_adapter.sound_file import read_audio
from tests.demo_browser import CHIRP_RATE, browser, chirps, choose, fake_microphone, playwright_of, ready, served, shown
from tests.demo_ear import Tapped, add_ears
from tests.demo_lags import HEARD, Lags, answers, first_change, table
from tests.demo_remembering import RememberingModel

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif("LMDM_MEASURE" not in os.environ, reason="takes minutes: LMDM_MEASURE=FILE.json"),
]

TRIES, CHECKS, CHECK_SECONDS = 34, 10, 2.5
LEAST_TRIES, STEPS = 30, 2
"""Denoise steps a block are few, without guidance, since it is not the model's speed that is measured."""
ALLOWED_SECONDS, LINE_SECONDS = 0.1, 0.06
"""What may come on top of block and lead, and what the line may take."""
SETTLED_SECONDS = 0.7
"""So long apart at least are two turns, so that each has a block of its own."""
PROMPTS = ("punk drums, power guitar", "ambient, warm pad, airy bell")


@pytest.fixture
def model():
    return RememberingModel(load("tiny-controls"))


@pytest.fixture
def page(model, tmp_path):
    """The demo's page, with a microphone that hears chirps."""
    band, bare = Band(model, name="tiny-controls"), Band(load("tiny-controls"), name="tiny-controls")
    flag = fake_microphone(tmp_path / "chirps.wav", chirps(10), CHIRP_RATE)

    def voice(wish):
        return (band if wish.mode == "play" else bare).voice(wish)

    seats = {"facts": band.facts, "max_sessions": 1}
    with playwright_of() as made, served(voice, **seats) as demo, browser(made, flag) as chromium:
        page = chromium.new_page()
        add_ears(page)
        yield ready(page, demo.url)
        page.close()
        assert demo.ended_within(5.0)


def test_how_late_the_browser_answers(page, model):
    figures = {"cores": os.cpu_count(), "load": os.getloadavg(), "steps": STEPS}
    rows = [*prompt_lags(page, model, figures), mix_lags(page, model, figures), line_lags(page, figures)]
    figures |= {"load_after": os.getloadavg(), "rows": [row.to_json() for row in rows]}
    Path(os.environ["LMDM_MEASURE"]).write_text(json.dumps(figures, indent=1) + "\n")
    print("\n" + table(rows))
    assert all(row.within for row in rows), "a bound does not hold on this machine; is it busy?"


def prompt_lags(page, model, figures):
    """From a prompt that is written anew to the first sample that it changed, and to the first that ears can tell."""
    quick(page, "Play", Guidance=1)
    tapped = started(page, "#play-start", model)
    box = page.locator("#prompt-1 textarea, #prompt-1 input").first
    done = turned(page, tapped, lambda turn: box.fill(PROMPTS[turn % 2]))
    figures["play"] = ended(page, tapped, done, "#play-stop")
    heard, without, facts = tapped.sound(), list(model.turns()), Band(model, name="").facts
    assert len(without) == len(done), "every turn has its block"
    bound = facts.block_seconds + facts.lead_seconds + ALLOWED_SECONDS
    held_back = low_latency_frames(model.codec) / model.codec.frame_rate_hz
    rows = []
    for word, least, more in (("", 0.0, 0.0), (f" by more than -60 dB, {held_back:.3f} s allowed", HEARD, held_back)):
        samples = [first + first_change(heard[first:], otherwise, least=least) for first, otherwise in without]
        seconds = since(done, samples, tapped, model)
        rows.append(Lags(f"Play: a prompt, to the first sample that differs{word}", seconds, bound + more))
    return rows


def mix_lags(page, model, figures):
    """From the mix, turned from your sound alone to the model's alone, to the first sample that is not your sound."""
    quick(page, "Jam")
    page.get_by_label("Backing track", exact=True).locator("visible=true").first.check()
    slider = page.get_by_label("range slider for Mix").locator("visible=true").first
    slider.press("Home")
    page.wait_for_timeout(1000)
    tapped = started(page, "#jam-start", model)
    done = turned(page, tapped, lambda turn: slider.press("End"), back=lambda: slider.press("Home"))
    figures["jam"] = ended(page, tapped, done, "#jam-stop")
    heard, track = tapped.sound(), fitted(read_audio(backing_track(STYLES[0])), sample_rate=model.codec.sample_rate,
                                          channels=model.codec.channels).samples.T  # fmt: skip
    dry, times = LoopedSound(track).next(len(heard)), tapped.times(sample_rate=model.codec.sample_rate)
    places = [times.sample(at) if at is not None else 0 for at in done]
    samples = [place + first_change(heard[place:], dry[place:]) for place in places]
    bound = LINE_LEAD_SECONDS * (1 + 1 / CHUNKS_OF_A_LEAD) + ALLOWED_SECONDS
    return Lags("Jam: the mix, to the first sample that differs", since(done, samples, tapped, model), bound)


def line_lags(page, figures):
    """From a chirp that the page's microphone hears to the same chirp at the player's output, without a model."""
    choose(page, "Jam")
    page.get_by_label("Microphone", exact=True).locator("visible=true").first.check()
    page.wait_for_timeout(500)
    lags, underruns = [], []
    for _ in range(CHECKS):
        page.evaluate("window.came.length = window.went.length = window.tapped.length = 0")
        page.click("#jam-check")
        page.wait_for_function("window.tapped.length", timeout=20_000)
        page.wait_for_timeout(1000 * CHECK_SECONDS)
        lags += answers(*page.evaluate("[window.came, window.went]"), longest=0.4)
        underruns.append(int(shown(page, "underruns")))
        page.click("#jam-stop")
        page.wait_for_timeout(1000)
    figures["line"] = {"underruns": underruns, "device_seconds": page.evaluate("window.deviceSeconds()")}
    assert len(lags) >= 4 * CHECKS
    return Lags("Check the line: microphone to speaker", tuple(lags), LINE_SECONDS)


# ---- one run of the player


def quick(page, tab, **more):
    """Few steps, and no guidance where the tab has it."""
    choose(page, tab)
    page.get_by_role("button", name="More").locator("visible=true").first.click()
    for label, value in {"Steps": STEPS, **more}.items():
        field = page.get_by_label(f"number input for {label}").locator("visible=true").first
        field.fill(str(value))
        field.press("Tab")
    page.wait_for_timeout(1000)


def started(page, button, model):
    page.evaluate("window.tapped = []")
    page.click(button)
    page.wait_for_function("window.tapped.length", timeout=60_000)
    page.wait_for_timeout(2000)
    return Tapped(page, channels=model.codec.channels)


def turned(page, tapped, turn, *, back=lambda: None):
    """Turn so many times, at any moment of a block; when the page saw it, in seconds of the time of day.

    None stands for a turn after which the music ran out: what differs then is the player's fade.
    """
    moment, seen, underruns = random.Random(0), [], []
    for index in range(TRIES):
        back()
        page.wait_for_timeout(1000 * (SETTLED_SECONDS + moment.random()))
        tapped.take()
        page.evaluate("window.turned = []")
        underruns.append(shown(page, "underruns"))
        turn(index)
        page.wait_for_timeout(1000 * SETTLED_SECONDS)
        seen += page.evaluate("window.turned")
    page.wait_for_timeout(2000 * SETTLED_SECONDS)
    underruns.append(shown(page, "underruns"))
    return [
        at if before == after else None for at, before, after in zip(seen, underruns[:-1], underruns[1:], strict=True)
    ]


def ended(page, tapped, done, button):
    """Stop; what the panel showed, and how many turns do not count."""
    counted = {name: int(shown(page, name)) for name in ("underruns", "lost")}
    page.click(button)
    page.wait_for_timeout(500)
    tapped.take()
    return {**counted, "left_out": done.count(None), "device_seconds": page.evaluate("window.deviceSeconds()")}


def since(done, samples, tapped, model):
    """From each turn to its sample at the output."""
    times = tapped.times(sample_rate=model.codec.sample_rate)
    pairs = [(at, times.seconds(sample)) for at, sample in zip(done, samples, strict=True) if at is not None]
    assert len(pairs) >= LEAST_TRIES, "the music ran out too often; is the machine busy?"
    return tuple(float(heard - at) for at, heard in pairs)
