"""What the fine-tuning recipe hands to the loop: training clips to learn from, held-out ones to measure with, seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lmdm_adapter.recipes import finetune
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.training.data import RecordingData
from lmdm_adapter.training.loop import LoopConfig, Trained
from lmdm_adapter.training.lora import LoraConfig
from tests.cli import save_live, save_offline
from tests.models import SPEC, tiny_live
from tests.recordings import write_library


def recipe_in(folder: Path, *, seed: int = 0) -> FinetuneRecipe:
    """One step on noise, from an untrained model."""
    return FinetuneRecipe(
        output=str(folder / "run"), base=str(save_offline(folder / "base")),
        data=RecordingData(str(write_library(folder / "music")), str(folder / "latents"), 0.4),
        spec=BlockSpec(**asdict(SPEC)), blocks=5, batch_size=2, example_seconds=0.1, seed=seed,
        loop=LoopConfig(steps=1, validate_every_steps=1, cpu=True),
    )  # fmt: skip


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the recipe makes of its data, and what the loop and the measurement get."""
    seen, crops_of, train, loss = (
        SimpleNamespace(), finetune.controlled_crops_of, finetune.train, finetune.held_out_loss,
    )  # fmt: skip

    def crops(*given: Any, **named: Any) -> Any:
        seen.sides = crops_of(*given, **named)
        return seen.sides

    def trained(objective: Any, batch: Callable[[int], Any], **named: Any) -> Trained:
        seen.objective, seen.learned = objective, batch
        return train(objective, batch, **named)

    def measured(objective: Any, average: Any, batch: Callable[[int], Any]) -> dict[str, float]:
        seen.measured = batch
        return loss(objective, average, batch)

    monkeypatch.setattr(finetune, "controlled_crops_of", crops)
    monkeypatch.setattr(finetune, "train", trained)
    monkeypatch.setattr(finetune, "held_out_loss", measured)
    return seen


def test_it_learns_from_training_clips_and_is_measured_on_held_out_ones(tmp_path: Path, seen: SimpleNamespace) -> None:
    recipe = recipe_in(tmp_path)
    assert finetune.run(recipe).finished
    train, held_out = (finetune.batches(recipe, side)(0)[0] for side in seen.sides)
    assert train.shape == held_out.shape and not torch.equal(train, held_out)
    assert torch.equal(seen.learned(0)[0], train) and torch.equal(seen.measured(0)[0], held_out)


def test_the_seed_decides_crops_lengths_and_fresh_weights(tmp_path: Path, seen: SimpleNamespace) -> None:
    """All that one seed draws comes again under it, and is another under another."""
    first = replace(recipe_in(tmp_path, seed=1), context_projection="random")
    drawn = []
    for number, recipe in enumerate((first, first, replace(first, seed=2))):
        finetune.run(replace(recipe, output=str(tmp_path / f"run-{number}")), stop_after=0)
        batches = [seen.learned(index) for index in range(12)]
        projection = seen.objective.network.dit.to_input_add_embed.weight.detach().clone()
        drawn.append(([batch[0] for batch in batches], [batch[2] for batch in batches], projection))
    (latents, lengths, fresh), again, other = drawn
    assert all(map(torch.equal, latents, again[0])) and lengths == again[1] and torch.equal(fresh, again[2])
    changed = [one.shape != two.shape or not torch.equal(one, two) for one, two in zip(latents, other[0], strict=True)]
    assert all(changed) and lengths != other[1] and not torch.equal(fresh, other[2])


def test_the_seed_decides_how_adapters_begin(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    recipe = replace(recipe_in(tmp_path, seed=1), base=str(save_live(tmp_path / "live")), lora=LoraConfig(rank=2))
    one, again, other = (
        dict(finetune.learning(tiny_live().network, given).named_parameters())
        for given in (recipe, recipe, replace(recipe, seed=2))
    )
    learning = [name for name, value in one.items() if value.requires_grad and "lora_A" in name]
    assert learning and all(torch.equal(one[name], again[name]) for name in learning)
    assert not any(torch.equal(one[name], other[name]) for name in learning)
