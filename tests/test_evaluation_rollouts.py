"""Streams played together are the streams that `LiveModel.stream` plays one by one."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import rollouts
from lmdm_adapter.evaluation.rollouts import stream_together, windows_together
from lmdm_adapter.spec import Sampling
from tests.models import SAMPLE_RATE, controlled_live, tiny_live

PROMPTS, SEEDS, SECONDS = ["house", "techno a minor", "bass drums"], [5, 6, 7], 0.4


def primes() -> list[Audio]:
    """Noise, as long as the context and more, another one for each row."""
    rng = np.random.default_rng(0)
    return [Audio(0.3 * rng.standard_normal((1, 300)).astype(np.float32), SAMPLE_RATE) for _ in SEEDS]


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("primed", [False, True])
def test_rows_equal_streams(primed, guidance):
    live = tiny_live(sampling=Sampling(steps=3, guidance=guidance))
    given = primes() if primed else None
    together = stream_together(live, PROMPTS, seconds=SECONDS, seeds=SEEDS, primes=given)
    assert len({row.samples.tobytes() for row in together}) == 3
    for row, (prompt, seed) in enumerate(zip(PROMPTS, SEEDS, strict=True)):
        prime = None if given is None else given[row]
        pieces = live.stream(prompt, SECONDS, seed=seed, prime=prime)
        alone = np.concatenate([piece.samples for piece in pieces], axis=1)
        assert together[row].samples.shape == alone.shape
        np.testing.assert_allclose(together[row].samples, alone, atol=1e-4 * np.abs(alone).max())


def curve(row: int):
    """Frame controls of one row: another curve for each, none of the second control in the middle row."""

    def source(first_frame: int, frames: int) -> dict[str, np.ndarray]:
        times = np.arange(first_frame, first_frame + frames, dtype=np.float32)[None]
        given = {"height": np.sin(times * (1 + row)), "edge": np.cos(times * np.float32([[2], [3]]))}
        return given if row != 1 else {"height": given["height"]}

    return source


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_rows_hear_frame_controls_of_their_own(guidance):
    live, sampling = controlled_live((("height", 1), ("edge", 2))), Sampling(steps=2, guidance=guidance)
    sources = [curve(row) for row in range(3)]
    settings = {"seconds": SECONDS, "seeds": SEEDS, "sampling": sampling}
    together = stream_together(
        live, PROMPTS, controls=lambda first, frames: [source(first, frames) for source in sources], **settings
    )
    for row, (prompt, seed) in enumerate(zip(PROMPTS, SEEDS, strict=True)):
        pieces = live.stream(prompt, SECONDS, seed=seed, sampling=sampling, frame_controls=sources[row])
        alone = np.concatenate([piece.samples for piece in pieces], axis=1)
        np.testing.assert_allclose(together[row].samples, alone, atol=1e-4 * np.abs(alone).max())
    without = stream_together(live, PROMPTS, **settings)
    absent = stream_together(live, PROMPTS, controls=lambda first, frames: [None, {}, None], **settings)
    half = stream_together(live, PROMPTS, controls=lambda first, frames: [None, *curve_pair(first, frames)], **settings)
    assert all(np.abs(a.samples - b.samples).max() > 1e-3 for a, b in zip(together, without, strict=True))
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(absent, without, strict=True))
    np.testing.assert_allclose(half[0].samples, without[0].samples, atol=1e-4 * np.abs(half[0].samples).max())
    assert np.array_equal(half[1].samples, together[1].samples)


def curve_pair(first_frame: int, frames: int) -> list[dict[str, np.ndarray]]:
    """The frame controls of the second and the third row."""
    return [curve(row)(first_frame, frames) for row in (1, 2)]


def test_an_unknown_control_of_a_row_is_refused():
    with pytest.raises(LmdmError, match="no frame control 'depth'"):
        stream_together(
            controlled_live((("height", 1),)), ["house"], seconds=0.1, seeds=[0],
            controls=lambda first, frames: [{"depth": np.zeros((1, frames))}],
        )  # fmt: skip


@pytest.mark.parametrize("primed", [False, True])
def test_windows_are_cut_from_the_streams(primed):
    """Window after window, joined, is what each stream plays, in another sampling than the model's own too."""
    live, sampling = tiny_live(), Sampling(steps=2, sampler="euler", guidance=2.0)
    given = primes() if primed else None
    windows = list(
        windows_together(live, PROMPTS, windows=3, window_seconds=0.7, seeds=SEEDS, sampling=sampling, primes=given)
    )
    assert [[audio.samples.shape for audio in window] for window in windows] == [[(1, 700)] * 3] * 3
    for row, (prompt, seed) in enumerate(zip(PROMPTS, SEEDS, strict=True)):
        prime = None if given is None else given[row]
        pieces = live.stream(prompt, 2.1, seed=seed, prime=prime, sampling=sampling)
        alone = np.concatenate([piece.samples for piece in pieces], axis=1)
        joined = np.concatenate([window[row].samples for window in windows], axis=1)
        np.testing.assert_allclose(joined, alone, atol=1e-4 * np.abs(alone).max())


def test_memory_does_not_grow_with_windows(monkeypatch):
    """What waits to be cut off is never more than a window and a piece, and a piece is of bounded length."""
    monkeypatch.setattr(rollouts, "DECODE_FRAMES", 12)
    live, waiting = tiny_live(), []
    played_on = rollouts._played_on

    def watched(*arguments):
        rows = played_on(*arguments)
        waiting.append(max(row.nbytes for row in rows.waiting) + sum(one.latents.nbytes for one in rows.decoders))
        return rows

    monkeypatch.setattr(rollouts, "_played_on", watched)
    settings = {"window_seconds": 0.3, "seeds": SEEDS, "sampling": live.sampling}
    for _ in windows_together(live, PROMPTS, windows=20, **settings):
        pass
    assert len(waiting) > 50 and max(waiting[30:]) <= max(waiting[:30])


def test_a_bad_prefix_is_refused_as_by_a_stream():
    with pytest.raises(LmdmError, match="at least one block"):
        stream_together(tiny_live(), ["house"], seconds=0.1, seeds=[0], primes=[Audio(np.zeros((1, 10)), SAMPLE_RATE)])
