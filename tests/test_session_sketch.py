"""Following a sketch: known ahead or live, loose or tight from a border on, as strong as the gain says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch, loosened, sketched
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.needs import require_needs, sketch_settings, unmet_need
from lmdm_adapter.session.sketch_line import SketchLine
from lmdm_adapter.session.sketch_mode import SketchMode
from tests.mode_models import CONFIG, FRAME, PLAN, RATE, EchoMaker, Nothing, listening_live, performed
from tests.models import tiny_live

FACTS = Facts(RATE, 2, FRAME, block_frames=6)


def sound(samples: int = 6400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 2)).astype(np.float32)


class Listener(EchoMaker):
    """Plays silence, and keeps what it was told, block by block."""

    def __init__(self, facts: Facts = FACTS) -> None:
        super().__init__(facts)
        self.told: list[dict[str, np.ndarray] | None] = []

    def step(self, state: Nothing, prompt: Any, *, sampling: Any = None, frames: int = 0, frame_controls: Any = None):
        self.told.append(frame_controls)
        return super().step(state, prompt, frames=frames)


def told(mode: SketchMode, turns: tuple[tuple[int, str, Any], ...] = (), **values: Any) -> list[Any]:
    """What a maker is told by a session of `mode` on noise."""
    maker = Listener()
    engine = Engine(maker, FACTS, mode, state=Nothing(), plan=PLAN, values=values, source=(RATE, 2))
    for at, name, value in turns:
        engine.turn(name, value, at=at)
    performed(engine, sound(), chunk=50)
    return maker.told


def joined(blocks: list[Any], name: str) -> np.ndarray:
    return np.concatenate([block[name] for block in blocks], axis=1)


def known() -> Sketch:
    return sketched(CONFIG, Audio(sound().T, RATE))


def same(blocks: list[Any], sketch: Sketch, *, first: int = 0) -> bool:
    """Whether the frames from `first` on are those of the sketch, as far as both go."""
    expected = sketch.controls()
    return all(
        np.array_equal(*(rows[:, first : min(sketch.frames, 6 * len(blocks))] for rows in
                         (joined(blocks, name), expected[name].numpy()))) for name in expected
    )  # fmt: skip


def test_a_known_sketch_is_told_frame_by_frame_and_nothing_after_its_end() -> None:
    short = known()[:50]
    blocks = told(SketchMode(CONFIG, sketch=short))
    assert same(blocks, short)
    rest = joined(blocks, "sketch_loudness")[:, 50:]
    assert rest.shape[1] and not rest.any()


def test_a_live_sketch_is_the_known_one_as_late_as_the_budget() -> None:
    mode = SketchMode.following(CONFIG, FACTS, PLAN)
    late, blocks = mode.late_samples // FRAME, told(mode)
    budget = mode.budget(FACTS.timing(), lead_seconds=PLAN.governor.lead_seconds)
    assert mode.late_samples % FRAME == 0 and 0 <= mode.late_samples / RATE - budget.total_seconds < FRAME / RATE
    heard = np.concatenate([np.zeros((mode.late_samples, 2), np.float32), sound()])
    whole = sketched(CONFIG, Audio(heard.T, RATE))
    assert same(blocks, whole[: late + 80]), "every frame was known in time"


def test_tightness_takes_effect_at_a_border_to_the_bit() -> None:
    exact, loose = known(), loosened(known(), CONFIG.widest_frames)
    blocks = told(SketchMode(CONFIG, sketch=exact), ((2000, "tightness", 0.0),))
    border = -(-2000 // (6 * FRAME)) * 6
    assert same(blocks[: border // 6], exact[:border]) and same(blocks, loose, first=border)
    assert not same(blocks, exact, first=border)
    live = told(SketchMode.following(CONFIG, FACTS, PLAN), tightness=0.5)
    assert not np.array_equal(
        joined(live, "sketch_loudness"), joined(told(SketchMode.following(CONFIG, FACTS, PLAN)), "sketch_loudness")
    )


def test_gain_scales_and_zero_is_absent() -> None:
    blocks = told(SketchMode(CONFIG, sketch=known()), ((2000, "sketch_gain", 0.0),), sketch_gain=0.5)
    assert blocks[-1] is None
    halved = {name: rows.numpy()[:, :6] * np.float32(0.5) for name, rows in known().controls().items()}
    assert all(np.array_equal(blocks[0][name], rows) for name, rows in halved.items())


def test_each_feature_has_a_live_gain_of_its_own() -> None:
    blocks = told(SketchMode(CONFIG, sketch=known()), ((2000, "melody_gain", 0.0),), sketch_gain=0.5, rhythm_gain=0.5)
    given = {name: rows.numpy()[:, :6] for name, rows in known().controls().items()}
    assert np.array_equal(blocks[0]["sketch_rhythm"], given["sketch_rhythm"] * np.float32(0.25))
    assert np.array_equal(blocks[0]["sketch_melody"], given["sketch_melody"] * np.float32(0.5))
    later = blocks[-(-2000 // (6 * FRAME))]
    assert "sketch_melody" not in later and later["sketch_loudness"].any()


def test_features_that_are_left_out_are_not_drawn() -> None:
    blocks = told(SketchMode(CONFIG, sketch=known(), without=("melody",)))
    assert not joined(blocks, "sketch_melody").any() and joined(blocks, "sketch_loudness").any()


def test_freeze_repeats_the_last_frames() -> None:
    blocks = told(SketchMode(CONFIG, sketch=known(), loop_frames=8), ((2000, "freeze", True),))
    rows, at = joined(blocks, "sketch_loudness"), -(-2000 // (6 * FRAME)) * 6
    assert np.array_equal(rows[:, at : at + 24], np.tile(rows[:, at - 8 : at], 3))


def test_a_line_keeps_no_more_than_it_should() -> None:
    line = SketchLine(widest_frames=5, kept_frames=20)
    assert line.read(0, 6, tightness=1.0) == {}
    for _ in range(10):
        line.append(known()[:7])
    assert (line.first_frame, line.end_frame) == (50, 70)
    rows = line.read(47, 6, tightness=1.0)["sketch_loudness"]
    assert not rows[:, :3].any() and rows[:, 3:].all()
    with pytest.raises(LmdmError, match="At least 5 frames"):
        SketchLine(widest_frames=5, kept_frames=4)


def test_what_a_model_lacks_is_said_with_its_cure() -> None:
    plain, live = tiny_live().section, listening_live().section
    assert all(unmet_need(live, mode) is None for mode in ("stream", "sketch", "jam", "delay"))
    assert unmet_need(plain, "stream") is None
    with pytest.raises(
        LmdmError, match="jam needs .*accompaniment_lag, which tiny lacks; take the bundled tiny-controls, or `lmdm"
    ):
        require_needs(plain, "jam", model="tiny")
    with pytest.raises(LmdmError, match="mode delay needs .*sketch_rhythm, .*finetune --controls sketch`"):
        sketch_settings(plain, "delay")
    assert sketch_settings(live, "sketch") == CONFIG
