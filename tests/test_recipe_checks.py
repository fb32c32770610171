"""What a recipe cannot do it says at once, before the first song is rendered."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import base, codec, decoder, finetune
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.training.configs import build_config
from lmdm_adapter.training.data import SongData
from tests.models import SPEC, tiny_live

NEEDED: dict[type, dict[str, Any]] = {
    codec.CodecRecipe: {"output": "o", "songs": "s"},
    decoder.DecoderRecipe: {"output": "o", "codec": "c", "songs": "s"},
    base.BaseRecipe: {"output": "o", "codec": "c", "data": {"kind": "songs", "folder": "l"}},
    finetune.FinetuneRecipe: {"output": "o", "base": "b", "data": {"kind": "songs", "folder": "l"}},
}
COUNTS = ("sample_rate", "train_songs", "held_out_songs", "batch_size", "crop_frames", "window_frames", "blocks")
LENGTHS = ("song_seconds", "measured_seconds", "example_seconds")
BAD = {**dict.fromkeys(COUNTS, (0, -1)), **dict.fromkeys(LENGTHS, (0.0, -1.0, float("nan"), float("inf")))}


def fields_of(cls: type) -> list[str]:
    """The counts and lengths of a recipe and of its data."""
    known = {*cls.__dataclass_fields__, *(SongData.__dataclass_fields__ if "data" in NEEDED[cls] else ())}
    return [name for name in BAD if name in known]


def with_value(cls: type, name: str, value: float) -> object:
    """The recipe with one field set, in its data where the field is theirs."""
    values = NEEDED[cls]
    if name in cls.__dataclass_fields__:
        return build_config(cls, {**values, name: value})
    return build_config(cls, {**values, "data": {**values["data"], name: value}})


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls in NEEDED for name in fields_of(cls)])
def test_impossible_numbers_are_refused_when_the_config_is_read(cls: type, name: str) -> None:
    build_config(cls, NEEDED[cls])
    for value in BAD[name]:
        with pytest.raises(LmdmError, match=f"{name}|at least 2 blocks"):
            with_value(cls, name, value)


def test_every_recipe_checks_something() -> None:
    assert all(len(fields_of(cls)) >= 4 for cls in NEEDED)


@pytest.mark.parametrize("run", [codec.run, decoder.run, base.run, finetune.run])
def test_without_accelerate_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[object], object]
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.chdir(tmp_path)
    cls = next(cls for cls in NEEDED if cls.__module__ == run.__module__)
    with pytest.raises(LmdmError, match="accelerate"):
        run(build_config(cls, NEEDED[cls]))
    assert not list(tmp_path.iterdir())


def test_fine_tuning_is_for_regimes_that_hear_clean_context() -> None:
    data = SongData("latents")
    for regime, blocks in (("block-causal", 24), ("encoder-decoder", 17)):
        recipe = finetune.FinetuneRecipe(output="o", base="b", data=data, spec=BlockSpec(12, 16, regime))
        assert recipe.sequence_blocks == blocks
    with pytest.raises(LmdmError, match="outpaint"):
        finetune.FinetuneRecipe(output="o", base="b", data=data, spec=BlockSpec(12, 16, "outpaint"))


def test_guidance_is_learned_from_a_model_that_has_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 1 there is none, a model that learned it needs no more of it, and an untrained one has nothing to give."""
    needed = NEEDED[finetune.FinetuneRecipe]
    for values in ({"learn_guidance": 0.5}, {"learn_guidance": 2.0, "sampling": {"guidance": 2.0}}):
        with pytest.raises(LmdmError, match="learn_guidance"):
            build_config(finetune.FinetuneRecipe, {**needed, **values})
    monkeypatch.chdir(tmp_path)
    tiny_live().save("b")
    with pytest.raises(LmdmError, match="fine-tune it first"):
        finetune.run(build_config(finetune.FinetuneRecipe, {
            **needed, "learn_guidance": 2.0, "spec": {"block_frames": SPEC.block_frames, "context_blocks": 3},
        }))  # fmt: skip
    live = tiny_live()
    led = replace(live, section=replace(live.section, sampling=Sampling(guidance=2.0, guided_controls=True)))
    trained = replace(led, section=led.section.fine_tuned(3))
    guide = finetune.guide_of(trained, build_config(finetune.FinetuneRecipe, {**needed, "learn_guidance": 2.0}))
    assert guide.guided_controls and guide.guidance == 2.0
    assert not Path("o").exists()


def test_a_context_projection_can_be_drawn_anew_before_training_only() -> None:
    live = tiny_live()
    fresh = replace(live, section=replace(live.section, trained_steps=0))
    before = {name: value.clone() for name, value in fresh.network.state_dict().items()}
    finetune.redraw_projection(fresh, seed=1)
    weight = before["model.model.to_input_add_embed.weight"]
    changed = [name for name, value in fresh.network.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["model.model.to_input_add_embed.weight"]
    drawn = fresh.network.dit.to_input_add_embed.weight
    assert drawn.abs().max() <= weight.shape[1] ** -0.5 and drawn.std() > 0
    trained = replace(live, section=replace(live.section, trained_steps=5))
    with pytest.raises(LmdmError, match="keeps its context projection"):
        finetune.redraw_projection(trained, seed=1)


def test_without_peft_no_adapters_are_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.chdir(tmp_path)
    recipe = build_config(finetune.FinetuneRecipe, {**NEEDED[finetune.FinetuneRecipe], "lora": {"rank": 4}})
    with pytest.raises(LmdmError, match=r"lmdm-adapter\[lora\]"):
        finetune.run(recipe)
    assert not list(tmp_path.iterdir())
