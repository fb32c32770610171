"""Dataset configs of stable-audio-tools, and its pre-encoded layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.clips import LatentCrops
from lmdm_adapter.training.host_dataset import HostDataset, HostFolder, read_arrays, read_host_dataset
from tests.host_arrays import FRAMES, SOUNDING, write_array, write_config
from tests.recordings import tiny_codec

CODEC = tiny_codec()


def dataset(folder: Path, **more: Any) -> HostDataset:
    """A pre-encoded dataset with one folder."""
    return HostDataset("pre_encoded", (HostFolder("mine", str(folder)),), **more)


def test_latents_are_scaled_and_padding_is_left_out(tmp_path: Path) -> None:
    saved = write_array(tmp_path / "0", "00", prompt=" dusty  beat ")
    (clip,), skipped = read_arrays(dataset(tmp_path), CODEC)
    assert not skipped and (clip.name, clip.frames, clip.prompt) == ("mine/0/00.npy", SOUNDING, "dusty beat")
    crop = clip.crop(2, 20, draws=np.random.default_rng(0))
    expected = torch.from_numpy(saved[:, 2:22].astype(np.float32)) / CODEC.scale
    assert CODEC.scale != 1.0 and torch.allclose(crop.latents, expected) and crop.latents.dtype == torch.float32
    assert LatentCrops([clip], batch_size=3, seed=0).batch(4, 8).prompts == ["dusty beat"] * 3


def test_the_host_itself_would_decode_what_we_train_on(tmp_path: Path) -> None:
    """Encoded without the scale, as the host's script does, a sound is what our codec makes of it."""
    audio = torch.rand(1, 1, FRAMES * CODEC.frame_samples) - 0.5
    with torch.no_grad():
        unscaled, ours = CODEC.autoencoder.encode(audio)[0], CODEC.encode(audio)[0]
    write_array(tmp_path, "00", padding_mask=[1] * FRAMES)
    np.save(tmp_path / "00.npy", unscaled.numpy())
    (clip,), _ = read_arrays(dataset(tmp_path), CODEC)
    assert torch.allclose(clip.crop(0, FRAMES, draws=np.random.default_rng(0)).latents, ours, atol=1e-6)


def test_without_a_prompt_the_name_of_the_sound_speaks(tmp_path: Path) -> None:
    write_array(tmp_path, "snare")
    assert read_arrays(dataset(tmp_path), CODEC)[0][0].prompt == "snare take"


def test_bad_arrays_are_skipped_with_the_reason(tmp_path: Path) -> None:
    write_array(tmp_path, "good")
    write_array(tmp_path, "mute", relpath=None)
    write_array(tmp_path, "maskless", padding_mask=None)
    write_array(tmp_path, "padded", padding_mask=[0] * FRAMES)
    write_array(tmp_path, "mismatched", padding_mask=[1] * 7)
    write_array(tmp_path, "tokens", dtype="int64")
    write_array(tmp_path, "lonely")
    (tmp_path / "lonely.json").unlink()
    write_array(tmp_path, "cut")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-9])
    np.save(tmp_path / "wide.npy", np.zeros((9, FRAMES), np.float32))
    (tmp_path / "wide.json").write_text("{}")
    np.save(tmp_path / "objects.npy", np.array([{"code": "never run"}]), allow_pickle=True)
    clips, skipped = read_arrays(dataset(tmp_path), CODEC)
    reasons = {one.file.removeprefix("mine/").removesuffix(".npy"): one.reason for one in skipped}
    words = {"mute": "prompt", "maskless": "padding_mask", "padded": "padding_mask", "mismatched": "padding_mask",
             "tokens": "int64", "lonely": "JSON", "cut": "array", "wide": "(9, 40)", "objects": "array"}  # fmt: skip
    assert [clip.name for clip in clips] == ["mine/good.npy"] and reasons.keys() == words.keys()
    assert all(word in reasons[name] for name, word in words.items()), reasons


def test_lengths_filter_by_the_seconds_of_the_sound(tmp_path: Path) -> None:
    for name, seconds in (("short", 1), ("middle", 5), ("long", 9)):
        write_array(tmp_path, name, seconds_total=seconds)
    clips, skipped = read_arrays(dataset(tmp_path, min_length_sec=2, max_length_sec=8), CODEC)
    assert [clip.name for clip in clips] == ["mine/middle.npy"] and len(skipped) == 2
    assert len(read_arrays(dataset(tmp_path), CODEC)[0]) == 3


def test_without_random_crop_only_the_beginning_is_used(tmp_path: Path) -> None:
    write_array(tmp_path, "00")

    def frames(**more: Any) -> int:
        return read_arrays(dataset(tmp_path, **more), CODEC)[0][0].frames

    assert frames() == SOUNDING and frames(latent_crop_length=12) == 12
    assert frames(latent_crop_length=12, random_crop=True) == SOUNDING
    assert frames(latent_crop_length=500) == SOUNDING


def test_a_list_of_files_names_what_is_used(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_array(tmp_path / "0", name)
    (tmp_path / "filelist.txt").write_text("0/b.npy\n\n0/c.npy\n")
    clips, skipped = read_arrays(dataset(tmp_path), CODEC)
    assert [clip.name for clip in clips] == ["mine/0/b.npy"] and [one.file for one in skipped] == ["mine/0/c.npy"]


def test_the_examples_of_the_hosts_documents_are_read(tmp_path: Path) -> None:
    assert read_host_dataset(write_config(tmp_path / "a.json", tmp_path, "audio_dir", random_crop=True)).datasets == (
        HostFolder("mine", str(tmp_path)),
    )
    entry = {"id": "mine", "path": "here", "latent_crop_length": 512}
    path = write_config(tmp_path / "b.json", tmp_path, datasets=[entry], random_crop=False, drop_last=True)
    read = read_host_dataset(path)
    assert read.last_frame(read.datasets[0]) == 512
    assert replace(read, random_crop=True).last_frame(read.datasets[0]) is None


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "module": ({"datasets": [{"id": "a", "path": "p", "custom_metadata_module": "m.py"}]}, "custom_metadata_module"),
    "unknown key": ({"shuffle": True}, "'shuffle'"),
    "unknown entry key": ({"datasets": [{"id": "a", "path": "p", "s3_path": "x"}]}, "'s3_path'"),
    "no path": ({"datasets": [{"id": "a"}]}, "'path'"),
    "web dataset": ({"dataset_type": "wds"}, "unpack its tar files"),
    "old web dataset": ({"dataset_type": "s3"}, "unpack its tar files"),
    "unknown type": ({"dataset_type": "tape"}, "audio_dir"),
    "no datasets": ({"datasets": []}, "no datasets"),
    "twice": ({"datasets": [{"id": "a", "path": "p"}, {"id": "a", "path": "q"}]}, "share an id"),
    "id as a path": ({"datasets": [{"id": "../a", "path": "p"}]}, "id names a folder"),
    "fixed crops of sound": ({"dataset_type": "audio_dir", "random_crop": False}, "random_crop"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, name: str) -> None:
    change, words = BAD[name]
    with pytest.raises(LmdmError, match=words):
        read_host_dataset(write_config(tmp_path / "bad.json", tmp_path, **{"dataset_type": "pre_encoded", **change}))


@pytest.mark.parametrize("text", ["{", "[]", "3", None])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "bad.json").write_text(text)
    with pytest.raises(LmdmError):
        read_host_dataset(tmp_path / "bad.json")
