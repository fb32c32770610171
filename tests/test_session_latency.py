"""From turning a knob to the first sample that differs: at most what the budget says, and often nearly as much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.known_ahead import DrawnMode
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.simulation import ComputeTimes, Device, Simulation
from lmdm_adapter.session.sketch_mode import SketchMode
from tests.mode_models import CONFIG, RATE, SPEC, listening_live
from tests.mode_models import PLAN as LISTENING
from tests.session_makers import FACTS, PLAN, NoiseMaker, NoiseState

LIVE = listening_live(steps=1)
LIVE_FACTS = facts_of(LIVE)
HELD = replace(FACTS, hold_back_frames=7)
CHUNK, TURNS, STEP = 40, 16, 80
PARTS = ["device", "lead", "up to one block", "decoder hold-back"]


class HeldBack(NoiseMaker):
    """Noise that leaves `HELD.hold_back_frames` frames after it was made, as sound leaves a decoder."""

    def step(self, state: tuple[NoiseState, np.ndarray], prompt: Any, **told: Any) -> Any:
        """What was held back, and the block without as much at its end."""
        audio, after = super().step(state[0], prompt, **told)
        made = np.concatenate([state[1], audio.samples], axis=1)
        ready = max(0, made.shape[1] - HELD.hold_back_frames * HELD.frame_samples)
        return Audio(made[:, :ready], audio.sample_rate), (after, made[:, ready:])


def heard(
    times: ComputeTimes, seconds: float, turned_at: float | None, plan: SessionPlan, **values: Any
) -> tuple[np.ndarray, Engine]:
    """What a session plays in which the prompt is turned then, and its engine."""
    played: list[np.ndarray] = []
    session = Simulation(
        HeldBack(), HELD, state=(NoiseState(), np.zeros((2, 0), np.float32)), times=times, device=Device((CHUNK,)),
        plan=plan, values={"prompt": "a", **values}, hear=lambda samples, records: played.append(samples.copy()),
    )  # fmt: skip
    if turned_at is not None:
        session.turn_at(turned_at, "prompt", "b")
    session.run(seconds)
    return np.concatenate(played), session.engine


def latencies(
    times: ComputeTimes, *, begin: float = 0.6, plan: SessionPlan = PLAN, over_seconds: float = HELD.block_seconds,
    **values: Any,
) -> tuple[list[float], Engine]:  # fmt: skip
    """From the turn to the first sample that differs, in seconds, for turns at `TURNS` places within a block."""
    end = begin + over_seconds + 0.6
    plain, engine = heard(times, end, None, plan, **values)
    waits = []
    for turned_at in begin + np.arange(TURNS) * over_seconds / TURNS + 0.0003:
        other, _ = heard(times, end, turned_at, plan, **values)
        count = min(len(plain), len(other))
        first = np.flatnonzero((plain[:count] != other[:count]).any(axis=1))[0]
        waits.append(first / HELD.sample_rate - turned_at)
    return waits, engine


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_what_is_turned_is_heard_within_the_budget_whatever_a_block_takes_to_compute(share: float) -> None:
    waits, engine = latencies(ComputeTimes(share=share), begin=0.6)
    device, compute = CHUNK / HELD.sample_rate, share * HELD.block_seconds
    budget = engine.budget(device_seconds=device, compute_seconds=compute)
    assert [name for name, _ in budget.parts] == PARTS and engine.player.holds == 0
    assert max(waits) <= budget.total_seconds, "it holds"
    assert max(waits) > budget.total_seconds - 2 * device, "and no part of it is for nothing"
    assert max(waits) - min(waits) == pytest.approx(HELD.block_seconds, abs=2 * device), "up to one block"


def test_a_lead_that_the_governor_made_longer_is_in_the_budget() -> None:
    """A stall leaves little of the lead, so it grows; no other stall comes as near, and nothing is held."""
    plan = SessionPlan(replace(PLAN.governor, least_steps=8, calm_blocks=1000), history_seconds=2.0)
    times = ComputeTimes(share=0.3, stall_every_blocks=12, stall_seconds=0.15)
    waits, engine = latencies(times, begin=1.3, plan=plan)
    usual, now = (engine.mode.budget(HELD.timing(), lead_seconds=lead).total_seconds for lead in (0.2, 0.3))
    assert engine.governed.lead_seconds == pytest.approx(0.3) and engine.player.holds == 0
    assert usual < max(waits) <= now + CHUNK / HELD.sample_rate
    assert engine.budget().total_seconds == pytest.approx(now)


def test_blocks_of_a_tempo_grid_are_those_that_the_budget_counts() -> None:
    """A beat of 300 BPM is 25 frames, where the model's blocks are 10; half a beat of 290 BPM is 13 or 12."""
    for bpm, beats, longest in ((300.0, 1.0, 25), (290.0, 0.5, 13)):
        over = longest / HELD.frame_rate_hz
        waits, engine = latencies(ComputeTimes(share=0.3), over_seconds=over, tempo_bpm=bpm, block_beats=beats)
        budget, device = engine.budget(device_seconds=CHUNK / HELD.sample_rate), CHUNK / HELD.sample_rate
        assert dict(budget.parts)["up to one block"] == pytest.approx(over) and engine.player.holds == 0
        assert budget.total_seconds - over / TURNS - 3 * device < max(waits) <= budget.total_seconds


