"""Latents read back: of this codec only, and a corrupt shard by its name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.clips import LatentCrops
from lmdm_adapter.training.encoding import encode_folder
from lmdm_adapter.training.latent_folder import read_latents
from tests.recordings import tiny_codec, write_library

CODEC = tiny_codec()
SECOND = "00001.safetensors"


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Latents of five files in three shards."""
    folder = tmp_path_factory.mktemp("data")
    encode_folder(CODEC, write_library(folder / "music"), folder / "latents", shard_megabytes=800 / 2**20)
    return folder / "latents"


@pytest.fixture
def latents(encoded: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(encoded, tmp_path / "latents")
    return tmp_path / "latents"


def read_all(folder: Path) -> None:
    """Open a folder and read every frame."""
    for clip in read_latents(folder, CODEC):
        LatentCrops([clip], batch_size=1, seed=0).batch(0, clip.frames)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(bytes(data))


def swap_shards(path: Path) -> None:
    shutil.copy(path.with_name("00000.safetensors"), path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-10]), "corrupt"),
    "empty": (lambda path: path.write_bytes(b""), "corrupt"),
    "gone": (lambda path: path.unlink(), "corrupt or missing"),
    "one bit": (flip_a_bit, "corrupt at"),
    "another shard": (swap_shards, "lacks"),
    "no shard of ours": (lambda path: save_file({"x": torch.zeros(2)}, path), "no shard"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupt_shard_stops_with_its_name(latents: Path, damage: str) -> None:
    read_all(latents)
    spoil, words = DAMAGES[damage]
    spoil(latents / SECOND)
    with pytest.raises(LmdmError, match=words) as told:
        read_all(latents)
    assert SECOND in str(told.value)


def test_a_shard_thrown_away_is_made_again(latents: Path, encoded: Path) -> None:
    """As the sentence about a corrupt shard says."""
    (latents / SECOND).unlink()
    encode_folder(CODEC, encoded.with_name("music"), latents, shard_megabytes=800 / 2**20)
    assert (latents / SECOND).read_bytes() == (encoded / SECOND).read_bytes()
    read_all(latents)


def test_latents_of_another_codec_are_refused(latents: Path) -> None:
    read_latents(latents, CODEC)
    with pytest.raises(LmdmError, match="another codec"):
        read_latents(latents, tiny_codec(1))


@pytest.mark.parametrize(
    "spoil",
    [lambda index: "{", lambda index: "[]", lambda index: json.dumps({**index, "clips": [{"file": "a"}]}),
     lambda index: json.dumps({**index, "clips": 3})],
)  # fmt: skip
def test_a_broken_index_is_named(latents: Path, spoil: Callable[[dict[str, object]], str]) -> None:
    path = latents / "index.json"
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(LmdmError, match=r"index\.json"):
        read_latents(latents, CODEC)


def test_a_folder_without_an_index_says_how_to_make_one(latents: Path, tmp_path: Path) -> None:
    (latents / "index.json").unlink()
    for folder in (latents, tmp_path / "nowhere"):
        with pytest.raises(LmdmError, match="make them with lmdm encode"):
            read_latents(folder, CODEC)


def test_crops_read_only_what_they_take(latents: Path) -> None:
    """Two readers of one folder see the same frames; the latents stay in the file."""
    first, second = read_latents(latents, CODEC)[3], read_latents(latents, CODEC)[3]
    draws = np.random.default_rng(0)
    whole = first.crop(0, first.frames, draws=draws).latents
    assert torch.equal(second.crop(5, 20, draws=draws).latents, whole[:, 5:25])
    assert first.shard.latents(first.entry.number).dtype == torch.float16
