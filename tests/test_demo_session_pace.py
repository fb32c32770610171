"""The pace of a session behind the page: late, failing or closed, it says so and leaves nothing behind."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.demo.session_voice import Played, SessionVoice
from lmdm_adapter.errors import LmdmError
from tests.demo_session import DRAWING, voice_of
from tests.mode_models import FRAME, RATE, SPEC
from tests.session_makers import NoiseMaker, noise_engine


class Slow(NoiseMaker):
    """Takes its time, and knows whether the lock is held meanwhile."""

    def __init__(self, seconds: float, computing: threading.Lock, **settings: Any) -> None:
        super().__init__(**settings)
        self.seconds, self.computing, self.alone = seconds, computing, True

    def step(self, *told: Any, **more: Any) -> Any:
        self.alone &= self.computing.locked()
        time.sleep(self.seconds)
        return super().step(*told, **more)


def slow_voice(seconds: float, **settings: Any) -> tuple[SessionVoice, Slow]:
    computing = threading.Lock()
    maker = Slow(seconds, computing, **settings)
    engine = noise_engine(maker, values={"prompt": "a", "steps": 8})
    return SessionVoice(engine, Played(160), budget={}, computing=computing), maker


def test_a_late_model_is_told_and_holds_its_last_bar() -> None:
    voice, maker = slow_voice(0.03)
    voice._now = map(float, itertools.count(step=10)).__next__  # The page ran dry long ago: nothing is waited for.
    said, until = "", time.monotonic() + 5.0
    while time.monotonic() < until and not ("last bar is held" in said and "steps a block instead of 8" in said):
        said += voice.next_chunk().report.notice or ""
    voice.close()
    assert time.monotonic() < until, said
    assert voice.engine.player.holds and maker.alone


def test_a_failing_model_plays_out_what_there_is_and_says_why() -> None:
    voice, _ = slow_voice(0.0, broken_at=6)
    voice._now = lambda: 0.0
    pieces = []
    with pytest.raises(LmdmError, match="ended at block 6: .*the device is gone"):
        for _ in range(200):
            pieces.append(voice.next_chunk().samples)
    heard = np.concatenate(pieces)
    assert np.abs(heard).max() > 0.1 and not heard[-160:].any() and len(heard) > 5 * 640
    voice.close()


def test_closing_frees_the_thread_before_and_while_it_plays() -> None:
    unheard, playing = voice_of("jam", {}, source=(RATE, 1)), voice_of("sketch", {"sketch": DRAWING})
    playing.next_chunk()
    assert "lmdm-demo-session" in {thread.name for thread in threading.enumerate()}
    began = time.monotonic()
    for voice in (unheard, playing):
        voice.close()
    assert time.monotonic() - began < 1.0
    assert "lmdm-demo-session" not in {thread.name for thread in threading.enumerate()}


def test_a_report_tells_of_blocks_and_not_of_chunks() -> None:
    voice = voice_of("sketch", {"sketch": DRAWING})
    reports = [voice.next_chunk().report for _ in range(40)]
    voice.close()
    audio = sum(report.audio_seconds for report in reports)
    made = [report for report in reports if report.audio_seconds]
    assert audio == pytest.approx((reports[-1].index + 1) * SPEC.block_frames * FRAME / RATE)
    assert all(report.compute_seconds > 0.0 and report.memory_bytes for report in made)
