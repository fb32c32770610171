"""Sessions behind the page that hear a microphone without a browser, and are recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile

from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.record_log import RecordLog, read_record_log
from lmdm_adapter.demo.record_session import replayed_session
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.records import Records, Shelf
from lmdm_adapter.demo.session_voice import SessionVoice
from lmdm_adapter.demo.voice import Wish
from tests.mode_models import RATE, listening_live

LIVE = listening_live(steps=1)
TURNS = ((2, "prompt", "techno"), (3, "tightness", 0.2), (4, "mix", 0.5), (5, "rewind_blocks", 1), (6, "freeze", True),
         (8, "freeze", False), (12, "feedback", 0.6), (16, "steps", 2))  # fmt: skip
MODES: dict[str, dict[str, Any]] = {"sketch": {}, "jam": {}, "delay": {"beats": 1, "bpm": 80.0, "feedback": 0.3}}
CHUNKS, MIDDLE = 36, 10
Hears = Callable[[int, int], "np.ndarray | None"]


@dataclass(frozen=True)
class Made:
    """What came of a session: its newest recording, all that its mode heard, and how late it hears."""

    recording: Recording
    heard: np.ndarray
    late_samples: int

    @property
    def log(self) -> RecordLog:
        """What the recording's log says."""
        return read_record_log(self.recording.log_path)

    @property
    def kept(self) -> np.ndarray:
        """The recorded input, `s ch`."""
        assert self.recording.input_path is not None
        samples, rate = soundfile.read(self.recording.input_path, dtype="float32", always_2d=True)
        assert rate == self.recording.sample_rate
        return samples

    def again(self, **settings: Any) -> np.ndarray:
        """What is recorded, made anew from its log: `s ch`."""
        return np.concatenate(list(replayed_session(self.log, LIVE, self.recording.log_path.parent, **settings)))


def sounding(seed: int, *, channels: int = 1) -> Hears:
    """A microphone that hears noise from its first sample to its last, `s ch`."""
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, (400_000, channels)).astype(np.float32)
    return lambda first, last: noise[first:last].copy()


def recorded(
    records: Records, mode: str, *, hears: Hears | None = None, source: tuple[int, int] = (RATE, 1), on_at: int = 0,
    chunks: int = CHUNKS, live: Any = LIVE, name: str = "toy", now: Callable[[], float] = lambda: 0.0,
    before: Callable[[Shelf, SessionVoice], None] = lambda shelf, voice: None,
) -> Made:  # fmt: skip
    """A session of so many chunks, with turns before some, recorded from the `on_at`-th on.

    What plays is heard at once, at the microphone's rate; it never runs dry, unless `now` says so.
    """
    values = {"prompt": "house", "ahead_seconds": 0.1, "seed": 3, **MODES[mode]}
    wish, shelf = Wish(mode, values, lead_seconds=0.1, source=source), records.shelf("one")
    inner, heard = Band(live, name=name).voice(wish), list[np.ndarray]()
    inner._now, hear, hears = now, inner.engine.mode.hear, hears or sounding(0)
    inner.engine.mode.hear = lambda samples: (heard.append(samples.copy()), hear(samples))
    voice, done, told, played = RecordedVoice(inner, wish, shelf), 0, 0, 0
    while done < chunks:
        before(shelf, inner)
        shelf.switch(True) if done == on_at else None
        for turn in (turn for turn in TURNS if turn[0] == done):
            voice.set(*turn[1:])
        if (until := played * source[0] // RATE) > told and (sound := hears(told, until)) is not None:
            voice.hear(sound, first_sample=told)
        told = until
        samples = len(voice.next_chunk().samples)
        played, done = played + samples, done + (samples > 0)
    voice.close()
    return Made(shelf.recordings[-1], np.concatenate(heard), round(inner._played.late_samples * RATE / source[0]))
