"""The newest of what was heard, by sample."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.session.recent_sound import RecentSound


def test_what_is_kept_is_what_came_and_memory_is_bounded() -> None:
    sound = np.random.default_rng(0).uniform(-1.0, 1.0, (5000, 2)).astype(np.float32)
    kept, start = RecentSound(700), 0
    for size in (1, 0, 699, 13, 700, 87, 1500, 2000):
        kept.append(sound[start : start + size])
        start += size
        for first in (start - min(start, 700), start - 1, start):
            assert np.array_equal(kept.since(first), sound[first:start])
    held = kept.since(0)
    assert len(held) == kept.end == 5000 and not held[:2300].any(), "what is forgotten is silence"


def test_silence_came_before_the_first_sample_and_mono_counts_for_both_channels() -> None:
    kept = RecentSound(100)
    assert kept.since(-3).shape == (3, 1)
    kept.append(np.ones((2, 1), np.float32))
    kept.append(np.full((1, 2), 2.0, np.float32))
    assert np.array_equal(kept.since(-1), [[0, 0], [1, 1], [1, 1], [2, 2]])
