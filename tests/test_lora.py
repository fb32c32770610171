"""Adapters change nothing when fresh, learn alone, and merge into weights under the host's keys."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.training.ema import Average
from lmdm_adapter.training.flow_objectives import BlockObjective, FlowConfig, averaged, rebuilt
from lmdm_adapter.training.lora import LoraConfig, add_adapters, merge_adapters
from tests.models import LATENT_CHANNELS, SPEC, tiny_live
from tests.toy import draw

pytest.importorskip("peft")
LENGTHS, PROMPTS = (6, 5, 6), ["house", "techno"]
CONFIG = LoraConfig(rank=3, alpha=6.0)


def adapted(config: LoraConfig = CONFIG, *, seed: int = 0) -> Network:
    return add_adapters(rebuilt(tiny_live().network), config, seed=seed)


def drawn(network: Network) -> Network:
    """The network with adapters that say something, as after training."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".lora_B" in name:
                parameter.copy_(0.1 * draw(*parameter.shape, seed=len(name)))
    return network


@torch.no_grad()
def velocity(network: Network) -> Tensor:
    clean, noisy = draw(2, LATENT_CHANNELS, sum(LENGTHS), seed=1), draw(2, LATENT_CHANNELS, sum(LENGTHS), seed=2)
    cross, global_cond = draw(2, 3, 16, seed=3), draw(2, 16, seed=4)
    return parallel_velocity(
        network.dit, clean, noisy, torch.full((2, 3), 0.6), lengths_frames=LENGTHS, context_blocks=SPEC.context_blocks,
        prefix_distance=SPEC.prefix_distance, cross=cross, global_cond=global_cond,
    )  # fmt: skip


def test_fresh_adapters_change_no_bit() -> None:
    before = velocity(tiny_live().network)
    assert torch.equal(velocity(adapted()), before)
    assert (velocity(drawn(adapted())) - before).abs().max() > 1e-2


def test_merged_equals_unmerged_under_the_keys_of_the_host() -> None:
    network = drawn(adapted())
    before, host = velocity(network), tiny_live().network
    merged = merge_adapters(network)
    assert (velocity(merged) - before).abs().max() < 1e-5 * before.abs().max()
    assert list(merged.state_dict()) == list(host.state_dict())
    moved = {name for name, value in host.state_dict().items() if not torch.equal(value, merged.state_dict()[name])}
    assert moved and all(".layers." in name and name.endswith(".weight") for name in moved)


def test_what_is_saved_is_merged_and_leaves_training_alone() -> None:
    """The averaged copy of an adapted network plays as the adapted one, which goes on learning."""
    network = drawn(adapted())
    average = {f"network.{name}": value.detach().clone() for name, value in network.named_parameters()
               if value.requires_grad}  # fmt: skip
    saved = averaged(network, average)
    assert (velocity(saved) - velocity(network)).abs().max() < 1e-5
    assert list(saved.state_dict()) == list(tiny_live().network.state_dict())
    assert any(".lora_A" in name for name in network.state_dict())
    louder = averaged(network, {name: 2 * value for name, value in average.items()})
    assert (velocity(louder) - velocity(saved)).abs().max() > 1e-2


def test_only_adapters_and_the_context_projection_learn() -> None:
    network = drawn(adapted())
    objective = BlockObjective(network, FlowConfig(), spec=SPEC, seconds=0.3)
    objective(draw(2, LATENT_CHANNELS, sum(LENGTHS)), PROMPTS, LENGTHS, None, 0)["loss"].backward()
    learning = {name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    expected = {name for name, _ in network.named_parameters() if ".lora_" in name}
    assert learning == expected | {"model.model.to_input_add_embed.weight"}
    assert set(Average(objective, decay=0.9).tensors) == {f"network.{name}" for name in learning}


def test_adapters_begin_the_same_for_the_same_seed() -> None:
    one, same, other = (adapted(seed=seed).state_dict() for seed in (1, 1, 2))
    first = next(name for name in one if ".lora_A" in name)
    assert torch.equal(one[first], same[first]) and not torch.equal(one[first], other[first])


def test_targets_are_parts_of_a_layer() -> None:
    network = adapted(replace(CONFIG, targets=("cross_attn.to_q", "ff")))
    owners = {name.partition(".lora_")[0].partition(".layers.")[2] for name in network.state_dict() if ".lora_" in name}
    assert owners == {f"{layer}.{part}" for layer in (0, 1) for part in ("cross_attn.to_q", "ff.ff.0.proj", "ff.ff.2")}
    with pytest.raises(LmdmError, match="'to_z'.*self_attn.to_qkv"):
        adapted(replace(CONFIG, targets=("self_attn", "to_z")))


@pytest.mark.parametrize("values", [{"rank": -1}, {"alpha": 0.0}, {"alpha": float("nan")}, {"targets": ()}])
def test_bad_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(LmdmError, match="LoRA"):
        replace(CONFIG, **values)


def test_without_peft_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(LmdmError, match="lora"):
        adapted()
