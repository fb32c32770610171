"""A real browser on a real server of the demo, for tests; both end with the test."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.demo.app_plan import DemoPlan, Facts

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)  # fmt: skip
LEAD_SECONDS = 2.0
"""Much, since a machine that runs tests is busy; what is measured is the transport."""
CHIRPS_SECONDS, CHIRP_RATE = 0.5, 48000
TAP = """() => {
  window.tapped = []; window.taps = 0;
  window.lmdmTap = ({ first, at, samples }) => {
    window.taps += 1;
    window.tapped.push([first, Array.from(samples), at]);
  };
}"""


class Served:
    """A running demo: its URL, and a way to ask about those who listen."""

    def __init__(self, url: str, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.url, self.visits, self._loop = url, app.state.visits, loop

    def ended_within(self, seconds: float) -> bool:
        """Whether every voice has ended and every seat is free by then."""
        asked = asyncio.run_coroutine_threadsafe(self._ended(seconds), self._loop)
        return asked.result(seconds + 5)

    async def _ended(self, seconds: float) -> bool:
        for _ in range(round(seconds / 0.01)):
            if not self.visits.running and not self.visits.seats.taken:
                return True
            await asyncio.sleep(0.01)
        return False


@contextmanager
def served(make_voice: Any, *, facts: Facts | None = None, chooser: Any = None, **plan: Any) -> Iterator[Served]:
    """The whole demo on a free port of 127.0.0.1, played by `make_voice`; a `chooser` lets the page load models."""
    from lmdm_adapter.demo.app import build
    from lmdm_adapter.demo.server import address, bound, server_of

    plan = DemoPlan(port=0, **plan)
    facts = facts or Facts(lead_seconds=LEAD_SECONDS)
    place, app, loops = bound(plan), build(make_voice, plan, facts=facts, chooser=chooser), []
    server = server_of(app)

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[place])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    while not server.started:
        thread.join(0.02)
    try:
        yield Served(address(place), app, loops[0])
    finally:
        server.should_exit = server.force_exit = True
        thread.join(15)
        place.close()


@contextmanager
def playwright_of() -> Iterator[Any]:
    """What drives browsers; one at a time in a thread."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        yield playwright


@contextmanager
def browser(playwright: Any, *flags: str) -> Iterator[Any]:
    """Debian's Chromium."""
    program = shutil.which("chromium")
    assert program is not None, "install Debian's package chromium"
    opened = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
    try:
        yield opened
    finally:
        opened.close()


def ready(page: Any, url: str) -> Any:
    """Open the demo on `page`, with a tap on the player; the page."""
    page.add_init_script(f"({TAP})()")
    page.goto(url)
    page.wait_for_function("window.lmdm", timeout=60_000)
    return page


def shown(page: Any, name: str) -> str:
    """What the instrument panel shows under that name."""
    return page.inner_text(f'[data-show="{name}"]')


def tapped(page: Any, channels: int) -> tuple[int, np.ndarray]:
    """The number of the first sample that was played, and all that were: `s ch`, without holes."""
    pieces = page.evaluate("window.tapped")
    first = position = pieces[0][0]
    for start, samples, _ in pieces:
        assert start == position, "the numbers of what was played have no hole"
        position += len(samples) // channels
    samples = np.concatenate([np.array(samples, np.float32) for _, samples, _ in pieces])
    return first, samples.reshape(-1, channels)


def choose(page: Any, tab: str) -> None:
    """Show the tab of that name."""
    page.get_by_role("tab", name=tab, exact=True).first.click()


def fetched(page: Any, word: str, folder: Path) -> Path:
    """The recorded file behind the newest link of that name, in `folder`."""
    with page.expect_download() as download:
        page.get_by_role("link", name=word).last.click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def chirps(seconds: float) -> np.ndarray:
    """A short rising tone every half second, for a microphone: `s` at `CHIRP_RATE`."""
    time = np.arange(int(0.02 * CHIRP_RATE)) / CHIRP_RATE
    chirp = 0.8 * np.sin(2 * np.pi * (500 + 60_000 * time) * time) * np.hanning(len(time))
    sound = np.zeros(int(seconds * CHIRP_RATE))
    for start in np.arange(0, seconds, CHIRPS_SECONDS):
        sound[int(start * CHIRP_RATE) : int(start * CHIRP_RATE) + len(chirp)] = chirp
    return sound


def fake_microphone(path: Path, samples: np.ndarray, rate: int) -> str:
    """A flag that lets the browser's microphone hear `samples`, `s`, again and again."""
    import soundfile

    soundfile.write(path, samples, rate, subtype="PCM_16")
    return f"--use-file-for-fake-audio-capture={path}"
