"""The engine: when turns take effect, what is played when nothing is ready, and how a session ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.performer import SPLICE_SECONDS
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.tempo import Beat
from tests.session_makers import BLOCK_SAMPLES, FACTS, PLAN, NoiseMaker, filled, noise_engine, played

UNGOVERNED = replace(PLAN, governor=GovernorPlan(lead_seconds=0.2, most_lead_seconds=0.2, least_steps=8))
FADE = PLAN.fade_samples(FACTS.sample_rate)


def of(engine: Engine, *kinds: str) -> list[dict[str, Any]]:
    return [record for record in engine.notes if record["kind"] in kinds]


def performed(chunk: int, turns: list[tuple[int, str, Any]]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    engine = noise_engine()
    for at, name, value in turns:
        engine.turn(name, value, at=at)
    return played(engine, 12_000, chunk=chunk), of(engine, "event")


TURNS = [(3000, "prompt", "b"), (3000, "gain_db", -6.0), (5000, "steps", 3), (6001, "mix", 0.5),
         (8000, "guidance", 2.0), (9000, "recache", True), (9001, "forget_blocks", 2),
         (10_000, "rewind_blocks", 4)]  # fmt: skip


def test_any_device_chunking_gives_the_same_samples() -> None:
    whole, events = performed(1000, TURNS)
    assert len(events) == len(TURNS) and np.isfinite(whole).all()
    for chunk in (1, 64, 441):
        other, noted = performed(chunk, TURNS)
        assert np.array_equal(whole, other)
        assert [(e["name"], e["stamp"], e["effect"]) for e in noted if e["name"] not in ("gain_db", "mix")] == [
            (e["name"], e["stamp"], e["effect"]) for e in events if e["name"] not in ("gain_db", "mix")
        ]
    assert not np.array_equal(whole, performed(1000, TURNS[:-1])[0])


@pytest.mark.parametrize("stamp", [4 * BLOCK_SAMPLES, 4 * BLOCK_SAMPLES + 1, 5 * BLOCK_SAMPLES - 1])
def test_model_parameters_take_effect_at_the_first_border_at_or_after_their_stamp(stamp: int) -> None:
    still, out = played(noise_engine(), 6000), noise_engine()
    out.turn("prompt", "b", at=stamp)
    changed = played(out, 6000)
    border = -(-stamp // BLOCK_SAMPLES) * BLOCK_SAMPLES
    assert np.flatnonzero((changed != still).any(axis=1))[0] == border
    (event,) = of(out, "event")
    assert (event["stamp"], event["effect"], event["frame"]) == (stamp, border, border // FACTS.frame_samples)


def test_mix_parameters_take_effect_exactly_at_their_sample() -> None:
    still, engine = played(noise_engine(), 6000), noise_engine()
    engine.turn("gain_db", -20.0, at=2345)
    changed = played(engine, 6000, chunk=1000)
    assert np.flatnonzero((changed != still).any(axis=1))[0] == 2345
    (event,) = of(engine, "event")
    assert (event["stamp"], event["effect"]) == (2345, 2345)


def test_turns_in_the_past_take_effect_now_and_the_log_keeps_both_times() -> None:
    engine = noise_engine()
    played(engine, 3000)
    filled(engine)
    next_border = engine.pacing.border_frame * FACTS.frame_samples
    engine.turn("prompt", "b", at=5)
    engine.turn("gain_db", -6.0, at=7)
    played(engine, 3000)
    events = {e["name"]: (e["stamp"], e["effect"]) for e in of(engine, "event")}
    assert events == {"prompt": (5, next_border), "gain_db": (7, 3000)}


def test_turns_wait_for_beats_and_bars() -> None:
    engine = noise_engine(values={"prompt": "a", "tempo_bpm": 120.0})
    played(engine, 5000)
    assert engine.turn("gain_db", -6.0, quantum="beat").stamp == 8000
    assert engine.turn("gain_db", -9.0, quantum="bar").stamp == 16_000
    with pytest.raises(LmdmError, match="set tempo_bpm first"):
        noise_engine().turn("gain_db", -6.0, quantum="bar")


def test_blocks_follow_the_tempo() -> None:
    maker = NoiseMaker()
    engine = noise_engine(maker, values={"tempo_bpm": 124.0, "block_beats": 0.25})
    played(engine, 60_000, chunk=2000)
    frames = [asked.frames for asked in maker.asked]
    length = 60 / 124 / 4 * FACTS.frame_rate_hz
    assert set(frames) == {int(length), int(length) + 1}
    assert np.abs(np.cumsum(frames) - length * np.arange(1, len(frames) + 1)).max() <= 0.5 + 1e-6
    engine.turn("tempo_bpm", 90.0)
    played(engine, 30_000, chunk=2000)
    assert {asked.frames for asked in maker.asked[-10:]} == {20, 21}


def test_a_tempo_from_outside_moves_the_grid_to_its_beat() -> None:
    engine = noise_engine(values={"tempo_bpm": 120.0, "block_beats": 0.25})
    played(engine, 4000)
    engine.follow(Beat(125.0, 0.53))
    played(engine, 20_000)
    grid = engine.pacing.grid
    assert grid is not None and grid.bpm == 125.0
    assert grid.quantised(0.53 * FACTS.frame_rate_hz - 0.1, "beat") == pytest.approx(0.53 * FACTS.frame_rate_hz)
    lines = (engine.pacing.border_frame - grid.origin_frames) / (grid.beat_frames / 4)
    assert abs(lines - round(lines)) * grid.beat_frames / 4 <= 0.5 + 1e-6


def test_a_grid_whose_blocks_do_not_fit_is_refused_and_the_music_goes_on() -> None:
    engine = noise_engine(values={"tempo_bpm": 120.0})
    engine.turn("block_beats", 64.0)
    played(engine, 3000)
    (refused,) = of(engine, "refused")
    assert refused["what"] == "block_beats" and "must lie between 1 and" in refused["why"]
    assert engine.performer.values["block_beats"] is None and not of(engine, "event", "failure")


def test_what_acts_once_acts_once() -> None:
    maker, engine = NoiseMaker(), None
    engine = noise_engine(maker)
    engine.turn("forget_blocks", 2, at=2 * BLOCK_SAMPLES)
    engine.turn("recache", True, at=3 * BLOCK_SAMPLES)
    played(engine, 6 * BLOCK_SAMPLES)
    assert engine.performer.state.context == ("f2", "r3")
    cues = [record["cue"] for record in of(engine, "block")]
    assert [cue.event.policy for cue in cues[:5]] == ["keep", "keep", "keep", "recache", "keep"]


def test_the_policy_recaches_when_a_prompt_changes_and_only_then() -> None:
    engine = noise_engine(values={"prompt": "a", "policy": "recache"})
    engine.turn("prompt", "b", at=2 * BLOCK_SAMPLES)
    engine.turn("prompt", "b", at=3 * BLOCK_SAMPLES)
    engine.turn("steps", 3, at=4 * BLOCK_SAMPLES)
    played(engine, 6 * BLOCK_SAMPLES)
    assert engine.performer.state.context == ("r2",)


def test_rewinding_goes_back_and_does_not_click() -> None:
    engine, at = noise_engine(), 6 * BLOCK_SAMPLES
    still = played(noise_engine(), 12 * BLOCK_SAMPLES)
    engine.turn("rewind_blocks", 4, at=at)
    out = played(engine, 9 * BLOCK_SAMPLES)
    splice = round(SPLICE_SECONDS * FACTS.sample_rate)
    assert np.array_equal(out[:at], still[:at])
    again = still[2 * BLOCK_SAMPLES :]
    assert np.array_equal(out[at + splice :], again[splice : len(out) - at])
    # At the seam the old music still goes on: the first sample is nearly its next one, and no longer after 5 ms.
    assert np.abs(out[at] - still[at]).max() < 0.01 < np.abs(out[at] - again[0]).max()


def test_rewinding_too_far_is_refused_and_the_music_goes_on() -> None:
    engine = noise_engine()
    engine.turn("rewind_blocks", 200, at=BLOCK_SAMPLES)
    assert np.array_equal(played(engine, 3000), played(noise_engine(), 3000))
    (refused,) = of(engine, "refused")
    assert "0 to 1 blocks, got 200" in refused["why"]


def test_nothing_is_played_before_the_lead_is_there() -> None:
    engine, out = noise_engine(), np.ones((300, 2), np.float32)
    engine.pull(out)
    assert not out.any()
    filled(engine)
    engine.pull(out)
    assert out[20:].all() and not out[:20].any(), "the music begins on a frame of the session"
    assert of(engine, "wait") == [{"kind": "wait", "start": 0, "stop": 320}] and engine.player.shift_samples == 320


def test_when_late_the_last_bar_is_held_and_the_music_goes_on_where_it_was() -> None:
    """The loop, worked out by hand: faded in over what comes next, then what was played a bar ago, again and again."""
    settings = {"values": {"prompt": "a", "tempo_bpm": 240.0, "beats_per_bar": 1}, "plan": UNGOVERNED}
    engine, still = noise_engine(**settings), played(noise_engine(**settings), 12_000)
    first = played(engine, 5000)
    bar, out = 2000, np.zeros((6000, 2), np.float32)
    engine.pull(out)
    (hold,) = of(engine, "hold")
    at = hold["at"]
    assert (hold["start"], hold["loop"], hold["fade"]) == (at, bar, FADE)
    begun = out[at - 5000 :]
    assert np.array_equal(np.concatenate([first, out[: at - 5000]]), still[:at])
    assert np.array_equal(begun[FADE:bar], still[at - bar + FADE : at])
    assert np.array_equal(begun[bar : bar + 500], begun[:500])
    gains = (0.5 - 0.5 * np.cos((np.arange(FADE) + 0.5) * np.pi / FADE))[:, None]
    mix = still[at : at + FADE] * (1 - gains) + still[at - bar : at - bar + FADE] * gains
    assert np.abs(begun[:FADE] - mix).max() < 1e-6
    rest = played(engine, 6000)
    (resume,) = of(engine, "resume")
    held = resume["start"] - hold["start"]
    assert held == resume["held"] and held % bar == 0, "whole bars, so the phase stays"
    joined = np.concatenate([first, out, rest])
    assert np.array_equal(joined[resume["start"] :], still[at : at + len(joined) - resume["start"]])


def test_a_maker_that_fails_ends_in_a_fade_and_reaches_the_owner() -> None:
    engine, out = noise_engine(NoiseMaker(broken_at=5)), np.zeros((9000, 2), np.float32)
    with pytest.raises(LmdmError, match="ended at block 5: RuntimeError: the device is gone"):
        for start in range(0, 9000, 100):
            filled(engine)
            engine.pull(out[start : start + 100])
    assert engine.failure is not None and engine.over and not engine.produce()
    engine.pull(rest := np.ones((5000, 2), np.float32))
    (fade,) = of(engine, "fade_out")
    end = fade["start"] + FADE
    joined = np.concatenate([out[: engine.player.sample - 5000], rest])
    assert end == 5 * BLOCK_SAMPLES, "all that was made is played"
    assert not joined[end:].any() and np.abs(joined[end - 1]).max() < 0.001 < np.abs(joined[end - FADE]).max()
    assert not of(engine, "hold")


def test_a_maker_that_fails_during_a_hold_fades_out_of_the_loop() -> None:
    engine, out = noise_engine(NoiseMaker(broken_at=4)), np.zeros((4000, 2), np.float32)
    while engine.blocks < 4:
        engine.produce()
        engine.pull(out[:400])
    engine.pull(out)
    assert engine.player.doing == "holding"
    with pytest.raises(LmdmError, match="block 4"):
        engine.produce()
    engine.pull(out)
    assert 0 < np.flatnonzero(out.any(axis=1))[-1] < FADE and engine.player.doing == "ended"


def test_what_was_made_when_a_maker_failed_is_played_after_the_hold() -> None:
    """One block is ready: too little to go on with, unless it is all there will ever be."""
    engine, still = noise_engine(NoiseMaker(broken_at=5)), played(noise_engine(), 5000)
    while engine.blocks < 4:
        engine.produce()
        engine.pull(out := np.zeros((400, 2), np.float32))
    while engine.player.doing != "holding":
        engine.pull(out)
    engine.produce()
    with pytest.raises(LmdmError, match="block 5"):
        engine.produce()
    engine.pull(rest := np.zeros((4000, 2), np.float32))
    (resume,) = of(engine, "resume")
    first = resume["start"] - (engine.player.sample - 4000)
    at, end = of(engine, "hold")[0]["at"], 5 * BLOCK_SAMPLES
    assert np.array_equal(rest[first : first + end - FADE - at], still[at : end - FADE])
    assert not rest[first + end - at :].any() and engine.player.doing == "ended"


def test_nan_from_the_model_is_never_played() -> None:
    engine = noise_engine(NoiseMaker(nan_at=2))
    with pytest.raises(LmdmError, match="NaN or infinity at frame 20"):
        played(engine, 5000)
    engine.pull(out := np.ones((5000, 2), np.float32))
    assert np.isfinite(out).all()


def test_stopping_fades_out_at_once() -> None:
    engine = noise_engine()
    played(engine, 1000)
    engine.stop()
    engine.pull(out := np.ones((1000, 2), np.float32))
    assert out[: FADE - 1].any(axis=1).all() and not out[FADE:].any() and engine.over
    assert [r["kind"] for r in of(engine, "fade_out", "silence")] == ["fade_out", "silence"]


def test_a_clock_that_goes_back_is_announced_and_harmless() -> None:
    class Backwards:
        at = 0.0

        def now(self) -> float:
            self.at -= 1.0
            return self.at

        def wait(self, seconds: float) -> None:
            raise AssertionError("nobody waits here")

    engine = noise_engine(clock=Backwards())
    assert np.array_equal(played(engine, 3000), played(noise_engine(), 3000))
    assert of(engine, "clock")[0]["jump_seconds"] == -1.0
    assert all(record["compute_seconds"] == 0.0 for record in of(engine, "block"))


def test_bad_plans_are_refused() -> None:
    with pytest.raises(LmdmError, match="fade_seconds must be positive"):
        SessionPlan(fade_seconds=0.0)
    with pytest.raises(LmdmError, match="longest_block_seconds"):
        noise_engine(plan=SessionPlan(longest_block_seconds=0.05))
    with pytest.raises(LmdmError, match="no live input"):
        noise_engine().hear(np.zeros((3, 2), np.float32))
    with pytest.raises(LmdmError, match=r"2 channels \(s ch\), got room of shape \(3, 1\)"):
        noise_engine().pull(np.zeros((3, 1), np.float32))
    assert SessionPlan(GovernorPlan(lead_seconds=0.02)).fade_samples(8000) == 40


def test_the_budget_is_the_modes() -> None:
    budget = noise_engine().budget(device_seconds=0.01, compute_seconds=0.02)
    assert budget.total_seconds == pytest.approx(0.01 + 0.2 + 0.08)
