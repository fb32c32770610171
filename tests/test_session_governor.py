"""The governor: the order in which it gives way, and takes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.governor import Decision, Governed, GovernorPlan, Seen, governed, start

PLAN = GovernorPlan(lead_seconds=1.0, most_lead_seconds=2.0, least_steps=2, calm_blocks=3)
LATE = Seen(compute_seconds=1.2, margin_seconds=0.1, block_seconds=0.8, asked_steps=8, used_steps=8)
CALM = Seen(compute_seconds=0.1, margin_seconds=0.9, block_seconds=0.8, asked_steps=8, used_steps=8)


def run(seen: Seen, blocks: int, state: Governed | None = None) -> tuple[Governed, list[Decision]]:
    """Blocks that all look like `seen`, at the steps that are allowed."""
    state, decisions = state or start(PLAN), []
    for _ in range(blocks):
        used = min(seen.asked_steps, state.steps or seen.asked_steps)
        state, decision = governed(PLAN, state, replace(seen, used_steps=used))
        decisions += [] if decision is None else [decision]
    return state, decisions


def test_late_blocks_lose_steps_first_and_then_the_lead_grows() -> None:
    state, decisions = run(LATE, 20)
    assert [(d.what, d.after) for d in decisions] == [
        ("steps", 6), ("steps", 4), ("steps", 3), ("steps", 2), ("lead_seconds", 1.5), ("lead_seconds", 2.0),
    ]  # fmt: skip
    assert (state.steps, state.lead_seconds) == (2, 2.0)
    assert "0.100 s left of 1.000 s" in decisions[0].why and decisions[0].record()["kind"] == "governor"


def test_calm_takes_back_in_reverse_and_not_at_once() -> None:
    worn, _ = run(LATE, 20)
    state, decisions = run(CALM, 60, worn)
    assert [(d.what, round(d.after, 2)) for d in decisions] == [
        ("lead_seconds", 1.33), ("lead_seconds", 1.0), ("steps", 3), ("steps", 4), ("steps", 5), ("steps", 6),
        ("steps", 8),
    ]  # fmt: skip
    assert state.steps is None and state.lead_seconds == 1.0
    _, early = run(CALM, PLAN.calm_blocks - 1, worn)
    assert not early


def test_one_late_block_among_calm_ones_starts_the_count_again() -> None:
    worn, _ = run(LATE, 20)
    state = worn
    for _ in range(10):
        state, decisions = run(CALM, PLAN.calm_blocks - 1, state)
        assert not decisions
        state, _ = run(LATE, 1, state)


def test_steps_that_would_be_late_are_not_given_back() -> None:
    """At 4 steps a block takes 0.4 s of the 0.5 s that are calm; 5 steps fit, 6 would not."""
    state = Governed(lead_seconds=1.0, steps=4)
    for _ in range(40):
        used = state.steps or 8
        state, _ = governed(PLAN, state, Seen(0.1 * used, 1.0 - 0.1 * used, 0.8, 8, used))
    assert state.steps == 5


def test_blocks_that_catch_up_after_a_stall_are_left_alone() -> None:
    quick = replace(CALM, margin_seconds=0.05)
    assert run(quick, 2) == (replace(start(PLAN), calm=2), [])
    assert run(replace(quick, compute_seconds=0.45), 1)[1], "half of a block's own length is too long for that"


def test_a_hold_counts_as_late_and_a_player_who_asks_for_less_is_not_raised() -> None:
    state, decision = governed(PLAN, start(PLAN), replace(CALM, held=True))
    assert decision is not None and decision.what == "steps" and state.steps == 6
    state, decisions = run(replace(CALM, asked_steps=4), 30, state)
    assert not decisions and state.steps == 6


@pytest.mark.parametrize("bad", [{"lead_seconds": 0.0}, {"lead_seconds": 9.0}, {"least_steps": 0}, {"calm_blocks": 0}])
def test_bounds_that_are_none_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(LmdmError):
        GovernorPlan(**bad)
