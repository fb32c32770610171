"""Frozen text features: the same as without memory, worked out once, bounded, and in nobody's company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lmdm_adapter.checkpoint import write_checkpoint
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network import text
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.text import T5Conditioner, TextEncoder, share_text_encoders
from lmdm_adapter.recipes.finetune import FinetuneRecipe, run
from lmdm_adapter.training import prompt_memory
from lmdm_adapter.training.data import RecordingData
from lmdm_adapter.training.flow_objectives import rebuilt
from lmdm_adapter.training.loop import LoopConfig
from lmdm_adapter.training.prompt_memory import RememberingEncoder, remember_prompts
from lmdm_adapter.training.prompts import conditioning_of
from tests.models import SPEC, host_config, tiny_offline
from tests.randomise import randomise
from tests.recordings import write_sound

WIDTH, LENGTH = 512, 6
CPU = torch.device("cpu")


class CountingT5(nn.Module):
    """Hidden states that depend on the whole prompt; remembers the rows of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        self.calls.append(len(input_ids))
        whole = (input_ids * attention_mask).sum(1, keepdim=True).float()
        hidden = torch.sin(input_ids[..., None] * torch.arange(1, WIDTH + 1) * 0.37 + whole[..., None])
        return type("Output", (), {"last_hidden_state": hidden})


def tokenizer(prompts: list[str], *, max_length: int, **_: object) -> dict[str, Tensor]:
    """One token per letter, padded with zeros."""
    rows = [[ord(letter) - 64 for letter in prompt][:max_length] for prompt in prompts]
    ids = torch.tensor([row + [0] * (max_length - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


def t5_config() -> dict[str, Any]:
    """The tiny host config with T5 for the prompt."""
    config = host_config()
    entry = {"id": "prompt", "type": "t5", "config": {"t5_model_name": "t5-small", "max_length": LENGTH}}
    config["model"]["conditioning"]["configs"].append(entry)
    return config


def t5_network() -> Network:
    """A tiny network whose prompt goes through T5 and a projection that learns."""
    network = Network(network_config(t5_config()))
    randomise(network, 0)
    return network


def conditioner_of(network: Network) -> T5Conditioner:
    return network.conditioners.conditioners["prompt"]  # type: ignore[return-value]


def features(network: Network, prompts: list[str]) -> Tensor:
    told = conditioning_of(network, prompts, seconds=1.0, device=CPU).cross
    assert told is not None
    return told


def test_memory_changes_no_feature_and_encodes_each_prompt_once() -> None:
    plain, remembering = t5_network(), t5_network()
    model = CountingT5()
    conditioner_of(plain).encoder = TextEncoder(tokenizer, CountingT5())
    conditioner_of(remembering).encoder = TextEncoder(tokenizer, model)
    remember_prompts(remembering)
    for prompts in (["AB", "C"], ["C", "AB", "AB"], ["ABCDEFGH", ""]):
        assert torch.equal(features(plain, prompts), features(remembering, prompts))
    assert model.calls == [1, 1, 1, 1]
    assert not torch.equal(features(plain, ["AB"]), features(plain, ["C"]))


def test_what_learns_on_top_learns() -> None:
    network = t5_network()
    conditioner_of(network).encoder = TextEncoder(tokenizer, CountingT5())
    remember_prompts(network)
    weight = conditioner_of(network).proj_out.weight
    for _ in range(2):
        weight.grad = None
        before = features(network, ["AB"])
        before.square().sum().backward()
        assert weight.grad is not None and weight.grad.abs().sum() > 0.0
    with torch.no_grad():
        weight.add_(1.0)
    assert not torch.equal(features(network, ["AB"]), before)


def test_a_prompts_features_do_not_depend_on_its_company() -> None:
    """A resumed run meets its prompts in other batches."""
    model = CountingT5()
    alone, together = (RememberingEncoder(tokenizer, model) for _ in range(2))
    first, _ = alone.encode(["AB"], max_length=LENGTH, device=CPU)
    second, _ = together.encode(["C", "AB"], max_length=LENGTH, device=CPU)
    assert torch.equal(first[0], second[1]) and set(model.calls) == {1}


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    model = CountingT5()
    encoder = RememberingEncoder(tokenizer, model, limit=2)
    for prompt in ("A", "B", "A", "C", "A", "B"):
        encoder.encode([prompt], max_length=LENGTH, device=CPU)
    assert len(encoder.kept) == 2 and len(model.calls) == 4
    assert max(states.shape[0] for states in encoder.kept.values()) == 1, "padding is not kept"


def test_a_batch_larger_than_the_memory_is_whole() -> None:
    encoder = RememberingEncoder(tokenizer, CountingT5(), limit=1)
    hidden, mask = encoder.encode(["A", "BC", "D"], max_length=LENGTH, device=CPU)
    plain, expected = TextEncoder(tokenizer, CountingT5()).encode(["A", "BC", "D"], max_length=LENGTH, device=CPU)
    assert torch.equal(mask, expected) and torch.equal(hidden, plain * mask[..., None])


def test_an_encoder_is_loaded_once_and_lent_to_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    def load(name: str, **_: object) -> TextEncoder:
        loads.append(name)
        return TextEncoder(tokenizer, CountingT5())

    for module in (text, prompt_memory):
        monkeypatch.setattr(module, "load_text_encoder", load)
    network = t5_network()
    remember_prompts(network)
    copied = rebuilt(network)
    assert torch.equal(features(network, ["AB"]), features(copied, ["AB"])) and loads == ["t5-small"]
    assert conditioner_of(copied).encoder is conditioner_of(network).encoder
    stranger = t5_network()
    features(stranger, ["AB"])
    assert loads == ["t5-small"] * 2, "a network that is lent none loads its own"
    student, judge = t5_network(), t5_network()
    remember_prompts(student, judge)
    assert loads == ["t5-small"] * 3 and conditioner_of(student).encoder is conditioner_of(judge).encoder


def test_networks_without_t5_are_left_alone() -> None:
    network, _ = tiny_offline()
    before = dict(network.named_modules())
    remember_prompts(network)
    share_text_encoders(network, network)
    assert dict(network.named_modules()) == before


def test_fine_tuning_encodes_each_prompt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, measures and the example share one encoder, loaded before anything else is done."""
    model, loads = CountingT5(), []
    monkeypatch.setattr(
        prompt_memory, "load_text_encoder", lambda name, dtype: loads.append(name) or TextEncoder(tokenizer, model)
    )
    write_checkpoint(tmp_path / "base", t5_network(), t5_config())
    prompts = {f"{number}.wav": "ABCDE"[number] for number in range(5)}
    for number, (name, prompt) in enumerate(prompts.items()):
        write_sound(tmp_path / "music" / name, 50, seed=number).with_suffix(".txt").write_text(prompt)
    loop = LoopConfig(steps=3, warmup_steps=1, validate_every_steps=3, cpu=True)
    data = RecordingData(str(tmp_path / "music"), str(tmp_path / "latents"))
    recipe = FinetuneRecipe(
        str(tmp_path / "run"), str(tmp_path / "base"), data,
        spec=SPEC, blocks=5, batch_size=4, example_prompt="Z", example_seconds=0.1, loop=loop,
    )  # fmt: skip
    assert run(recipe).finished
    assert loads == ["t5-small"] and set(model.calls) == {1} and 3 <= len(model.calls) <= len(prompts) + 1
