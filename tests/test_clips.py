"""Crops are a function of seed and step; short clips are left out by name; held-out clips stay held out."""

from __future__ import annotations

import logging

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.clips import LatentClip, LatentCrops, held_out_split, long_enough
from tests.toy import draw


def clip(number: int, frames: int = 40) -> LatentClip:
    """A clip whose latents count its frames, so that a crop tells where it is from."""
    latents = torch.arange(frames).float().expand(4, frames) + 1000.0 * number
    return LatentClip(latents.half().float(), f"prompt {number}", frames / 10, f"clip {number}")


def test_batches_depend_on_seed_and_step_alone() -> None:
    clips = [clip(number) for number in range(5)]
    first, again = (LatentCrops(clips, batch_size=6, seed=3) for _ in range(2))
    again.batch(0, 12)
    one, other = first.batch(7, 12), again.batch(7, 12)
    assert torch.equal(one.latents, other.latents) and one.prompts == other.prompts
    assert one.latents.shape == (6, 4, 12) and one.latents.dtype == torch.float32
    assert not torch.equal(one.latents, first.batch(8, 12).latents)
    assert not torch.equal(one.latents, LatentCrops(clips, batch_size=6, seed=4).batch(7, 12).latents)


def test_crops_begin_at_any_frame_and_keep_their_prompts() -> None:
    clips = [clip(1, frames=9), clip(2, frames=7)]
    starts = set()
    crops = LatentCrops(clips, batch_size=8, seed=0)
    for step in range(20):
        for row, prompt in zip(*crops.batch(step, 7), strict=True):
            number = int(prompt.removeprefix("prompt "))
            starts.add((number, int(row[0, 0]) - 1000 * number))
            assert torch.equal(row[0], row[0, 0] + torch.arange(7))
    assert starts == {(1, 0), (1, 1), (1, 2), (2, 0)}


def test_processes_train_on_different_batches_of_one_sequence() -> None:
    """The loop asks for batch step * processes + process, so two processes share no batch and miss none."""
    crops = LatentCrops([clip(number) for number in range(5)], batch_size=2, seed=0)
    ranks = [[crops.batch(step * 2 + rank, 12).latents for step in range(3)] for rank in range(2)]
    alone = [crops.batch(step, 12).latents for step in range(6)]
    assert all(torch.equal(ranks[step % 2][step // 2], alone[step]) for step in range(6))
    assert not torch.equal(ranks[0][0], ranks[1][0])


def test_short_clips_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    clips = [clip(0, 30), clip(1, 11), clip(2, 12)]
    with caplog.at_level(logging.WARNING):
        assert [one.name for one in long_enough(clips, 12)] == ["clip 0", "clip 2"]
    assert "1 of 3 clips" in caplog.text and "clip 1" in caplog.text
    caplog.clear()
    assert long_enough(clips, 11) == clips and not caplog.text
    with pytest.raises(LmdmError, match="31 frames and the longest of 3 clips has 30"):
        long_enough(clips, 31)
    with pytest.raises(LmdmError, match="clip 1 has 11 frames"):
        LatentCrops([clips[1]], batch_size=1, seed=0).batch(0, 12)


def test_latents_with_nan_are_refused_by_name() -> None:
    bad = LatentClip(torch.full((4, 20), torch.nan), "p", 2.0, "bad one")
    with pytest.raises(LmdmError, match="bad one"):
        LatentCrops([bad], batch_size=1, seed=0).batch(0, 12)


def test_held_out_clips_are_a_share_and_stay_held_out() -> None:
    clips = [clip(number) for number in range(400)]
    train, held_out = held_out_split(clips, 0.1)
    assert 20 < len(held_out) < 60 and len(train) + len(held_out) == 400
    fewer = clips[::2]
    assert {one.name for one in held_out_split(fewer, 0.1)[1]} == {one.name for one in held_out if one in fewer}
    assert {one.name for one in held_out} <= {one.name for one in held_out_split(clips, 0.2)[1]}


def test_at_least_one_clip_is_on_either_side() -> None:
    for share in (1e-9, 0.5):
        for number in range(20):
            train, held_out = held_out_split([clip(number), clip(number + 1)], share)
            assert len(train) == len(held_out) == 1
    with pytest.raises(LmdmError, match="at least 2 clips"):
        held_out_split([clip(0)], 0.1)


def test_no_clips_are_refused() -> None:
    with pytest.raises(LmdmError, match="no latents"):
        LatentCrops([], batch_size=1, seed=0)


def test_a_crop_carries_its_own_seconds() -> None:
    whole = LatentClip(draw(4, 40), "p", 4.0, "c")
    crop = whole.crop(3, 10, draws=None)  # type: ignore[arg-type]
    assert crop.seconds == pytest.approx(1.0) and torch.equal(crop.latents, whole.latents[:, 3:13])
