"""Whole sessions in virtual time, on machines fast, slow, jittery and stalled: all that is played is accounted for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.hour import HourPlan, main, simulated_hour
from lmdm_adapter.session.simulation import ComputeTimes, Device, Simulation, ToneMaker, ToneState
from tests.session_makers import FACTS, PLAN, noise_simulation

FAST = ComputeTimes(share=0.05)
STALLED = ComputeTimes(share=0.2, stall_every_blocks=40, stall_seconds=0.5)
JITTERY = ComputeTimes(share=0.4, jitter=1.4)
SLOW = ComputeTimes(share=1.4)
RATHER_SLOW = ComputeTimes(share=1.1)
MACHINES = {"fast": FAST, "stalled": STALLED, "jittery": JITTERY, "slow": SLOW}


def tone_simulation(times: ComputeTimes, **settings: Any) -> Simulation:
    settings = {"plan": PLAN, "device": Device((400, 1, 250)), "values": {"tempo_bpm": 140.0}, **settings}
    return Simulation(ToneMaker(FACTS), FACTS, state=ToneState(), times=times, **settings)


def run(times: ComputeTimes, seconds: float = 8.0, **settings: Any) -> tuple[Simulation, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []
    simulation = tone_simulation(times, hear=lambda samples, new: records.extend(new), **settings)
    simulation.run(seconds)
    return simulation, records


@pytest.mark.parametrize("machine", MACHINES)
def test_on_every_machine_all_that_is_played_is_accounted_for(machine: str) -> None:
    simulation, records = run(MACHINES[machine])
    verdict = simulation.verifier.verdict
    assert verdict.passed, verdict
    assert verdict.played_samples >= 8 * FACTS.sample_rate and verdict.plain_samples > 0
    holds = [record for record in records if record["kind"] == "hold"]
    assert (len(holds) > 0) == (machine in ("stalled", "slow")), "the machines do what they are for"
    # However late: the ring and the queues stay within their bounds.
    ring = simulation.engine.player.ring
    assert ring.readable_samples <= ring.capacity_samples and ring.samples_refused == 0


def test_the_same_simulation_twice_is_the_same() -> None:
    def once() -> tuple[bytes, list[dict[str, Any]]]:
        parts, records = [], []

        def hear(samples: np.ndarray, new: list[dict[str, Any]]) -> None:
            parts.append(samples.tobytes())
            records.extend(new)

        tone_simulation(STALLED, hear=hear).run(8.0)
        return b"".join(parts), records

    first, second = once(), once()
    assert first == second and any(record["kind"] == "hold" for record in first[1])


def test_a_machine_that_is_slower_than_the_music_gets_fewer_steps_before_anything_is_held() -> None:
    """Ten hundredths too slow at 8 steps: at 6 it is in time, and there it stays, since 8 would be late again."""
    _, records = run(RATHER_SLOW, 20.0)
    decisions = [(r["what"], r["after"]) for r in records if r["kind"] == "governor"]
    assert decisions[0] == ("steps", 6) and not [r for r in records if r["kind"] == "hold"]
    assert all(what == "steps" for what, _ in decisions)


def test_a_machine_that_recovers_gets_its_steps_back() -> None:
    """One bad second in the middle, then calm."""
    times = ComputeTimes(share=0.1, stall_every_blocks=100, stall_seconds=1.0)
    simulation, records = run(times, 14.0)
    steps = [(r["before"], r["after"]) for r in records if r["kind"] == "governor" and r["what"] == "steps"]
    assert steps[0][1] < 8 and steps[-1][1] == 8 and simulation.engine.governed.steps is None
    assert simulation.engine.governed.lead_seconds == PLAN.governor.lead_seconds


def test_when_even_the_fewest_steps_are_late_the_lead_grows_to_its_limit() -> None:
    simulation, _ = run(ComputeTimes(share=20.0), 15.0)
    assert simulation.engine.governed.lead_seconds == PLAN.governor.most_lead_seconds
    assert simulation.engine.governed.steps == 1 and simulation.verifier.verdict.passed


def test_holds_take_whole_bars() -> None:
    _, records = run(STALLED)
    bar = round(4 * 60 / 140 * FACTS.sample_rate)
    full = [r for r in records if r["kind"] == "hold" and r["start"] > 2 * bar]
    ends = [r for r in records if r["kind"] == "resume"]
    assert full and {r["loop"] for r in full} == {bar} and all(r["held"] % bar == 0 for r in ends[-len(full) :])


def sabotaged(monkeypatch: pytest.MonkeyPatch, spoil: Any, times: ComputeTimes = STALLED) -> Any:
    """The verdict on a session whose engine is spoilt: `spoil(first_sample, out)` after every pull."""
    pull = Engine.pull

    def spoilt(engine: Engine, out: np.ndarray) -> None:
        first = engine.player.sample
        pull(engine, out)
        spoil(first, out)

    monkeypatch.setattr(Engine, "pull", spoilt)
    return run(times, 5.0)[0].verifier.verdict


@cache
def hold_start() -> int:
    """Where the stalled machine's first hold begins."""
    return next(r["start"] for r in run(STALLED, 4.0)[1] if r["kind"] == "hold")


