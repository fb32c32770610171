"""Frame controls through the recipes in miniature: an offline base learns them, and post-training keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lmdm_adapter as lmdm
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.controls.sketch import SketchConfig
from lmdm_adapter.recipes import arc_forcing, base, codec, finetune
from lmdm_adapter.training.arc_objective import ArcConfig
from lmdm_adapter.training.control_source import ControlSource
from lmdm_adapter.training.data import SongData
from tests.miniature import RATE, arc_recipe, base_recipe, codec_recipe, finetune_recipe, loop


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an offline base that has hardly learned anything, and its codec."""
    folder = tmp_path_factory.mktemp("start")
    short = replace(loop(1), validate_every_steps=0, sample_every_steps=0)
    assert codec.run(replace(codec_recipe(folder), loop=short)).finished
    assert base.run(replace(base_recipe(folder), loop=short)).finished
    return folder


def test_fine_tuning_adds_frame_controls_and_trains_them(start: Path, tmp_path: Path) -> None:
    """A base gets an accompaniment and a feature of its own; both learn, and the saved model has them."""
    data = SongData(str(tmp_path / "latents"), None, 3, 2, 2.0, stems=("bass", "drums"))
    size = (("sketch_loudness", 1),)

    def maker(codec_: Codec, sketch: object) -> ControlSource:
        frame = codec_.frame_samples
        return ControlSource(size, lambda audio: {"sketch_loudness": np.abs(audio.samples[:, ::frame])})

    recipe = replace(
        finetune_recipe(start), output=str(tmp_path / "run"), data=data, controls=("accompaniment", "sketch")
    )
    assert finetune.run(recipe, sources={"sketch": maker}).finished
    live = lmdm.load(tmp_path / "run" / "model")
    assert live.section.frame_controls[2:] == (*accompaniment_controls(4), *size)
    columns = live.network.dit.to_input_add_embed.weight[:, 5:]
    assert (columns.abs().amax(dim=0) > 0).all(), "every new column learned"
    again = replace(recipe, output=str(tmp_path / "again"), base=str(tmp_path / "run" / "model"))
    assert finetune.run(again, sources={"sketch": maker}, stop_after=1).step == 1
    post = replace(
        arc_recipe(start), output=str(tmp_path / "post"), student=again.base, data=data, loop=loop(3),
        arc=ArcConfig(sampling=lmdm.Sampling(steps=2), rollout_blocks=3, contrastive_controls=1.0, reconstruction=0.1),
    )  # fmt: skip
    assert arc_forcing.run(post, sources={"sketch": maker}).finished
    trained = lmdm.load(tmp_path / "post" / "model")
    moved = trained.network.dit.to_input_add_embed.weight[:, 5:] - columns
    assert trained.section.frame_controls == live.section.frame_controls and (moved.abs().amax(dim=0) > 0).all()
    with pytest.raises(lmdm.LmdmError, match="None of .* has the frame control 'accompaniment_mask'"):
        finetune.run(replace(recipe, data=base_recipe(start).data, controls=("accompaniment",)))
    with pytest.raises(lmdm.LmdmError, match="no frame control 'sketch'"):
        finetune.run(recipe, sources={})
    silent = replace(data, folder=str(tmp_path / "silent"), held_out_songs=1)  # the first begins without either
    with pytest.raises(lmdm.LmdmError, match="bass, drums sound in none"):
        finetune.run(replace(recipe, data=silent, controls=("accompaniment",)))


def test_fine_tuning_on_sketches_and_accompaniment_keeps_the_settings_that_play_needs(
    start: Path, tmp_path: Path
) -> None:
    data = SongData(str(tmp_path / "latents"), None, 3, 2, 2.0, stems=("bass", "drums"))
    sketch = replace(SketchConfig.of_frames(64, RATE), top_k=2)
    recipe = replace(
        finetune_recipe(start), output=str(tmp_path / "run"), data=data, controls=("sketch", "accompaniment"),
        sketch=sketch, loop=loop(2),
    )  # fmt: skip
    assert finetune.run(recipe).finished
    live = lmdm.load(tmp_path / "run" / "model")
    assert live.section.sketch == sketch and "sketch_melody" in dict(live.section.frame_controls)
    columns = live.network.dit.to_input_add_embed.weight[:, 5:]
    learned = columns.abs().amax(dim=0) > 0
    assert learned[:11].all() and learned[-2:].all(), "all but the notes that are never played"
    again = replace(recipe, output=str(tmp_path / "again"), base=str(tmp_path / "run" / "model"), sketch=None)
    assert finetune.run(again, stop_after=1).step == 1, "its own settings come first, so the features fit"
    with pytest.raises(lmdm.LmdmError, match="other stems or features"):
        finetune.run(replace(recipe, output=str(tmp_path / "other"), sketch=replace(sketch, top_k=3)))
