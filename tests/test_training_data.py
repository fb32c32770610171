"""What a recipe trains on: every kind of data ends as crops, and its config is read by its kind."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import finetune
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.training.configs import build_config, read_config, write_json
from lmdm_adapter.training.data import Data, HostData, LatentData, RecordingData, SongData, crops_of
from lmdm_adapter.training.draws import numpy_draws
from lmdm_adapter.training.drops import DropConfig, block_lengths, longest_frames
from lmdm_adapter.training.host_dataset import HostDataset, HostFolder
from lmdm_adapter.training.loop import LoopConfig
from tests.cli import save_live
from tests.host_arrays import write_array, write_config
from tests.models import SPEC
from tests.recordings import contents, tiny_codec, write_bad_files, write_library, write_sound

CODEC = tiny_codec()
CROPS: dict[str, Any] = {"batch_size": 3, "seed": 0, "longest_frames": 30}


@dataclass(frozen=True)
class Holder:
    """A recipe that is nothing but its data."""

    data: Data


KINDS: tuple[Data, ...] = (
    SongData("l", None, 3, 2, 5.0), LatentData("l"), RecordingData("m", "l", 0.2), HostData("c.json", "l"),
)  # fmt: skip


@pytest.mark.parametrize("data", KINDS, ids=lambda data: data.kind)
def test_the_kind_says_which_data_and_comes_back_from_json(data: Data, tmp_path: Path) -> None:
    write_json(tmp_path / "recipe.json", Holder(data))
    assert read_config(Holder, tmp_path / "recipe.json") == Holder(data)


def test_a_kind_that_is_none_and_a_key_of_another_kind_are_refused() -> None:
    for kind in ("tape", None, 3):
        with pytest.raises(LmdmError, match=r"one of songs, latents, audio, stable-audio-tools; got"):
            build_config(Holder, {"data": {"kind": kind, "folder": "l"}})
    with pytest.raises(LmdmError, match="'train_songs'"):
        build_config(Holder, {"data": {"kind": "latents", "folder": "l", "train_songs": 3}})
    with pytest.raises(LmdmError, match="LatentData misses 'folder'"):
        build_config(Holder, {"data": {"kind": "latents"}})
    with pytest.raises(LmdmError, match="Holder.data"):
        build_config(Holder, {"data": "music"})


@pytest.mark.parametrize("share", [0.0, -0.1, 0.6, float("nan")])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(LmdmError, match="held_out_share"):
        LatentData("l", share)


def test_sound_files_are_encoded_once_and_split(tmp_path: Path) -> None:
    data = RecordingData(str(write_library(tmp_path / "music")), str(tmp_path / "latents"), 0.2)
    train, held_out = crops_of(data, CODEC, **CROPS)
    assert len(train.clips) + len(held_out.clips) == 5 and held_out.clips
    assert not {clip.name for clip in train.clips} & {clip.name for clip in held_out.clips}
    before = contents(tmp_path / "latents")
    again, _ = crops_of(LatentData(str(tmp_path / "latents"), 0.2), CODEC, **CROPS)
    assert contents(tmp_path / "latents") == before
    assert torch.equal(train.batch(3, 30).latents, again.batch(3, 30).latents)
    assert train.batch(3, 30).latents.shape == (3, 4, 30)


def test_short_sounds_are_left_out_before_the_split(tmp_path: Path) -> None:
    for number, frames in enumerate((50, 60, 10)):
        write_sound(tmp_path / "music" / f"{number}.wav", frames, seed=number)
    data = RecordingData(str(tmp_path / "music"), str(tmp_path / "latents"))
    train, held_out = crops_of(data, CODEC, **CROPS)
    assert {clip.name for clip in (*train.clips, *held_out.clips)} == {"0.wav", "1.wav"}
    with pytest.raises(LmdmError, match="at least 2 clips"):
        crops_of(data, CODEC, **{**CROPS, "longest_frames": 55})


def test_host_configs_of_both_types(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_array(tmp_path / "arrays", name)
    arrays = HostData(str(write_config(tmp_path / "arrays.json", tmp_path / "arrays")))
    train, held_out = crops_of(arrays, CODEC, **CROPS)
    assert len(train.clips) == 2 and len(held_out.clips) == 1
    music = write_config(tmp_path / "music.json", write_library(tmp_path / "music"), "audio_dir")
    train, held_out = crops_of(HostData(str(music), str(tmp_path / "latents")), CODEC, **CROPS)
    assert len(train.clips) + len(held_out.clips) == 5 and (tmp_path / "latents" / "mine" / "index.json").exists()
    with pytest.raises(LmdmError, match='"latents"'):
        crops_of(HostData(str(music)), CODEC, **CROPS)


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reasons = write_bad_files(write_library(tmp_path / "music") / "bad")
    crops_of(RecordingData(str(tmp_path / "music"), str(tmp_path / "latents")), CODEC, **CROPS)
    for name in ("a", "b", "c"):
        write_array(tmp_path / "arrays", name)
    write_array(tmp_path / "arrays", "d", padding_mask=None)
    crops_of(HostData(str(write_config(tmp_path / "arrays.json", tmp_path / "arrays"))), CODEC, **CROPS)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum(line.startswith("Skipped") for line in told) == len(reasons) + 1
    for name, reason in {**reasons, "d.npy": "padding_mask"}.items():
        assert any(line.startswith("Skipped") and name in line and reason in line for line in told), name


def test_a_host_folder_of_nothing_usable_tells_the_first_reason(tmp_path: Path) -> None:
    write_array(tmp_path / "arrays", "a", padding_mask=None)
    config = str(write_config(tmp_path / "c.json", tmp_path / "arrays"))
    with pytest.raises(LmdmError, match="the first: .*padding_mask"):
        crops_of(HostData(config), CODEC, **CROPS)
    with pytest.raises(LmdmError, match="is not there"):
        crops_of(HostData(str(write_config(tmp_path / "d.json", tmp_path / "no"))), CODEC, **CROPS)


def test_no_step_needs_longer_crops_than_are_asked_for() -> None:
    drops = DropConfig(jittered=1.0)
    drawn = [block_lengths(2, block_frames=6, drops=drops, draws=numpy_draws(0, step, "x")) for step in range(60)]
    assert max(map(sum, drawn)) == longest_frames(2, block_frames=6, drops=drops) == 14
    assert longest_frames(2, block_frames=6, drops=DropConfig(jittered=0.0)) == 12
    assert longest_frames(2, block_frames=1, drops=drops) == 2


def test_fine_tuning_runs_on_a_folder_of_music(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loop = LoopConfig(steps=2, warmup_steps=1, validate_every_steps=2, cpu=True)
    music = write_library(tmp_path / "music")
    write_sound(music / "short.wav", 34)
    recipe = finetune.FinetuneRecipe(
        output=str(tmp_path / "run"), base=str(save_live(tmp_path / "base")),
        data=RecordingData(str(music), str(tmp_path / "latents")), spec=BlockSpec(**asdict(SPEC)), blocks=5,
        batch_size=2, example_seconds=0.1, loop=loop,
    )  # fmt: skip
    assert finetune.run(recipe).finished
    assert "1 of 6 clips are shorter than a crop of 35 frames and are left out: short.wav" in caplog.text
    told = json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]
    assert told == {"folder": str(music), "latents": str(tmp_path / "latents"), "held_out_share": 0.05, "kind": "audio"}


def test_the_documents_show_configs_that_are_read_and_name_every_field(root: Path) -> None:
    page = (root / "docs" / "training.md").read_text(encoding="utf-8")
    shown = re.findall(r'^"data": (\{.*\})$', page, flags=re.MULTILINE)
    assert len(shown) == 2 and all(build_config(Holder, {"data": json.loads(text)}) for text in shown)
    for data in KINDS:
        (row,) = re.findall(rf"^\| `{data.kind}` \|.*$", page, flags=re.MULTILINE)
        assert all(f"`{field}`" in row for field in asdict(data) if field != "kind"), row
    for cls in (HostDataset, HostFolder):
        assert all(f"`{field.name}`" in page for field in fields(cls))
