"""What docs/demo.md says about latency is what the page would have."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")
import lmdm_adapter as lmdm
from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.demo.session_wish import page_seconds
from lmdm_adapter.demo.tabs.live_input import LEAD_SECONDS
from lmdm_adapter.resampling import resampling_seconds
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.plan import LISTENING_LEAD_SECONDS
from lmdm_adapter.session.sketch_mode import following_budget

MICROPHONE_RATE = 48_000
PAGE = (Path(__file__).resolve().parent.parent / "docs" / "demo.md").read_text(encoding="utf-8")


def test_the_table_is_right() -> None:
    tiny = lmdm.load("tiny")
    facts = facts_of(tiny, look_ahead_frames=low_latency_frames(tiny.codec))
    config, rows = SketchConfig.of_frames(facts.frame_samples, facts.sample_rate), []
    held = resampling_seconds(MICROPHONE_RATE, facts.sample_rate)
    for device_seconds, resampling in ((page_seconds(LEAD_SECONDS), held), (0.0, 0.0)):
        timing = facts.timing(device_seconds=device_seconds, resampling_seconds=resampling)
        budget = following_budget("delay", config, timing, lead_seconds=LISTENING_LEAD_SECONDS)
        rows.append([seconds for _, seconds in budget.parts] + [budget.total_seconds])
    said = re.findall(r"^\| delay, .*? \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert np.allclose([[float(cell) for cell in row.split(" | ")] for row in said], rows, rtol=0.0, atol=6e-4)
