"""Checkpoints on disk: saving takes nobody's files, and what is no checkpoint is refused in our own words."""

from __future__ import annotations

import contextlib
import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmdm_adapter import LmdmError, load
from lmdm_adapter.checkpoint import read_config, read_tensors
from tests.cli import edit_config, names, save_live
from tests.models import tiny_live

MODEL_FILES = ["adapter.safetensors", "model.safetensors", "model_config.json"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(place: Path | str, around: Path) -> str:
    """The sentence of a save that must leave everything in the folder `around` as it was."""
    before, there = contents(around), names(around)
    with pytest.raises(LmdmError) as caught:
        tiny_live().save(place)
    assert contents(around) == before and names(around) == there
    return str(caught.value)


@pytest.mark.parametrize(
    ("index", "says"),
    [('{"_class_name": "StableAudioPipeline"}', r"diffusers \(StableAudioPipeline\)"), ("[]", "unknown pipeline"),
     ("not json", "cannot be read")],
)  # fmt: skip
def test_folders_of_diffusers_are_refused_by_that_name(tmp_path: Path, index: str, says: str) -> None:
    """The whole folder, a part of it, or a weight file in a part."""
    (tmp_path / "model_index.json").write_text(index)
    part = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    part.parent.mkdir()
    save_file({"weight": torch.zeros(1)}, part)
    for place in (tmp_path, part.parent, part):
        with pytest.raises(LmdmError, match=f"{says}.*model_config.json"):
            load(place)


def test_a_repository_with_both_formats_is_the_original_one(tmp_path: Path) -> None:
    folder = save_live(tmp_path / "model")
    (folder / "model_index.json").write_text("{}")
    assert load(folder).spec == tiny_live().spec


def test_saving_takes_nobodys_files(tmp_path: Path) -> None:
    folder = save_live(tmp_path / "model")
    (folder / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(folder, tmp_path)
    (folder / "notes.txt").unlink()
    (folder / "model_config.json").unlink()
    assert "no model_config.json" in refused(folder, tmp_path)


def test_saving_never_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    assert "it is a file" in refused(tmp_path / "thesis", tmp_path)
    assert "Cannot write" in refused(tmp_path / "thesis" / "model", tmp_path)


def test_saving_never_replaces_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (".", "x/..", "", tmp_path):
        assert "inside it" in refused(place, tmp_path)


def test_models_and_empty_folders_are_replaced_through_any_path(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    for seed, place in enumerate((tmp_path / "model", tmp_path / "model" / "x" / "..", tmp_path / "link")):
        live = tiny_live(seed)
        live.save(place)
        assert names(tmp_path / "model") == MODEL_FILES and names(tmp_path) == ["link", "model"]
        saved = load(tmp_path / "link").network.state_dict()
        assert all(torch.equal(value, saved[key]) for key, value in live.network.state_dict().items())


@pytest.mark.parametrize("failing", [1, 2], ids=["moving the old aside", "moving the new in"])
@pytest.mark.parametrize("error", [OSError(16, "Device or resource busy"), KeyboardInterrupt()], ids=["busy", "ctrl-c"])
def test_the_old_model_comes_back_when_a_move_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: BaseException
) -> None:
    folder, move, calls = save_live(tmp_path / "model"), os.replace, []
    before = contents(tmp_path)

    def fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == failing:
            raise error
        move(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(LmdmError if isinstance(error, OSError) else KeyboardInterrupt):
        tiny_live(seed=1).save(folder)
    assert contents(tmp_path) == before and names(tmp_path) == ["model"]


CKPTS = {
    "text": b"hello world",
    "empty": b"",
    "sound": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "objects": pickle.dumps({"state_dict": {"weight": Path("/")}}, protocol=2),
    "numbered": pickle.dumps({1: 2}, protocol=2),
}


class Payload:
    """Unpickled without care, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_what_a_ckpt_holds_is_never_run(tmp_path: Path) -> None:
    harmful = pickle.dumps({"state_dict": Payload(tmp_path / "run")}, protocol=2)
    (tmp_path / "model.ckpt").write_bytes(harmful)
    with pytest.raises(LmdmError, match="never run"):
        read_tensors(tmp_path / "model.ckpt")
    assert not (tmp_path / "run").exists()
    pickle.loads(harmful)
    assert (tmp_path / "run").exists(), "the payload is harmless: nothing was tested"


@pytest.mark.parametrize("content", CKPTS)
def test_what_is_no_ckpt_is_refused_in_our_own_words(tmp_path: Path, content: str) -> None:
    """torch's words would advise to run what the file holds."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(CKPTS[content])
    with pytest.raises(LmdmError, match="model.ckpt") as caught:
        read_tensors(path)
    assert "weights_only" not in str(caught.value)


def test_reading_a_ckpt_says_nothing_else(tmp_path: Path) -> None:
    """torch warns of pickles that it did not write, with a line of its source; other warnings are still heard."""
    path = tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps({"weight": [1.0]}, protocol=4))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(LmdmError, match="never run|no state_dict"):
            read_tensors(path)
        assert not heard
        with contextlib.suppress(Exception):
            torch.load(path, weights_only=True)
        assert heard, "torch has nothing to say: nothing was tested"


def test_only_a_state_dict_of_named_tensors_is_one(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(2)}, tmp_path / "model.ckpt")
    with pytest.raises(LmdmError, match="no state_dict of tensors"):
        read_tensors(tmp_path / "model.ckpt")


def test_a_folder_in_place_of_weights_is_named(tmp_path: Path) -> None:
    folder = save_live(tmp_path / "model")
    (folder / "adapter.safetensors").unlink()
    (folder / "adapter.safetensors").mkdir()
    with pytest.raises(LmdmError, match="adapter.safetensors"):
        load(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000], ids=["deep", "long"])
def test_json_beyond_the_reader_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model_config.json").write_text(text)
    with pytest.raises(LmdmError, match="not valid JSON|JSON object"):
        read_config(tmp_path)


def test_integers_are_no_weights(tmp_path: Path) -> None:
    folder, key = save_live(tmp_path / "model"), "model.model.transformer.project_in.weight"
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, key: tensors[key].to(torch.int8)}, folder / "model.safetensors")
    with pytest.raises(LmdmError, match=rf"{key} holds torch.int8"):
        load(folder)


@pytest.mark.parametrize("seconds", [float("nan"), -1.0, 1e7])
def test_impossible_seconds_are_refused(tmp_path: Path, seconds: float) -> None:
    folder = edit_config(save_live(tmp_path / "model"), lambda config: config["lmdm"].update(seconds_total=seconds))
    with pytest.raises(LmdmError, match="seconds_total"):
        load(folder)


def test_frame_controls_in_another_order_are_refused(tmp_path: Path) -> None:
    """Their columns would be fed with what they do not mean."""
    controls = [["loudness", 1], ["context_latents", 4]]
    folder = edit_config(save_live(tmp_path / "model"), lambda config: config["lmdm"].update(frame_controls=controls))
    with pytest.raises(LmdmError, match="context_mask and context_latents.*loudness"):
        load(folder)
