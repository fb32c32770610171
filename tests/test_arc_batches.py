"""What a step of ARC-Forcing gets: context and what follows it, partners of prompts, controls of other clips."""

from __future__ import annotations

import pytest
import torch

from lmdm_adapter.live import LiveModel
from lmdm_adapter.recipes.arc_forcing import EARLIER_BATCHES, ArcForcingRecipe, batches
from lmdm_adapter.training.arc_objective import ArcConfig
from lmdm_adapter.training.clips import LatentClip, LatentCrops
from lmdm_adapter.training.control_crops import ControlConfig, ControlCrops
from lmdm_adapter.training.data import LatentData
from tests.models import LATENT_CHANNELS, SPEC, tiny_live
from tests.toy import draw

ROLLED_BLOCKS = 4
LOUDNESS = (("sketch_loudness", 1),)
KEPT = ControlConfig(no_features=0.0, no_feature=0.0)


def crops(*prompts: str, rows: int, controls: tuple[tuple[str, int], ...] = ()) -> ControlCrops:
    """Random crops of clips of noise, one of each prompt."""
    clips = [
        LatentClip(draw(LATENT_CHANNELS, 200, seed=n), prompt, 1.6, str(n), {LOUDNESS[0][0]: draw(1, 200, seed=9 + n)})
        for n, prompt in enumerate(prompts)
    ]
    latents = LatentCrops(clips, batch_size=rows, seed=0)
    return ControlCrops(latents, controls, KEPT, block_frames=SPEC.block_frames, frame_rate_hz=125.0)


def recipe(*, jitter_frames: int = 1) -> ArcForcingRecipe:
    arc = ArcConfig(rollout_blocks=ROLLED_BLOCKS)
    return ArcForcingRecipe("o", "s", "b", LatentData("l"), arc=arc, jitter_frames=jitter_frames)


@pytest.fixture(scope="module")
def live() -> LiveModel:
    return tiny_live()


def test_a_whole_context_comes_before_what_is_rolled(live: LiveModel) -> None:
    for jitter_frames in (0, 1):
        batch = batches(recipe(jitter_frames=jitter_frames), live, crops("a", "b", rows=2))
        given = [batch(index) for index in range(20)]
        assert all(latents.shape[-1] == SPEC.context_frames + sum(lengths) for latents, _, _, lengths, *_ in given)
        seen = {length for _, _, _, lengths, *_ in given for length in lengths}
        assert seen == {SPEC.block_frames + more for more in range(-jitter_frames, jitter_frames + 1)}
        assert all(len(lengths) == ROLLED_BLOCKS for _, _, _, lengths, *_ in given)


def test_a_batch_of_one_row_finds_its_partner_in_batches_before(live: LiveModel) -> None:
    batch = batches(recipe(), live, crops("a", "b", "c", rows=1))
    assert batch(0)[2] == [None], "there is nothing before it"
    found = [batch(index)[1:3] for index in range(EARLIER_BATCHES, 40)]
    assert all(partner is not None and partner != prompt for (prompt,), (partner,) in found)
    assert {partner for _, (partner,) in found} == {"a", "b", "c"}


def test_equal_prompts_have_no_partner_however_far_one_looks(live: LiveModel) -> None:
    assert batches(recipe(), live, crops("a", "a", rows=1))(30)[2] == [None]


def test_controls_of_other_clips_are_those_of_other_rows(live: LiveModel) -> None:
    *_, aligned, misheard = batches(recipe(), live, crops("a", "b", rows=3, controls=LOUDNESS))(5)
    assert torch.equal(misheard, aligned.roll(1, dims=0)) and not torch.equal(misheard, aligned)
    *_, aligned, misheard = batches(recipe(), live, crops("a", "b", rows=3))(5)
    assert aligned is misheard is None


def test_a_batch_of_one_row_mishears_the_batch_before(live: LiveModel) -> None:
    own = crops("a", "b", rows=1, controls=LOUDNESS)
    batch = batches(recipe(), live, own)
    *_, first, misheard = batch(0)
    assert torch.equal(first, misheard), "there is nothing before it, and equal ones teach nothing"
    for index in range(1, 6):
        *_, aligned, misheard = batch(index)
        assert torch.equal(misheard, own.batch(index - 1, aligned.shape[-1]).aligned)
        assert not torch.equal(misheard, aligned)
