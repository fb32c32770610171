"""The discriminator of ARC-Forcing: its trunk, its head, what learns in it and which frames it hears."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import Network, NetworkConfig
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training.latent_judge import Head, LatentJudge, LatentJudgeConfig
from lmdm_adapter.training.lora import LoraConfig
from tests.models import SPEC, tiny_offline
from tests.randomise import randomise
from tests.test_arc_forcing import BLOCKS, CLIP
from tests.toy import draw, toy_dit


def test_only_frames_after_the_context_are_judged() -> None:
    base, _ = tiny_offline()
    judge = LatentJudge(base, LatentJudgeConfig(channels=(8,), strides=(1,)))
    told = Conditioning(draw(2, 7, 16), global_cond=draw(2, 16))
    scores = judge(CLIP, torch.full((2,), 0.3), told, first_frame=SPEC.context_frames)
    assert scores.shape == (2, sum(BLOCKS))
    with torch.no_grad():
        hidden = []
        judge.head.register_forward_pre_hook(lambda _module, given: hidden.append(given[0]))
        judge(CLIP, torch.full((2,), 0.3), told, first_frame=SPEC.context_frames)
        judge(CLIP, torch.full((2,), 0.3), told, first_frame=0)
    assert torch.equal(hidden[0], hidden[1][:, SPEC.context_frames :]), "frames keep their places"


@pytest.mark.parametrize("trained", ["full", "lora", "head"])
def test_what_learns_in_the_judge(trained: str) -> None:
    lora = LoraConfig(rank=2 if trained == "lora" else 0)
    config = LatentJudgeConfig(trunk_share=0.5, channels=(8,), strides=(1,), trained=trained, lora=lora)
    judge = LatentJudge(tiny_offline()[0], config)
    learning = [name for name, parameter in judge.named_parameters() if parameter.requires_grad]
    assert {name.split(".")[0] for name in learning} == ({"head"} if trained == "head" else {"network", "head"})
    assert not any("layers.1." in name or "postprocess" in name or "pretransform" in name for name in learning)
    if trained == "lora":
        assert all(".lora_" in name for name in learning if name.startswith("network"))


def test_the_rank_of_adapters_goes_with_what_is_trained() -> None:
    with pytest.raises(LmdmError, match="rank 4 while 'full'"):
        LatentJudgeConfig(lora=LoraConfig(rank=4))
    with pytest.raises(LmdmError, match="rank 0 while 'lora'"):
        LatentJudgeConfig(trained="lora")


def test_the_trunk_takes_the_nearest_number_of_layers() -> None:
    shares = {(0.75, 16): 12, (0.75, 6): 5, (0.8, 24): 19, (0.1, 2): 1}
    for (share, depth), layers in shares.items():
        network = Network(NetworkConfig(replace(toy_dit().config, depth=depth), sample_rate=1000))
        assert LatentJudge(network, LatentJudgeConfig(trunk_share=share, channels=(8,), strides=(1,))).layers == layers


def test_the_last_frames_are_judged_whatever_the_strides() -> None:
    head = randomise(Head(16, (8, 8), (1, 2)), 0)
    hidden = draw(1, 7, 16)
    changed = hidden.clone()
    changed[:, -1] = draw(16, seed=1)
    assert head(hidden).shape == (1, 4)
    assert (head(hidden) - head(changed)).abs()[0, -1] > 1e-4


def test_the_trunk_is_the_base_model() -> None:
    base, config = tiny_offline()
    other: Network = tiny_offline(1)[0]
    told = Conditioning(draw(2, 7, 16), global_cond=draw(2, 16))
    head = LatentJudgeConfig(channels=(8,), strides=(1,))
    judges = [LatentJudge(network, head) for network in (base, other)]
    judges[1].head.load_state_dict(judges[0].head.state_dict())
    scores = [judge(CLIP, torch.full((2,), 0.3), told, first_frame=0) for judge in judges]
    assert (scores[0] - scores[1]).abs().max() > 1e-3
