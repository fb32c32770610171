"""The whole chain in miniature: songs, codec, latents, base, conversion, fine-tuning, stream."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import MODEL_NAME, read_tensors
from lmdm_adapter.network import transformer
from lmdm_adapter.recipes import arc_forcing, base, codec, finetune
from lmdm_adapter.training import song_clips
from lmdm_adapter.training.clips import LatentCrops
from lmdm_adapter.training.codec_files import load_codec
from lmdm_adapter.training.journal import read_log
from lmdm_adapter.training.lora import LoraConfig
from lmdm_adapter.training.song_clips import encode_songs
from tests.miniature import RATE, SPEC, arc_recipe, base_recipe, codec_recipe, finetune_recipe, loop, played


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one whole miniature training."""
    folder = tmp_path_factory.mktemp("chain")
    assert codec.run(codec_recipe(folder)).finished
    assert base.run(base_recipe(folder)).finished
    assert finetune.run(finetune_recipe(folder)).finished
    assert arc_forcing.run(arc_recipe(folder)).finished
    return folder


def test_the_trained_model_streams(chain: Path) -> None:
    live = lmdm.load(chain / "live" / "model")
    assert live.section.trained_steps == 4 and live.spec == SPEC
    sound = played(live, 1.0)
    assert sound.shape == (1, RATE) and np.isfinite(sound).all() and sound.std() > 0.0


def test_the_stream_follows_the_trained_weights(chain: Path) -> None:
    untrained = lmdm.convert(chain / "base" / "model", SPEC)
    trained = lmdm.load(chain / "live" / "model")
    first, second = (played(live, 0.2) for live in (untrained, trained))
    assert first.shape == second.shape and not np.allclose(first, second, atol=1e-4)


def test_training_leaves_constants_alone(chain: Path) -> None:
    before, after = (read_tensors(chain / stage / "model" / MODEL_NAME) for stage in ("base", "live"))
    constant = [name for name in before if name.endswith(("inv_freq", "beta")) and name.startswith("model.")]
    assert constant and all(torch.equal(before[name], after[name]) for name in constant)
    moved = [name for name in before if name.startswith("model.") and name not in constant]
    assert all(not torch.equal(before[name], after[name]) for name in moved)


def test_each_stage_leaves_what_the_next_needs(chain: Path) -> None:
    for name in ("codec/codec.safetensors", "codec/loss.png", "codec/reconstructions/reconstruction-0.wav",
                 "base/model/model.safetensors", "base/model/adapter.safetensors", "base/example.wav",
                 "live/model/model.safetensors", "live/example.wav", "live/log.jsonl", "live/samples/step-000004.wav",
                 "base/samples/step-000016.wav", "codec/samples/step-000004.wav"):  # fmt: skip
        assert (chain / name).stat().st_size > 0, name
    assert not [path for path in chain.rglob(".*") if path.is_file()]


def test_base_loss_falls(chain: Path) -> None:
    losses = [record["loss"] for record in read_log(chain / "base")]
    assert sum(losses[-4:]) < sum(losses[:4])


def test_codec_is_the_same_in_all_stages(chain: Path) -> None:
    alone = load_codec(chain / "codec")
    tensors = read_tensors(chain / "live" / "model" / MODEL_NAME)
    for name, value in alone.autoencoder.state_dict().items():
        assert torch.equal(tensors[f"pretransform.model.{name}"], value)
    assert lmdm.load(chain / "live" / "model").codec.scale == alone.scale


def test_latents_have_unit_deviation_and_batches_repeat(chain: Path) -> None:
    codec_, recipe = load_codec(chain / "codec"), base_recipe(chain)
    songs = encode_songs(codec_, Path(recipe.data.folder), range(3), seconds=2.0)
    crops = LatentCrops(songs, batch_size=8, seed=0)
    batch = crops.batch(5, 16)
    assert batch.latents.shape == (8, 4, 16) and 0.3 < batch.latents.std() < 3.0
    again = LatentCrops(songs, batch_size=8, seed=0).batch(5, 16)
    assert torch.equal(batch.latents, again.latents) and batch.prompts == again.prompts
    assert crops.batch(6, 16).prompts != batch.prompts