@pytest.mark.parametrize("place", ["music", "hold", "fade"])
def test_a_planted_discontinuity_of_one_sample_is_caught(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    at = {"music": 9_000, "hold": hold_start() + 2_000, "fade": hold_start() + 7}[place]

    def spoil(first: int, out: np.ndarray) -> None:
        if first <= at < first + len(out):
            out[at - first, 1] += 0.6 if out[at - first, 1] < 0 else -0.6

    verdict = sabotaged(monkeypatch, spoil)
    assert not verdict.passed and verdict.different_samples == 1 and verdict.first_different == at
    assert verdict.discontinuities == 2 and verdict.first_discontinuity == at, "into it and out of it"


def test_a_sample_wrong_by_one_bit_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(first: int, out: np.ndarray) -> None:
        if first <= 9_000 < first + len(out):
            out[9_000 - first] = np.nextafter(out[9_000 - first], np.float32(1.0))

    verdict = sabotaged(monkeypatch, spoil)
    assert verdict.different_samples == 1 and verdict.discontinuities == 0 and not verdict.passed


def test_silence_that_nobody_announced_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(first: int, out: np.ndarray) -> None:
        if 9_000 <= first < 9_500:
            out[:] = 0.0

    verdict = sabotaged(monkeypatch, spoil, FAST)
    assert verdict.unannounced_gaps == 1 and verdict.different_samples >= 400 and not verdict.passed


def test_a_hold_that_is_not_in_the_log_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    noted, start = Engine.noted, hold_start()
    monkeypatch.setattr(
        Engine, "noted", lambda engine: [r for r in noted(engine) if r["kind"] not in ("hold", "resume")]
    )
    verdict = run(STALLED, 5.0)[0].verifier.verdict
    assert verdict.different_samples > 1000 and start <= verdict.first_different <= start + 1


def test_a_clock_that_jumps_in_mid_block_changes_no_sample() -> None:
    simulation = noise_simulation(times=FAST)
    simulation.clock.call_at(2.0, lambda: simulation.clock.jump(-0.3))
    simulation.run(4.0)
    assert simulation.verifier.verdict.passed


def test_turns_by_hand_are_stamped_with_what_is_played() -> None:
    records: list[dict[str, Any]] = []
    simulation = noise_simulation(times=FAST, hear=lambda samples, new: records.extend(new))
    simulation.turn_at(1.0, "prompt", "b")
    simulation.run(3.0)
    (event,) = [record for record in records if record["kind"] == "event"]
    assert event["stamp"] == pytest.approx(8000, abs=160) and event["effect"] >= event["stamp"]
    assert (event["effect"] - event["stamp"]) / 8000 < 0.2 + 0.08 + 0.02, "the lead, and up to one block"


def test_a_short_simulated_hour_passes_and_says_what_it_saw(tmp_path: Any) -> None:
    figures = simulated_hour(HourPlan(seconds=8.0, times=replace(HourPlan.times, stall_every_blocks=8)))
    assert figures["passed"] and figures["records"]["hold"] >= 1 and figures["verdict"]["unannounced_gaps"] == 0
    assert main(["--json", str(tmp_path / "hour.json"), "--seconds", "0.5"]) == 0 and (tmp_path / "hour.json").exists()
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "hour.json"), "--seconds", "0"])


@pytest.mark.parametrize("bad", [{"share": -1.0}, {"steps": 0}])
def test_impossible_machines_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(LmdmError):
        ComputeTimes(**bad)
    with pytest.raises(LmdmError, match="chunks of 1 sample or more"):
        Device((0,))
