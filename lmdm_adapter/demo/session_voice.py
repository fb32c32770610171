"""A voice made of a session's engine: sketch, jam and delay, played to a page as to a sound device.

A thread of its own makes blocks a lead ahead; `next_chunk` takes what is played next, as a device's callback does. The
page counts as the device: its buffer and its line are part of the round trip from what is played to what is heard.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmdm_adapter.demo.overheard import Overheard
from lmdm_adapter.demo.session_settings import OWN, decibels, narrowed
from lmdm_adapter.demo.session_words import sentences
from lmdm_adapter.demo.voice import Chunk, Report, SessionOrigin
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.known_ahead import DrawnMode
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.parameters import CURVES

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS, WAIT_SECONDS, LONGEST_SLEEP_SECONDS = 0.05, 0.005, 0.25
WORK_SAMPLES, PIECES_OF_A_LEAD = 1024, 4
SAFE_SECONDS = 0.05
"""What the page must have left to play; a block is waited for no longer than until then."""


@dataclass(frozen=True)
class Played:
    """How an engine is played to a page.

    `chunk_samples` are taken at a time. A `sound` is the live input of the engine, played to it sample by sample.
    A `microphone` is numbered by the page from the first sample that it plays on; it comes `late_samples` (of its own
    rate) later at the engine's input, as it would from a device with that buffer.
    """

    chunk_samples: int
    sound: LoopedSound | None = None
    microphone: bool = False
    late_samples: int = 0
    notice: str | None = None


class SessionVoice:
    """One listener's session; `computing` is held while the model computes, which others may be playing too.

    Parameters are those of a session (`session/parameters.py`), and `sketch` for one that is drawn (`Curves` as JSON);
    those that count from the start alone are answered with a notice. `memory` tells the bytes that are held, `origin`
    and `session` what a recording must say of it. `overheard`, the engine's tap, is what its chunks bring along.
    """

    def __init__(
        self, engine: Engine, played: Played, *, budget: Mapping[str, float], computing: threading.Lock | None = None,
        memory: Callable[[], int | None] = lambda: None, now: Callable[[], float] = time.monotonic,
        origin: Mapping[str, Any] | None = None, session: SessionOrigin | None = None,
        overheard: Overheard | None = None,
    ) -> None:  # fmt: skip
        self.origin, self.session = dict(origin or {}), session or SessionOrigin()
        self.engine, self.budget, self._played, self._memory, self._now = engine, dict(budget), played, memory, now
        self.sample_rate, self.channels = engine.facts.sample_rate, engine.facts.channels
        self.block_seconds = engine.facts.block_seconds
        self._computing, self._overheard = computing or threading.Lock(), overheard or Overheard()
        self._stop, self._wanted, self._made = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._make, name="lmdm-demo-session", daemon=True)
        # Pieces that the live input's dry side takes whole, and that a lead holds several of.
        lead_samples = engine.plan.governor.lead_seconds * self.sample_rate
        self._piece_samples = max(1, min(WORK_SAMPLES, int(lead_samples / PIECES_OF_A_LEAD)))
        self._notice, self._index, self._runs_dry_at = played.notice, 0, 0.0
        self._heard = False
        if played.microphone and engine.input is not None:
            engine.hear(np.zeros((played.late_samples, engine.input.source_channels), np.float32))

    def next_chunk(self) -> Chunk:
        """What is played next; none yet while the first blocks are made. Raises LmdmError when the session failed."""
        if self._thread.ident is None:
            self._thread.start()
        engine, count = self.engine, self._played.chunk_samples
        if not self._begun():
            return Chunk(np.zeros((0, self.channels), np.float32), Report(self._index, 0.0, 0.0))
        if engine.player.doing == "ended" and engine.failure is not None:
            raise engine.failure
        samples = np.empty((count, self.channels), np.float32)
        for first in range(0, count, self._piece_samples):
            self._pull(samples[first : first + self._piece_samples])
        records = engine.noted()
        return Chunk(samples, self._report(records), records=tuple(records), heard=self._overheard.taken())

    def set(self, name: str, value: Any) -> None:
        """Turn a parameter now: the model's at the next border, the mixer's at the next sample.

        Raises LmdmError for names and values that do not fit.
        """
        value = narrowed(name, value)
        if name == "sketch":
            self._redraw(value)
        elif name in OWN:
            self._notice = "That counts when you press Start again."
        elif name == "mix" and self._played.microphone:
            # Your own sound would come back late; the page plays it itself, if at all.
            self.engine.turn("gain_db", decibels(value))
        else:
            self.engine.turn(name, value)

    def hear(self, samples: np.ndarray, *, first_sample: int) -> None:
        """The next sound of the microphone, `s ch` at its own rate, numbered from the page's first played sample on."""
        if not self._played.microphone or self.engine.input is None:
            return
        place = first_sample + self._played.late_samples
        if not self._heard:
            # The page begins to send a moment after it begins to play: what was before is no hole in the line.
            self._heard, before = True, min(first_sample, self.engine.input.source_rate)
            self.engine.hear(np.zeros((before, samples.shape[1]), np.float32))
        self.engine.hear(samples, first_sample=place)

    def close(self) -> None:
        """End the session, and wait for a block that is being made."""
        self.engine.stop()
        self._stop.set()
        self._wanted.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _pull(self, out: np.ndarray) -> None:
        """Fill a piece; a block is waited for as long as the page has something left to play."""
        player = self.engine.player
        if player.doing == "playing":
            self._waited(len(out) + player.fade_samples, self._runs_dry_at - SAFE_SECONDS - self._now())
        self._runs_dry_at = max(self._runs_dry_at, self._now()) + len(out) / self.sample_rate
        if self._played.sound is not None:
            self.engine.hear(self._played.sound.next(len(out)))
        self.engine.pull(out)
        self._wanted.set()

    def _begun(self) -> bool:
        """Whether the first lead is there; waits a moment for it."""
        player = self.engine.player
        if player.doing != "waiting":
            return True
        self._waited(player.start_samples, FIRST_WAIT_SECONDS)
        return self.engine.over or player.ring.readable_samples >= player.start_samples

    def _waited(self, samples: int, most_seconds: float) -> None:
        ring, until = self.engine.player.ring, self._now() + most_seconds
        while ring.readable_samples < samples and not self.engine.over and self._now() < until:
            self._made.wait(WAIT_SECONDS)
            self._made.clear()

    def _redraw(self, value: Any) -> None:
        if not isinstance(self.engine.mode, DrawnMode):
            raise LmdmError("This sketch is heard, not drawn.")
        self.engine.turn(CURVES.name, value)

    def _report(self, records: list[dict[str, Any]]) -> Report:
        blocks = [record for record in records if record["kind"] == "block"]
        notice = " ".join(filter(None, (self._notice, sentences(records)))) or None
        self._notice, self._index = None, self._index + len(blocks)
        compute = sum(block["compute_seconds"] for block in blocks)
        audio = sum(block["cue"].frames for block in blocks) / self.engine.facts.frame_rate_hz
        return Report(max(0, self._index - 1), compute, audio, self._memory() if blocks else None, notice)

    def _make(self) -> None:
        engine = self.engine
        try:
            while not self._stop.is_set() and not engine.over:
                if engine.idle_seconds > 0.0:
                    self._wanted.wait(min(engine.idle_seconds, LONGEST_SLEEP_SECONDS))
                    self._wanted.clear()
                    continue
                with self._computing:
                    made = engine.produce()
                self._made.set() if made else self._wanted.wait(WAIT_SECONDS)
        except LmdmError as failure:
            log.info("%s", failure)
        finally:
            self._made.set()
