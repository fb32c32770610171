"""What to do when blocks come late: a pure state machine. It decides; the engine and the player act.

In this order: fewer denoise steps, then a longer look-ahead. When the music runs out all the same, the player holds the
last bar as a loop, which is a fact that the governor is told. Everything is taken back in the reverse order, each step
only after several calm blocks and only where it would have been on time, so it does not swing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from lmdm_adapter.errors import LmdmError

LATE_SHARE = 0.25
"""A block is late when less than this share of the lead was left when it came."""
CALM_SHARE = 0.5
"""A block is calm when it took at most this share of the lead; if of its own length too, lost time comes back alone."""
STEP_FACTOR = 0.75
LEAD_FACTOR = 1.5


@dataclass(frozen=True)
class GovernorPlan:
    """How far ahead to play (`lead_seconds`), the bounds of what may be changed, and when to take it back.

    Raises LmdmError for bounds that are none.
    """

    lead_seconds: float = 1.0
    most_lead_seconds: float = 4.0
    least_steps: int = 1
    calm_blocks: int = 8

    def __post_init__(self) -> None:
        if not 0.0 < self.lead_seconds <= self.most_lead_seconds < float("inf"):
            raise LmdmError(
                f"The lead must be positive and at most most_lead_seconds, got {self.lead_seconds:g} s of "
                f"{self.most_lead_seconds:g} s."
            )
        if self.least_steps < 1 or self.calm_blocks < 1:
            raise LmdmError(f"least_steps and calm_blocks must be at least 1, got {self}.")


@dataclass(frozen=True)
class Governed:
    """What the governor allows now: at most `steps` denoise steps (None: as asked), a lead of `lead_seconds`."""

    lead_seconds: float
    steps: int | None = None
    calm: int = 0


@dataclass(frozen=True)
class Seen:
    """One block: its compute time, what was ready when it came, its length, its steps, and whether a hold began."""

    compute_seconds: float
    margin_seconds: float
    block_seconds: float
    asked_steps: int
    used_steps: int
    held: bool = False


@dataclass(frozen=True)
class Decision:
    """One change of `what` ("steps" or "lead_seconds"), for the log."""

    what: str
    before: float
    after: float
    why: str

    def record(self) -> dict[str, Any]:
        """For the log."""
        return {"kind": "governor", **asdict(self)}


def start(plan: GovernorPlan) -> Governed:
    """Nothing restrained."""
    return Governed(plan.lead_seconds)


def governed(plan: GovernorPlan, state: Governed, seen: Seen) -> tuple[Governed, Decision | None]:
    """The state after a block, and what changed, if anything: one thing at a time."""
    late = seen.margin_seconds < LATE_SHARE * state.lead_seconds
    gaining = _calm(min(seen.block_seconds, state.lead_seconds), seen.compute_seconds)
    if seen.held or (late and not gaining):
        return _restrained(plan, state, seen)
    calm = state.calm + 1 if _calm(state.lead_seconds, seen.compute_seconds) else 0
    if calm < plan.calm_blocks:
        return replace(state, calm=calm), None
    return _released(plan, replace(state, calm=calm), seen)


def _restrained(plan: GovernorPlan, state: Governed, seen: Seen) -> tuple[Governed, Decision | None]:
    why = f"a block came with {seen.margin_seconds:.3f} s left of {state.lead_seconds:.3f} s"
    steps = max(plan.least_steps, int(seen.used_steps * STEP_FACTOR))
    if steps < seen.used_steps:
        return replace(state, steps=steps, calm=0), Decision("steps", seen.used_steps, steps, why)
    lead = min(plan.most_lead_seconds, state.lead_seconds * LEAD_FACTOR)
    if lead > state.lead_seconds:
        return replace(state, lead_seconds=lead, calm=0), Decision("lead_seconds", state.lead_seconds, lead, why)
    return replace(state, calm=0), None


def _released(plan: GovernorPlan, state: Governed, seen: Seen) -> tuple[Governed, Decision | None]:
    why = f"{state.calm} blocks came in time, the last in {seen.compute_seconds:.3f} s"
    lead = max(plan.lead_seconds, state.lead_seconds / LEAD_FACTOR)
    if lead < state.lead_seconds:
        if not _calm(lead, seen.compute_seconds):
            return state, None
        return replace(state, lead_seconds=lead, calm=0), Decision("lead_seconds", state.lead_seconds, lead, why)
    if state.steps is None or state.steps >= seen.asked_steps:
        return state, None
    steps = min(seen.asked_steps, max(state.steps + 1, int(state.steps / STEP_FACTOR)))
    if not _calm(state.lead_seconds, seen.compute_seconds * steps / seen.used_steps):
        return state, None
    cap = None if steps >= seen.asked_steps else steps
    return replace(state, steps=cap, calm=0), Decision("steps", seen.used_steps, steps, why)


def _calm(lead_seconds: float, compute_seconds: float) -> bool:
    return compute_seconds <= (1.0 - CALM_SHARE) * lead_seconds
