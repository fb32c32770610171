"""Latency budgets: their parts, and delays that are too short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, delay_budget, jam_budget, require_delay, stream_budget

RATE_HZ = 44100 / 2048


def timing(block_frames: int) -> Timing:
    return Timing(RATE_HZ, block_frames, hold_back_frames=8, device_seconds=0.012, compute_seconds=0.1)


def delay_of(block_frames: int, *, lead_seconds: float = 0.1) -> Budget:
    return delay_budget(timing(block_frames), lead_seconds=lead_seconds, feature_look_ahead_seconds=0.05)


def test_four_beats_at_120_are_less_than_one_block_of_48_and_fine_for_12() -> None:
    long, short = (delay_of(frames) for frames in (48, 12))
    require_delay(2.0, short, bpm=120.0)
    with pytest.raises(LmdmError, match=r"2\.000 s is too short .*block 2\.229.* is 2\.763 s, which is 6 beats at 120"):
        require_delay(2.0, long, bpm=120.0)
    require_delay(2.763, long)
    with pytest.raises(LmdmError, match="the shortest that works is 2.763 s"):
        require_delay(2.762, long)


def test_the_total_is_the_sum_of_named_parts() -> None:
    budget = delay_of(12)
    assert [name for name, _ in budget.parts] == [
        "device", "block", "feature look-ahead", "lead", "decoder hold-back",
    ]  # fmt: skip
    assert budget.total_seconds == pytest.approx(0.012 + 12 / RATE_HZ + 0.05 + 0.1 + 8 / RATE_HZ)
    assert f"total               {budget.total_seconds:7.3f} s" in str(budget)
    assert sum(budget.to_json()["parts_seconds"].values()) == pytest.approx(budget.to_json()["total_seconds"])


def test_jam_and_stream() -> None:
    jam = jam_budget(timing(10), encoder_look_ahead_seconds=0.364, slack_seconds=0.5)
    assert jam.total_seconds == pytest.approx(0.012 + 0.364 + 0.5 + 10 / RATE_HZ + 8 / RATE_HZ)
    stream = stream_budget(timing(10), lead_seconds=1.0)
    assert stream.total_seconds == pytest.approx(0.012 + 1.0 + 10 / RATE_HZ + 8 / RATE_HZ), "computed within the lead"
    for short in (stream_budget(timing(10), lead_seconds=0.06), delay_of(10, lead_seconds=0.06)):
        assert dict(short.parts)["lead"] == 0.1, "unless that takes longer"
    assert dict(delay_of(10, lead_seconds=0.3).parts)["lead"] == 0.3


def test_what_resampling_holds_is_the_devices_part_for_whoever_listens() -> None:
    held = replace(timing(10), resampling_seconds=0.04)
    delay = delay_budget(held, lead_seconds=0.1, feature_look_ahead_seconds=0.05)
    jam = jam_budget(held, encoder_look_ahead_seconds=0.3, slack_seconds=0.2)
    stream = stream_budget(held, lead_seconds=0.1)
    assert [dict(budget.parts)["device"] for budget in (delay, jam, stream)] == pytest.approx([0.052, 0.052, 0.012])


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_a_part_is_a_time(seconds: float) -> None:
    with pytest.raises(LmdmError, match="latency of block"):
        Budget("jam", (("block", seconds),))