def test_who_hears_is_as_late_as_the_blocks_of_its_lag_whatever_the_grid() -> None:
    facts = LIVE_FACTS
    for mode in (SketchMode.following(CONFIG, facts, LISTENING), StreamMode()):
        engine = Engine(LIVE, facts, mode, state=LIVE.start(3), plan=LISTENING, source=(RATE, 1),
                        values={"prompt": "a", "tempo_bpm": 400.0, "block_beats": 0.25})  # fmt: skip
        usual = mode.budget(facts.timing(), lead_seconds=engine.governed.lead_seconds).total_seconds
        assert (engine.budget().total_seconds == pytest.approx(usual)) is isinstance(mode, SketchMode)


KNOWN_AHEAD = {
    "stream": StreamMode,
    "drawn": lambda: DrawnMode(CONFIG, Curves(0.5, loudness=(0.2, 0.9))),
}


def pulled(mode: Mode, turned_at: int | None) -> tuple[np.ndarray, Engine]:
    """What a real model plays, and its engine; the prompt is turned once so many samples were pulled."""
    engine = Engine(LIVE, LIVE_FACTS, mode, state=LIVE.start(3), plan=LISTENING, values={"prompt": "house"})
    out = np.zeros((3200, 1), np.float32)
    for start in range(0, len(out), CHUNK):
        if start == turned_at:
            engine.turn("prompt", "techno")
        while engine.produce():
            continue
        engine.pull(out[start : start + CHUNK])
    return out, engine


@pytest.mark.parametrize("name", KNOWN_AHEAD)
def test_a_real_decoders_hold_back_lies_between_the_lead_and_the_border(name: str) -> None:
    """A border is heard that late; what the decoder makes of it reaches back over as many frames, growing faint."""
    plain, _ = pulled(KNOWN_AHEAD[name](), None)
    reach, waits = LIVE_FACTS.hold_back_frames * LIVE_FACTS.frame_samples, []
    for turned_at in range(1200, 1200 + SPEC.block_frames * LIVE_FACTS.frame_samples, STEP):
        other, engine = pulled(KNOWN_AHEAD[name](), turned_at)
        (effect,) = [record["effect"] for record in engine.noted() if record["kind"] == "event"]
        first = np.flatnonzero((plain != other).any(axis=1))[0]
        assert effect - reach <= first <= effect
        waits.append((effect - turned_at) / RATE)
    parts = dict(engine.budget().parts)
    assert list(parts) == PARTS and parts["decoder hold-back"] == pytest.approx(reach / RATE)
    total = sum(parts.values())
    assert total - 3 * CHUNK / RATE < max(waits) <= total