def test_prompts_of_crops_say_what_sounds_in_the_crop(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part of the song that is described is the part whose latents are taken."""
    asked, rate = [], load_codec(chain / "codec").frame_rate_hz

    def spy(song: object, draws: object, *, start_seconds: float, seconds: float) -> str:
        asked.append((start_seconds, seconds))
        return ""

    songs = encode_songs(load_codec(chain / "codec"), Path(base_recipe(chain).data.folder), range(1), seconds=2.0)
    monkeypatch.setattr(song_clips, "describe", spy)
    crops = LatentCrops(songs, batch_size=8, seed=0)
    whole = crops.clips[0].latents.float()
    for row, (start, seconds) in zip(crops.batch(5, 16).latents, asked, strict=True):
        first = round(start * rate)
        assert seconds == pytest.approx(16 / rate) and torch.equal(row, whole[:, first : first + 16])
    assert len({start for start, _ in asked}) > 1


def test_latents_of_another_codec_are_refused(chain: Path) -> None:
    codec_, recipe = load_codec(chain / "codec"), base_recipe(chain)
    with pytest.raises(lmdm.LmdmError, match="another codec"):
        encode_songs(replace(codec_, scale=codec_.scale * 2), Path(recipe.data.folder), range(1), seconds=2.0)


def test_another_encoder_makes_other_latents_and_another_decoder_does_not(chain: Path) -> None:
    codec_, folder = load_codec(chain / "codec"), Path(base_recipe(chain).data.folder)
    with torch.no_grad():
        next(codec_.autoencoder.decoder.parameters()).add_(0.1)
    assert encode_songs(codec_, folder, range(1), seconds=2.0)
    with torch.no_grad():
        next(codec_.autoencoder.encoder.parameters()).add_(0.1)
    with pytest.raises(lmdm.LmdmError, match="another codec"):
        encode_songs(codec_, folder, range(1), seconds=2.0)


def test_training_goes_on_from_a_live_model(chain: Path, tmp_path: Path) -> None:
    """With next to no learning rate the weights stay; the steps of both trainings count."""
    trained = chain / "live" / "model"
    more = replace(finetune_recipe(chain), output=str(tmp_path), base=str(trained), loop=loop(2, rate=1e-12))
    assert finetune.run(more).finished
    before, after = (read_tensors(path / MODEL_NAME) for path in (trained, tmp_path / "model"))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert lmdm.load(tmp_path / "model").section.trained_steps == 6
    from_base, from_live = (read_log(path)[0]["loss"] for path in (chain / "live", tmp_path))
    assert from_base != from_live


def test_an_encoder_decoder_is_trained_and_plays_as_one(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights follow the loss on windows, with checkpoints; what is saved plays in the regime that was trained."""
    kept = []
    whole = transformer.checkpoint
    monkeypatch.setattr(transformer, "checkpoint", lambda *given, **named: kept.append(1) or whole(*given, **named))
    spec = replace(SPEC, regime="encoder-decoder")
    recipe = replace(finetune_recipe(chain), output=str(tmp_path), spec=spec, checkpointed=True)
    assert finetune.run(recipe).finished
    assert len(kept) == 2 * (4 + 4), "two layers, in four steps and four held-out batches"
    live = lmdm.load(tmp_path / "model")
    assert live.spec == spec and live.trained and not live.with_regime("block-causal").trained
    untrained = lmdm.convert(chain / "base" / "model", spec)
    assert not np.allclose(played(live, 0.2), played(untrained, 0.2), atol=1e-4)


def test_adapters_are_trained_and_merged(chain: Path, tmp_path: Path) -> None:
    """A stopped run goes on bit for bit; the model that is saved has the host's keys, and all but adapters stayed."""
    pytest.importorskip("peft")
    recipe = finetune_recipe(chain)
    quiet = replace(recipe.loop, validate_every_steps=0)
    whole = replace(recipe, output=str(tmp_path / "whole"), lora=LoraConfig(rank=2), loop=quiet)
    parts = replace(whole, output=str(tmp_path / "parts"))
    assert finetune.run(whole).finished
    assert not finetune.run(parts, stop_after=2).finished
    assert finetune.run(parts).finished
    base, first, second = (read_tensors(path / "model" / MODEL_NAME)
                           for path in (chain / "base", tmp_path / "whole", tmp_path / "parts"))  # fmt: skip
    assert first.keys() == base.keys() and all(torch.equal(first[name], second[name]) for name in first)
    moved = {name for name in base if not torch.equal(base[name], first[name])}
    assert len(moved) == 2 * 7 and all(".layers." in name for name in moved)
    assert np.isfinite(played(lmdm.load(tmp_path / "whole" / "model"), 0.2)).all()


def test_a_live_model_of_other_blocks_is_no_start(chain: Path, tmp_path: Path) -> None:
    longer = replace(SPEC, block_frames=5)
    with pytest.raises(lmdm.LmdmError, match="the run asks for"):
        finetune.starting_point(str(chain / "live" / "model"), longer)
    own = replace(finetune_recipe(chain), base=str(chain / "live" / "model"))
    with pytest.raises(lmdm.LmdmError, match="its own base"):
        finetune.run(own)


def test_the_post_trained_model_plays_as_it_was_trained(chain: Path) -> None:
    live = lmdm.load(chain / "post" / "model")
    assert live.sampling == lmdm.Sampling(steps=2) and live.section.trained_steps == 8 and live.spec == SPEC
    before, after = (read_tensors(chain / stage / "model" / MODEL_NAME) for stage in ("live", "post"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not any(name.startswith("pretransform.") for name in moved)
    held_out = [one["held_out"] for one in map(json.loads, (chain / "post" / "log.jsonl").read_text().splitlines())
                if "held_out" in one]  # fmt: skip
    assert set(held_out[0]) == {"mean", "spread", "motion"}


def test_a_base_goes_on_from_a_checkpoint_on_longer_windows(chain: Path, tmp_path: Path) -> None:
    longer = replace(
        base_recipe(chain), output=str(tmp_path), codec=None, start=str(chain / "base" / "model"), window_frames=24,
        loop=loop(2, rate=1e-12),
    )  # fmt: skip
    assert base.run(longer).finished
    before, after = (read_tensors(path / "model" / MODEL_NAME) for path in (chain / "base", tmp_path))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert json.loads((tmp_path / "model" / "model_config.json").read_text())["sample_size"] == 24 * 64
    with pytest.raises(lmdm.LmdmError, match="is a live model"):
        base.run(replace(longer, start=str(chain / "live" / "model")))
    with pytest.raises(lmdm.LmdmError, match="either codec"):
        replace(longer, start=None)


@pytest.mark.parametrize(
    ("run", "recipe"),
    [(base.run, base_recipe), (finetune.run, finetune_recipe), (arc_forcing.run, arc_recipe)],
    ids=["base", "finetune", "arc-forcing"],
)
def test_resumed_equals_uninterrupted(chain: Path, tmp_path: Path, run: object, recipe: object) -> None:
    whole = recipe(chain)  # type: ignore[operator]
    parts = replace(whole, output=str(tmp_path / "parts"))
    assert not run(parts, stop_after=2).finished  # type: ignore[operator]
    assert run(parts).finished  # type: ignore[operator]
    first, second = (read_tensors(Path(c.output) / "model" / MODEL_NAME) for c in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
