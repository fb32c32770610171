"""The budgets that docs/session.md shows are those that sessions have."""

from __future__ import annotations

import re
from pathlib import Path

import lmdm_adapter as lmdm
from lmdm_adapter.cli.latencies import latencies
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.session.budget import stream_budget
from lmdm_adapter.session.jam_mode import JamTiming, jam_timing_budget
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import following_budget

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "session.md").read_text(encoding="utf-8")


def test_the_table_is_right() -> None:
    tiny, plan = lmdm.load("tiny"), SessionPlan.listening()
    own = facts_of(tiny)
    large = [Facts(44_100, 2, 2048, block_frames=frames, hold_back_frames=8) for frames in (48, 12)]
    rows = []
    for facts in (*large, own):
        config, timing = SketchConfig.of_frames(facts.frame_samples, facts.sample_rate), facts.timing()
        jam = JamTiming.live(Listening(tiny.codec), facts, plan, look_ahead_frames=8)
        budgets = (
            stream_budget(timing, lead_seconds=1.0), following_budget("delay", config, timing, lead_seconds=0.5),
            jam_timing_budget(jam, timing),
        )  # fmt: skip
        rows.append([f"{budget.total_seconds:.3f}" for budget in budgets] + [f"{facts.block_seconds:.3f}"])
    said = re.findall(r"^\| .*kHz.* \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, flags=re.MULTILINE)
    assert [list(row) for row in said] == rows
    assert f"{latencies(tiny.section, tiny.codec)['stream']['total_seconds']:.3f}" == rows[-1][0]
