"""Sessions with a microphone in a real browser: it is heard, and what is recorded plays again."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio")
from lmdm_adapter.demo.record_log import read_record_log
from lmdm_adapter.demo.record_session import replayed_session
from lmdm_adapter.demo.tabs import live_input
from lmdm_adapter.spec import BlockSpec
from tests.demo_browser import browser, choose, fake_microphone, fetched, playwright_of, ready, served, shown
from tests.mode_models import RATE, listening_live
from tests.test_demo_session_browser import LINE_LEAD_SECONDS, PLAYED, Kept, settled

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def live():
    return listening_live(steps=1, spec=BlockSpec(block_frames=60, context_blocks=2))


@pytest.fixture(scope="module")
def playwright():
    with playwright_of() as made:
        yield made


@pytest.fixture
def flag(tmp_path):
    """A browser's flag, with which its microphone hears a tone of 440 Hz."""
    seconds = np.arange(48_000 * 4) / 48_000
    return fake_microphone(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * seconds), 48_000)


def is_tone(samples):
    """Whether the last two seconds are that tone."""
    return abs(np.argmax(np.abs(np.fft.rfft(samples[-2 * RATE :]))) / 2.0 - 440.0) <= 1.0


def test_a_microphone_is_heard_by_the_session(playwright, live, flag, monkeypatch):
    monkeypatch.setattr(live_input, "LEAD_SECONDS", LINE_LEAD_SECONDS)
    voices = Kept(live)
    facts = voices.band.facts
    with served(voices, facts=facts, max_sessions=1) as demo, browser(playwright, flag) as chromium:
        page = ready(chromium.new_page(), demo.url)
        choose(page, "Jam")
        settled(page)
        page.click("#jam-start")
        page.wait_for_function("window.lmdm.player.status", timeout=60_000)
        heard, mode = [], voices.made[-1].engine.mode
        monkeypatch.setattr(mode, "hear", heard.append)
        page.wait_for_function(f"{PLAYED} > {5 * RATE}", timeout=60_000)
        held = voices.made[-1].engine.input.resampling_seconds
        assert f"device {2.6 + held:.2f}" in shown(page, "budget")
        page.close()
        assert demo.ended_within(1.0)
    assert is_tone(np.concatenate(heard)[:, 0])


def test_a_recording_that_heard_the_microphone_plays_again(playwright, live, flag, monkeypatch, tmp_path):
    """Recorded from the middle of a jam on, downloaded, and made again."""
    monkeypatch.setattr(live_input, "LEAD_SECONDS", LINE_LEAD_SECONDS)
    voices = Kept(live)
    with served(voices, facts=voices.band.facts, max_sessions=1) as demo, browser(playwright, flag) as chromium:
        page = ready(chromium.new_page(), demo.url)
        choose(page, "Jam")
        settled(page)
        page.click("#jam-start")
        page.wait_for_function(f"{PLAYED} > {RATE}", timeout=60_000)
        page.locator("#record input").check()
        page.wait_for_function(f"{PLAYED} > {7 * RATE}", timeout=60_000)
        page.locator("#record input").uncheck()
        page.get_by_role("link", name="input").wait_for()
        sound, events, heard = (fetched(page, word, tmp_path) for word in ("sound", "events", "input"))
        page.close()
        assert demo.ended_within(1.0)
    log = read_record_log(events)
    samples, kept = (soundfile.read(path, dtype="float32", always_2d=True)[0] for path in (sound, heard))
    assert log.first_sample > 0 and len(samples) > 4 * RATE and is_tone(kept[:, 0])
    assert np.concatenate(list(replayed_session(log, live, tmp_path))).tobytes() == samples.tobytes()
