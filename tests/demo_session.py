"""Sessions behind the page for tests: a voice, and the engine that plays the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.demo.session_voice import SessionVoice
from lmdm_adapter.demo.session_wish import session_voice
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.plan import SessionPlan
from tests.mode_models import listening_live, performed

LIVE = listening_live(steps=1)
FACTS = facts_of(LIVE, look_ahead_frames=low_latency_frames(LIVE.codec))
AHEAD_SECONDS, LEAD_SECONDS = 0.1, 0.1
PLAN = SessionPlan.listening(AHEAD_SECONDS)
TOLD = {"prompt": "house", "ahead_seconds": AHEAD_SECONDS, "seed": 3}
DRAWING = {"loudness": [i * 7 % 64 / 63 for i in range(64)], "brightness": [], "melody": [0.0] * 64, "seconds": 0.5}
SAMPLES = 2500


def sound(samples: int = SAMPLES, seed: int = 0) -> np.ndarray:
    """Noise, `s 1`."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 1)).astype(np.float32)


def voice_of(
    mode: str, values: Mapping[str, Any], source: tuple[int, int] | None = None, *, lead_seconds: float = LEAD_SECONDS
) -> SessionVoice:
    """A voice of the toy model in that mode."""
    wish = Wish(mode, {**TOLD, **values}, lead_seconds=lead_seconds, source=source)
    voice = session_voice(LIVE, wish, name="toy", computing=threading.Lock())
    voice._now = lambda: 0.0  # The page never runs dry, so a block is waited for as long as it takes.
    return voice


def played(voice: SessionVoice, samples: int = SAMPLES, *, before: Any = lambda done: None) -> np.ndarray:
    """What the voice plays; `before(samples so far)` is called before each chunk."""
    pieces, done = [], 0
    while done < samples:
        before(done)
        pieces.append(voice.next_chunk().samples)
        done += len(pieces[-1])
    voice.close()
    return np.concatenate(pieces)[:samples]


def engine_of(mode: Any, *, plan: SessionPlan = PLAN, source: tuple[int, int] | None = None, **values: Any) -> Engine:
    """An engine of the toy model, told what `voice_of` tells."""
    state = LIVE.start(3, look_ahead_frames=FACTS.hold_back_frames)
    return Engine(LIVE, FACTS, mode, state=state, plan=plan, values={"prompt": "house", **values}, source=source)


def curves(drawing: Mapping[str, Any] = DRAWING) -> Curves:
    """What is drawn, as the engine takes it."""
    return Curves(drawing["seconds"], *(tuple(drawing[name]) for name in ("loudness", "brightness", "melody")))


def drawn_plan() -> SessionPlan:
    """The plan of a session that knows a drawing ahead."""
    return SessionPlan(GovernorPlan(AHEAD_SECONDS, most_lead_seconds=4.0))


def rendered(engine: Engine, heard: np.ndarray | None = None, samples: int = SAMPLES) -> np.ndarray:
    """What an engine plays, `s 1`."""
    return performed(engine, np.zeros((samples, 1), np.float32) if heard is None else heard[:samples], chunk=100)


def microphone(voice: SessionVoice, heard: np.ndarray, chunk: int) -> Any:
    """Sends what was heard until now in chunks of that many samples."""
    told = [0]

    def before(done: int) -> None:
        while told[0] < min(done, len(heard)):
            voice.hear(heard[told[0] : told[0] + chunk], first_sample=told[0])
            told[0] += len(heard[told[0] : told[0] + chunk])

    return before
