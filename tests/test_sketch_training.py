"""The sketch in training: what is extracted, how it is loosened, and that the model keeps its settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, loosened, sketched
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.training.configs import build_config
from lmdm_adapter.training.control_source import SOURCES, sketch_source, sources_of

RATE, FRAME = 8000, 64
SHAPE = OobleckConfig(audio_channels=1, channels=4, c_mults=(1, 1), strides=(8, 8), latent_channels=4)
CODEC = Codec(AudioAutoencoder(SHAPE), RATE)
CONFIG = SketchConfig.of_frames(FRAME, RATE)


def sound(frames: int = 20) -> Audio:
    return Audio(0.1 * np.random.default_rng(0).standard_normal((1, frames * FRAME)).astype(np.float32), RATE)


def test_the_default_sketch_fits_the_codec() -> None:
    assert SketchConfig.of_frames(2048, 44_100) == SketchConfig()
    assert CONFIG.bins < 88 and CONFIG.bin_hz(CONFIG.bins) < RATE / 2
    with pytest.raises(lmdm.LmdmError, match="widest_frames must be odd, got 4"):
        replace(CONFIG, widest_frames=4)


def test_the_source_is_the_sketch_that_a_player_hears() -> None:
    (source,) = sources_of(["sketch_loudness", "accompaniment_latents"], CODEC, SOURCES)
    assert source.controls == CONFIG.frame_controls and source.sketch == CONFIG
    found, played = source.of(sound(), frames=18), sketched(CONFIG, sound()).controls()
    assert all(torch.equal(found[name], played[name][:, :18]) for name, _ in source.controls)
    with pytest.raises(lmdm.LmdmError, match="frames of 2048 samples at 44100 Hz does not fit a codec of 64"):
        sketch_source(CODEC, SketchConfig())


def test_training_loosens_each_feature_by_a_width_of_its_own() -> None:
    source, exact = sketch_source(CODEC), sketched(CONFIG, sound()).controls()
    loose = [source.loosen(exact, np.random.default_rng(seed)) for seed in range(40)]
    known = [loosened(Sketch.from_controls(exact), width).controls()["sketch_loudness"] for width in (1, 3, 5, 7, 9)]
    seen = [next(i for i, one in enumerate(known) if torch.equal(one, each["sketch_loudness"])) for each in loose]
    assert set(seen) == set(range(5)), "every width comes, from exact to the widest"
    alone = source.loosen({"sketch_loudness": exact["sketch_loudness"]}, np.random.default_rng(3))
    assert torch.equal(alone["sketch_loudness"], loose[3]["sketch_loudness"]), "whatever else is there"
    assert source.loosen({}, np.random.default_rng(0)) == {}


def test_the_section_keeps_the_settings_and_refuses_others() -> None:
    section = LmdmSection(frame_controls=(("sketch_loudness", 2),), sketch=CONFIG)
    written = json.loads(json.dumps(section.to_json()))
    assert LmdmSection.read({"lmdm": written}) == section
    assert "sketch" not in LmdmSection().to_json(), "models without one keep the digest of their states"
    with pytest.raises(lmdm.LmdmError, match="does not know 'colour'"):
        LmdmSection.read({"lmdm": {**written, "sketch": {**written["sketch"], "colour": 1}}})
    with pytest.raises(lmdm.LmdmError, match=r"sketch_loudness has 3 channels; lmdm.sketch makes 2"):
        replace(section, frame_controls=(("sketch_loudness", 3),))


def test_a_recipe_may_set_the_sketch() -> None:
    from lmdm_adapter.recipes.finetune import FinetuneRecipe

    values = {"output": "o", "base": "b", "data": {"kind": "latents", "folder": "f"}, "controls": ["sketch"],
              "sketch": {"top_k": 2}}  # fmt: skip
    assert build_config(FinetuneRecipe, values).sketch == SketchConfig(top_k=2)
    with pytest.raises(lmdm.LmdmError, match="does not know 'colour'"):
        build_config(FinetuneRecipe, {**values, "sketch": {"colour": 2}})


def test_a_model_with_a_sketch_is_saved_and_loaded_with_its_settings(tmp_path: Path) -> None:
    from tests.models import tiny_live

    live = lmdm.with_controls(tiny_live(), CONFIG.frame_controls, sketch=CONFIG)
    live.save(tmp_path / "model")
    assert lmdm.load(tmp_path / "model").section.sketch == CONFIG
    assert read_checkpoint(tmp_path / "model").config["lmdm"]["sketch"]["bins"] == CONFIG.bins
