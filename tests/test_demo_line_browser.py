"""The line of Jam and Delay in a real browser: all that comes in arrives, and the server soon knows what is played."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests import demo_browser
from tests.demo_browser import browser, chirps, choose, fake_microphone, playwright_of, ready, served, shown
from tests.demo_voices import ToneVoice, Voices

pytestmark = pytest.mark.browser

QUANTUM_SAMPLES = 128
"""What a browser's audio thread plays at a time."""


@pytest.fixture(scope="module")
def playwright():
    with playwright_of() as made:
        yield made


class EarVoice(ToneVoice):
    """Writes down all that it hears."""

    def __init__(self, wish):
        super().__init__(wish)
        self.pieces, self.guard = [], threading.Lock()

    def hear(self, samples, *, first_sample):
        with self.guard:
            self.pieces.append((first_sample, samples))


def test_a_chirp_into_the_microphone_arrives_with_one_offset(playwright, tmp_path):
    voices = Voices(EarVoice)
    flag = fake_microphone(tmp_path / "chirps.wav", chirps(10), demo_browser.CHIRP_RATE)
    with served(voices, max_sessions=1) as demo, browser(playwright, flag) as chromium:
        page = ready(chromium.new_page(), demo.url)
        choose(page, "Jam")
        page.click("#jam-start")
        page.wait_for_function("window.taps > 0", timeout=20_000)
        page.wait_for_timeout(6000)
        assert shown(page, "lost") == "0"
        page.close()
        assert voices.made[-1].closed.wait(1.0)
    voice = voices.made[-1]
    rate, places = voice.wish.source[0], [first for first, _ in voice.pieces]
    begin = places[0]
    assert 0 <= begin < rate, "counted from what the page played first"
    assert places == list(range(begin, begin + 512 * len(places), 512)), "every packet came, in order"
    heard = np.concatenate([samples[:, 0] for _, samples in voice.pieces])
    period = round(demo_browser.CHIRPS_SECONDS * rate)
    offsets = [
        int(np.argmax(np.abs(part))) for part in np.split(heard[: len(heard) // period * period], len(heard) // period)
    ]
    offsets = offsets[2:]
    assert len(offsets) >= 6 and max(offsets) - min(offsets) <= 2, offsets


def test_the_server_is_told_at_once_that_the_music_plays(playwright, tmp_path, monkeypatch):
    """Or it would make no more than the lead until it is told, and a short lead would run dry."""
    flag, told = fake_microphone(tmp_path / "chirps.wav", chirps(2), demo_browser.CHIRP_RATE), []
    with served(Voices(), max_sessions=1) as demo, browser(playwright, flag) as chromium:
        played = demo.visits.played

        def heard(visitor, samples):
            told.append(samples)
            played(visitor, samples)

        monkeypatch.setattr(demo.visits, "played", heard)
        page = ready(chromium.new_page(), demo.url)
        choose(page, "Jam")
        page.click("#jam-start")
        page.wait_for_function("window.lmdm.player.status?.played > 4096", timeout=60_000)
        page.close()
    assert [samples for samples in told if samples][0] == QUANTUM_SAMPLES, told
