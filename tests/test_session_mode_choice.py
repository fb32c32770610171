"""Modes by name: each gets what it needs of the model and the device, or says what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.jam_mode import JamMode
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.mode_choice import HEARING, mode_named
from lmdm_adapter.session.modes import StreamMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import SketchMode
from tests.mode_models import RATE, listening_live, performed
from tests.models import tiny_live

LIVE = listening_live(steps=1)
FACTS, LISTENING, DEVICE_SAMPLES = facts_of(LIVE), SessionPlan.listening(0.1), 40
LONG_SECONDS = 8.0


@pytest.mark.parametrize(
    ("name", "kind"), [("stream", StreamMode), ("sketch", SketchMode), ("jam", JamMode), ("delay", DelayMode)]
)
def test_every_mode_plays_in_a_session(name: str, kind: type) -> None:
    mode = mode_named(name, LIVE, FACTS, LISTENING, delay_seconds=LONG_SECONDS, device_samples=DEVICE_SAMPLES)
    assert isinstance(mode, kind) and mode.name == name
    source = (RATE, 1) if name in HEARING else None
    engine = Engine(LIVE, FACTS, mode, state=LIVE.start(3), plan=LISTENING, source=source, values={"prompt": "house"})
    heard = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 1)).astype(np.float32) if source else None
    if heard is not None:
        assert np.isfinite(performed(engine, heard, chunk=100)).all()
    else:
        assert engine.produce()


def test_the_device_makes_whoever_listens_later() -> None:
    def late(device_samples: int) -> int:
        return mode_named("jam", LIVE, FACTS, LISTENING, device_samples=device_samples).timing.lag_frames

    assert late(0) < late(RATE), "a second of device is heard a second later"


def test_what_is_missing_is_said() -> None:
    with pytest.raises(LmdmError, match="one of stream, sketch, jam, delay"):
        mode_named("dance", LIVE, FACTS, LISTENING)
    for name in HEARING:
        with pytest.raises(LmdmError, match=f"The mode {name} needs a model with .*lmdm train finetune --controls"):
            mode_named(name, tiny_live(), FACTS, LISTENING, delay_seconds=LONG_SECONDS)
    with pytest.raises(LmdmError, match="delay needs a delay"):
        mode_named("delay", LIVE, FACTS, LISTENING)
    with pytest.raises(LmdmError, match="shortest"):
        mode_named("delay", LIVE, FACTS, LISTENING, delay_seconds=0.01)
