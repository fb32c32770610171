"""The latency budget of every mode that a model's settings allow, without the device and compute of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.budget import Budget, stream_budget
from lmdm_adapter.session.jam_mode import JamTiming, jam_timing_budget
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.needs import sketch_settings, unmet_need
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import following_budget

MODES = ("stream", "sketch", "jam", "delay")


def latencies(live: LiveModel) -> dict[str, dict[str, Any]]:
    """By mode: its budget at the usual leads, or what the model needs for it."""
    facts = facts_of(live)
    return {mode: _told(live, facts, mode) for mode in MODES}


def latency_text(told: Mapping[str, Any]) -> str:
    """One line for people."""
    if "needs" in told:
        return str(told["needs"])
    parts = ", ".join(f"{name} {seconds:.3f}" for name, seconds in told["parts_seconds"].items() if seconds > 0.0)
    return f"{told['total_seconds']:.3f} s ({parts})"


def _told(live: LiveModel, facts: Facts, mode: str) -> dict[str, Any]:
    need = unmet_need(live.section, mode)
    return {"needs": need} if need is not None else _budget(live, facts, mode).to_json()


def _budget(live: LiveModel, facts: Facts, mode: str) -> Budget:
    timing, plan = facts.timing(), SessionPlan.listening()
    if mode == "stream":
        return stream_budget(timing, lead_seconds=SessionPlan().governor.lead_seconds)
    if mode == "jam":
        return jam_timing_budget(JamTiming.live(live.codec, facts, plan), timing)
    config = sketch_settings(live.section, mode)
    return following_budget(mode, config, timing, lead_seconds=plan.governor.lead_seconds)
