"""Turns of a session behind the page: when they count, to the sample, and what is said of those that wait."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.known_ahead import DrawnMode
from tests.demo_session import AHEAD_SECONDS, DRAWING, curves, drawn_plan, engine_of, played, rendered, voice_of
from tests.mode_models import CONFIG, FRAME, RATE, SPEC


def test_a_turn_counts_from_the_samples_that_were_taken_on() -> None:
    voice, records, turns = voice_of("sketch", {"sketch": DRAWING}), [], {"tightness": 0.0, "gain_db": -6.0}
    chunk, noted = voice._played.chunk_samples, voice.engine.noted
    voice.engine.noted = lambda: (records.extend(made := noted()), made)[1]

    def before(done: int) -> None:
        for name, value in turns.items() if done == 4 * chunk else ():
            voice.set(name, value)

    out = played(voice, before=before)
    effects = {record["name"]: (record["stamp"], record["effect"]) for record in records if record["kind"] == "event"}
    assert effects["gain_db"] == (4 * chunk, 4 * chunk), "at its very sample"
    stamp, effect = effects["tightness"]
    assert stamp == 4 * chunk <= effect and effect % (SPEC.block_frames * FRAME) == 0, "at a border"
    for at, same in ((effect, True), (effect + SPEC.block_frames * FRAME, False)):
        engine = engine_of(DrawnMode(CONFIG, curves()), plan=drawn_plan())
        engine.turn("gain_db", -6.0, at=stamp)
        engine.turn("tightness", 0.0, at=at)
        assert np.array_equal(out, rendered(engine)) is same


def test_a_drawing_can_be_changed_while_it_plays() -> None:
    voice, other = voice_of("sketch", {"sketch": DRAWING}), {**DRAWING, "loudness": [0.0] * 64}
    out = played(voice, before=lambda done: voice.set("sketch", other) if done == 800 else None)
    plain = rendered(engine_of(DrawnMode(CONFIG, curves()), plan=drawn_plan()))
    first = int(np.flatnonzero((out != plain).any(axis=1))[0])
    assert 800 <= first <= 800 + RATE * AHEAD_SECONDS + 2 * SPEC.block_frames * FRAME
    with pytest.raises(LmdmError, match="cannot be read"):
        voice.set("sketch", {"colour": []})


def test_what_counts_from_the_start_is_said() -> None:
    voice = voice_of("sketch", {"sketch": {**DRAWING, "brightness": [0.5] * 64}})
    voice.set("ahead_seconds", 1.0)
    notices = []
    for _ in range(20):
        notices.append(voice.next_chunk().report.notice)
    voice.close()
    assert "press Start again" in " ".join(filter(None, notices))
