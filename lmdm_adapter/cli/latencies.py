"""The latency budget of every mode that a model's settings allow, without the device and compute of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.session.budget import Budget, stream_budget
from lmdm_adapter.session.jam_mode import JamTiming, jam_timing_budget
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.needs import sketch_settings, unmet_need
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import following_budget

MODES = ("stream", "sketch", "jam", "delay")


def latencies(section: LmdmSection, codec: Codec) -> dict[str, dict[str, Any]]:
    """By mode: its budget at the usual leads, or what a live model of that section needs for it."""
    assert section.spec is not None, "live models have a BlockSpec"
    facts = Facts(codec.sample_rate, codec.channels, codec.frame_samples, section.spec.block_frames,
                  codec.hold_back_frames)  # fmt: skip
    return {mode: _told(section, codec, facts, mode) for mode in MODES}


def latency_name(mode: str) -> str:
    """What is told for people; of a sketch that is known ahead only knobs are late, as in stream."""
    return f"latency of {mode}{', played live' if mode == 'sketch' else ''}"


def latency_text(told: Mapping[str, Any]) -> str:
    """One line for people."""
    if "needs" in told:
        return str(told["needs"])
    parts = ", ".join(f"{name} {seconds:.3f}" for name, seconds in told["parts_seconds"].items() if seconds > 0.0)
    return f"{told['total_seconds']:.3f} s ({parts})"


def _told(section: LmdmSection, codec: Codec, facts: Facts, mode: str) -> dict[str, Any]:
    need = unmet_need(section, mode)
    return {"needs": need} if need is not None else _budget(section, codec, facts, mode).to_json()


def _budget(section: LmdmSection, codec: Codec, facts: Facts, mode: str) -> Budget:
    timing, plan = facts.timing(), SessionPlan.listening()
    if mode == "stream":
        return stream_budget(timing, lead_seconds=SessionPlan().governor.lead_seconds)
    if mode == "jam":
        return jam_timing_budget(JamTiming.live(Listening.of(codec, section.frame_controls), facts, plan), timing)
    config = sketch_settings(section, mode)
    return following_budget(mode, config, timing, lead_seconds=plan.governor.lead_seconds)
