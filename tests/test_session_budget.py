"""Latency budgets: their parts, and delays that are too short."""

from __future__ import annotations

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget, Timing, delay_budget, jam_budget, require_delay, stream_budget

RATE_HZ = 44100 / 2048


def timing(block_frames: int) -> Timing:
    return Timing(RATE_HZ, block_frames, hold_back_frames=8, device_seconds=0.012, compute_seconds=0.1)


def test_four_beats_at_120_are_less_than_one_block_of_48_and_fine_for_12() -> None:
    long, short = (delay_budget(timing(frames), feature_look_ahead_seconds=0.05) for frames in (48, 12))
    require_delay(2.0, short, bpm=120.0)
    with pytest.raises(LmdmError, match=r"2\.000 s is too short .*block 2\.229.* is 2\.763 s, which is 6 beats at 120"):
        require_delay(2.0, long, bpm=120.0)
    require_delay(2.763, long)
    with pytest.raises(LmdmError, match="the shortest that works is 2.763 s"):
        require_delay(2.762, long)


def test_the_total_is_the_sum_of_named_parts() -> None:
    budget = delay_budget(timing(12), feature_look_ahead_seconds=0.05)
    assert [name for name, _ in budget.parts] == [
        "device", "block", "feature look-ahead", "compute", "decoder hold-back",
    ]  # fmt: skip
    assert budget.total_seconds == pytest.approx(0.012 + 12 / RATE_HZ + 0.05 + 0.1 + 8 / RATE_HZ)
    assert f"total               {budget.total_seconds:7.3f} s" in str(budget)
    assert sum(budget.to_json()["parts_seconds"].values()) == pytest.approx(budget.to_json()["total_seconds"])


def test_jam_and_stream() -> None:
    jam = jam_budget(timing(10), encoder_look_ahead_seconds=0.364, slack_seconds=0.5)
    assert jam.total_seconds == pytest.approx(0.012 + 0.364 + 0.5 + 10 / RATE_HZ + 8 / RATE_HZ)
    stream = stream_budget(timing(10), lead_seconds=1.0)
    assert stream.total_seconds == pytest.approx(0.012 + 1.0 + 10 / RATE_HZ + 8 / RATE_HZ), "computed within the lead"
    assert dict(stream_budget(timing(10), lead_seconds=0.06).parts)["lead"] == 0.1, "unless that takes longer"


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_a_part_is_a_time(seconds: float) -> None:
    with pytest.raises(LmdmError, match="latency of block"):
        Budget("jam", (("block", seconds),))
