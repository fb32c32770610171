"""The generative delay: answers to the sample, feedback, freeze, and delays that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.delay_mode import DelayMode, delay_seconds_of
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.plan import SessionPlan
from tests.mode_models import CONFIG, FRAME, PLAN, RATE, EchoMaker, Nothing, RawEars, performed

FACTS = Facts(RATE, 2, FRAME, block_frames=6)
DELAY = 2411  # samples, no multiple of anything


def sound(samples: int = 12_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 2)).astype(np.float32)


def engine_of(values: dict[str, object] | None = None, **settings: object) -> Engine:
    mode = DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=DELAY / RATE, ears=RawEars(), **settings)  # type: ignore
    return Engine(EchoMaker(FACTS), FACTS, mode, state=Nothing(), plan=PLAN, values=values, source=(RATE, 2))


def late(samples: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([np.zeros((by, 2), np.float32), samples[: len(samples) - by]])


@pytest.mark.parametrize("chunk", [500, 64, 37])
def test_the_answer_comes_exactly_the_delay_later(chunk: int) -> None:
    heard = sound()
    assert np.array_equal(performed(engine_of(), heard, chunk=chunk, hear_chunk=29), late(heard, DELAY))


def test_a_session_that_had_to_wait_at_first_answers_at_the_same_samples() -> None:
    engine, heard = engine_of(), sound()
    engine.hear(heard[:300])
    engine.pull(np.zeros((300, 2), np.float32))
    assert np.array_equal(performed(engine, heard[300:], chunk=50), late(heard, DELAY)[300:])
    assert engine.player.shift_samples == 320


def test_the_device_is_counted() -> None:
    """What is heard 70 samples late is answered a delay after it sounded: 70 samples less after it was heard."""
    heard = sound()
    out = performed(engine_of(device_samples=70), late(heard, 70), chunk=64)
    assert np.array_equal(out, late(heard, DELAY))


@pytest.mark.parametrize("chunk", [500, 37])
@pytest.mark.parametrize("seconds", [1523 / RATE, 4001 / RATE])
def test_a_delay_that_is_turned_counts_from_the_next_border_and_to_the_sample(seconds: float, chunk: int) -> None:
    heard, engine = sound(), engine_of()
    engine.turn("answer_seconds", seconds, at=5000)
    engine.turn("answer_seconds", None, at=9000)
    out, block = performed(engine, heard, chunk=chunk, hear_chunk=29), 6 * FRAME
    first, last = (-(-at // block) * block for at in (5000, 9000))
    plain, turned = late(heard, DELAY), late(heard, round(seconds * RATE))
    assert np.array_equal(out, np.concatenate([plain[:first], turned[first:last], plain[last:]]))
    told = [note for note in engine.noted() if note["kind"] == "event"]
    assert [(one["stamp"], one["effect"]) for one in told] == [(5000, first), (9000, last)]


def test_a_delay_that_is_turned_while_frozen_waits_for_the_end_of_the_freeze() -> None:
    heard, held, engine = sound(24_000), engine_of({"freeze": False}), engine_of({"freeze": False})
    for each in (held, engine):
        each.turn("freeze", True, at=8000)
        each.turn("freeze", False, at=16_000)
    engine.turn("answer_seconds", 4001 / RATE, at=12_000)
    end = -(-16_000 // (6 * FRAME)) * 6 * FRAME
    out = performed(engine, heard, chunk=50)
    assert np.array_equal(out[:end], performed(held, heard, chunk=50)[:end])
    assert np.array_equal(out[end:], late(heard, 4001)[end:])


def test_a_turned_delay_that_is_too_short_is_told_and_leaves_the_music_alone() -> None:
    heard, engine = sound(6000), engine_of()
    engine.turn("answer_seconds", 0.05, at=2000)
    assert np.array_equal(performed(engine, heard, chunk=50), late(heard, DELAY))
    refused = [note for note in engine.noted() if note["kind"] == "refused"]
    assert len(refused) == 1 and "the shortest that works is" in refused[0]["why"]
    assert engine.performer.values["answer_seconds"] is None


def test_a_turned_delay_sketches_as_a_session_that_began_with_it() -> None:
    """With real ears, whose windows reach back, every frame is that of the other session, to the bit."""
    heard = sound(30 * FRAME, seed=3)
    turned, begun = DelayMode(CONFIG, delay_samples=9 * FRAME + 5), DelayMode(CONFIG, delay_samples=13 * FRAME + 2)
    for mode in (turned, begun):
        mode.hear(heard)
    turned.turn("answer_seconds", (13 * FRAME + 2) / CONFIG.sample_rate)
    for first in (18, 24):
        ours, theirs = (mode.frame_controls(first, 6) for mode in (turned, begun))
        assert ours.keys() == theirs.keys() and any(values.any() for values in theirs.values())
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_feedback_is_heard_again_and_begins_at_its_sample() -> None:
    heard, engine = sound(), engine_of({"feedback": 0.5})
    expected = np.zeros_like(heard)
    for sample in range(DELAY, len(heard)):
        expected[sample] = heard[sample - DELAY] + np.float32(0.5) * expected[sample - DELAY]
    assert np.array_equal(performed(engine, heard, chunk=50), expected)
    turned = engine_of()
    turned.turn("feedback", 0.5, at=4000)
    out = performed(turned, heard, chunk=50)
    assert np.array_equal(out[: 4000 + DELAY], late(heard, DELAY)[: 4000 + DELAY])
    assert not np.array_equal(out[4000 + DELAY : 4100 + DELAY], late(heard, DELAY)[4000 + DELAY : 4100 + DELAY])
    settled = 4000 + DELAY + 40
    again = heard[settled - DELAY :][:500] + np.float32(0.5) * out[settled - DELAY :][:500]
    assert np.array_equal(out[settled : settled + 500], again)


def test_mix_is_dry_and_wet() -> None:
    heard = sound()
    out = performed(engine_of({"mix": 0.25}), heard, chunk=50)
    assert np.allclose(out, 0.75 * heard + 0.25 * late(heard, DELAY), atol=1e-6)


def test_freeze_holds_the_current_sketch_as_a_loop_and_lets_it_go() -> None:
    heard, engine = sound(24_000), engine_of()
    engine.turn("freeze", True, at=8000)
    engine.turn("freeze", False, at=20_000)
    out = performed(engine, heard, chunk=50)
    block, loop = 6 * FRAME, round(DELAY / FRAME) * FRAME
    begin, end = (-(-at // block) * block for at in (8000, 20_000))
    plain = late(heard, DELAY)
    assert np.array_equal(out[:begin], plain[:begin]) and np.array_equal(out[end:], plain[end:])
    held = np.tile(plain[begin - loop : begin], (8, 1))[: end - begin]
    assert np.array_equal(out[begin:end], held) and not np.array_equal(held, plain[begin:end])


def test_gain_zero_is_no_sketch_and_gain_one_is_as_it_was() -> None:
    heard = sound(6000)
    assert not performed(engine_of({"sketch_gain": 0.0}), heard, chunk=50).any()
    half = performed(engine_of({"sketch_gain": 0.5}), heard, chunk=50)
    assert np.allclose(half, 0.5 * late(heard, DELAY), atol=1e-6)


def test_the_shortest_delay_works_and_a_sample_less_does_not() -> None:
    shortest = engine_of().mode.budget(FACTS.timing(), lead_seconds=PLAN.governor.lead_seconds).total_seconds
    mode = DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=shortest, ears=RawEars())
    heard = sound(6000)
    engine = Engine(EchoMaker(FACTS), FACTS, mode, state=Nothing(), plan=PLAN, source=(RATE, 2))
    assert np.array_equal(performed(engine, heard, chunk=7), late(heard, mode.late_samples))
    with pytest.raises(LmdmError, match=rf"is too short .*the shortest that works is {shortest:.3f} s"):
        DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=shortest - 1 / RATE, ears=RawEars())


def test_four_beats_at_120_are_too_short_for_48_frames_and_fine_for_12() -> None:
    from lmdm_adapter.controls.sketch import SketchConfig

    config, seconds = SketchConfig(), delay_seconds_of(4, 120.0)
    long, short = (Facts(44_100, 2, 2048, block_frames=frames, hold_back_frames=8) for frames in (48, 12))
    plan = SessionPlan.listening()
    assert seconds == 2.0 and DelayMode.of(config, short, plan, delay_seconds=seconds, ears=RawEars())
    with pytest.raises(LmdmError, match=r"2\.000 s is too short .*block 2\.229.*which is 7 beats at 120 BPM"):
        DelayMode.of(config, long, plan, delay_seconds=seconds, bpm=120.0, ears=RawEars())


@pytest.mark.parametrize(
    ("beats", "bpm", "message"),
    [(4, 0.0, "between 20 and 400 BPM, got 0"), (4, 1000.0, "got 1000"), (4, float("nan"), "got nan"),
     (0, 120.0, "positive number of beats"), (float("inf"), 120.0, "positive number of beats")],
)  # fmt: skip
def test_tempi_and_beats_that_are_none(beats: float, bpm: float, message: str) -> None:
    with pytest.raises(LmdmError, match=message):
        delay_seconds_of(beats, bpm)


def test_delays_beyond_a_minute_are_refused() -> None:
    with pytest.raises(LmdmError, match="60 s at most, got 61 s"):
        DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=61.0, ears=RawEars())
    with pytest.raises(LmdmError, match="at most, got nan"):
        DelayMode.of(CONFIG, FACTS, PLAN, delay_seconds=float("nan"), ears=RawEars())
