"""Bad input to `lmdm stream` and `lmdm convert`: one sentence, exit code 1, and nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from tests.cli import edit_config, lmdm, names, save_live, save_offline, sentence, write_noise

BLOCK_SECONDS = 0.048
QUICK = ("--seconds", 0.2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny live model on disk."""
    return save_live(tmp_path_factory.mktemp("models") / "live")


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny offline checkpoint on disk."""
    return save_offline(tmp_path_factory.mktemp("models") / "offline")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for outputs."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def stream_fails(model: Path | str, out: Path, *options: object) -> str:
    """The sentence of a `lmdm stream` that must fail and write nothing."""
    files = ["--out", out / "out.wav", "--json", out / "report.json"]
    text = sentence("stream", "house", "--model", model, "--seconds", 0.2, *files, *options)
    assert names(out) == []
    return text


def convert_fails(source: Path | str, out: Path, *options: object) -> str:
    """The sentence of a `lmdm convert` that must fail and write nothing."""
    text = sentence("convert", source, out / "new", *options)
    assert names(out) == []
    return text


def test_the_good_run_beside_the_bad_ones(model: Path, offline: Path, out: Path) -> None:
    assert lmdm("stream", "--model", model, *QUICK, "--out", out / "out.wav").exit_code == 0
    assert lmdm("convert", offline, out / "new").exit_code == 0
    assert names(out) == ["new", "out.wav"]


@pytest.mark.parametrize("seconds", ["0", "-3", "nan", "inf", "-inf", "86401", "1e300"])
def test_impossible_lengths(model: Path, out: Path, seconds: str) -> None:
    assert "--seconds" in stream_fails(model, out, "--seconds", seconds)


@pytest.mark.parametrize("arguments", [["--seconds", "soon"], ["--sampler", "heun"], ["--seed", "-1"], ["--steps", 0]])
def test_usage_errors_exit_with_2(model: Path, out: Path, arguments: list[str]) -> None:
    result = lmdm("stream", "--model", model, "--out", out / "out.wav", *arguments)
    assert result.exit_code == 2 and names(out) == []


@pytest.mark.parametrize("threads", [0, 257])
def test_impossible_threads_are_refused_before_the_model_is_opened(out: Path, threads: int) -> None:
    """Unlimited, they end the process without a word."""
    result = lmdm("stream", "--model", "no-such-model", "--out", out / "out.wav", "--threads", threads)
    assert result.exit_code == 2 and "--threads" in result.stderr


@pytest.mark.parametrize("guidance", ["-1", "nan", "1000"])
def test_impossible_guidance(model: Path, out: Path, guidance: str) -> None:
    assert "uidance" in stream_fails(model, out, "--guidance", guidance)


@pytest.mark.parametrize("device", ["banana", "cuda:63", "meta"])
def test_a_device_that_is_not_there(model: Path, out: Path, device: str) -> None:
    assert device in stream_fails(model, out, "--device", device)


@pytest.mark.parametrize(
    ("target", "words"),
    [("out.mp3", "unknown suffix"), ("no/folder/out.wav", "does not exist"), (".", "unknown suffix")],
)
def test_an_unwritable_output_is_found_before_the_model_is_opened(out: Path, target: str, words: str) -> None:
    assert words in stream_fails("no-such-model", out, "--out", out / target)


def test_an_unwritable_report_is_found_before_the_model_is_opened(out: Path) -> None:
    assert "does not exist" in stream_fails("no-such-model", out, "--json", out / "no" / "report.json")
    assert "both name" in stream_fails("no-such-model", out, "--json", out / "out.wav")
    assert "it is a folder" in stream_fails("no-such-model", out, "--json", out)


def bad_primes(folder: Path) -> dict[str, Path]:
    """Prefixes that cannot be continued, by a word of the sentence they must give."""
    (folder / "text.wav").write_text("no sound")
    soundfile.write(str(folder / "empty.wav"), np.zeros((0, 1), np.float32), 1000)
    soundfile.write(str(folder / "nan.wav"), np.full((500, 1), np.nan, np.float32), 1000, subtype="FLOAT")
    return {
        "There is no sound file": folder / "missing.wav",
        "cannot be read as sound": folder / "text.wav",
        "holds no samples": folder / "empty.wav",
        "NaN": folder / "nan.wav",
        "at least one block, ": write_noise(folder / "rate.wav", sample_rate=44100),
        "cannot be resampled": write_noise(folder / "slow.wav", sample_rate=1),
        "at least one block": write_noise(folder / "short.wav", samples=int(BLOCK_SECONDS * 1000) - 1),
        "is a folder": folder,
    }


def test_bad_prefixes(model: Path, out: Path, tmp_path: Path) -> None:
    for words, prime in bad_primes(tmp_path).items():
        assert words in stream_fails(model, out, "--prime", prime)


def test_a_prefix_of_exactly_one_block_is_enough(model: Path, out: Path, tmp_path: Path) -> None:
    prime = write_noise(tmp_path / "one.wav", samples=int(BLOCK_SECONDS * 1000))
    assert lmdm("stream", "--model", model, "--prime", prime, *QUICK, "--out", out / "out.wav").exit_code == 0


def test_a_model_that_is_not_there(out: Path) -> None:
    assert "no-such-model" in stream_fails("no-such-model", out)
    assert "no-such-model" in convert_fails("no-such-model", out)


@pytest.mark.parametrize("name", ["", " "])
def test_a_model_without_a_name(out: Path, name: str) -> None:
    """Not the folder that the program runs in."""
    fails = (stream_fails(name, out), convert_fails(name, out), sentence("inspect", name))
    assert all("name of the model is empty" in said for said in fails)


def test_an_offline_checkpoint_must_be_converted_first(offline: Path, out: Path) -> None:
    assert "lmdm convert" in stream_fails(offline, out)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def forget_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.model.preprocess_conv.weight"]
    save_file(tensors, folder / "model.safetensors")


def add_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "model.model.mystery": torch.zeros(2)}, folder / "model.safetensors")


def change_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A damage that edits the config."""
    return lambda folder: edit_config(folder, change) and None


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated weights": (truncate, "truncated"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "text as weights": (lambda f: (f / "model.safetensors").write_text("hello there, nobody"), "model.safetensors"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no checkpoint"),
    "no config": (lambda f: (f / "model_config.json").unlink(), "model_config.json"),
    "config not JSON": (lambda f: (f / "model_config.json").write_text("{"), "not valid JSON"),
    "config no object": (lambda f: (f / "model_config.json").write_text("[1]"), "JSON object"),
    "missing key": (change_config(lambda c: c["model"]["diffusion"]["config"].pop("embed_dim")), "embed_dim"),
    "missing section": (change_config(lambda c: c.pop("model")), "model"),
    "unknown key": (change_config(lambda c: c["model"]["diffusion"]["config"].update(wings=2)), "wings"),
    "unknown section key": (change_config(lambda c: c["lmdm"].update(wings=2)), "wings"),
    "newer format": (change_config(lambda c: c["lmdm"].update(format_version=99)), "99"),
    "unsupported option": (
        change_config(lambda c: c["model"]["diffusion"]["config"].update(num_memory_tokens=64)),
        "num_memory_tokens",
    ),
    "unsupported type": (change_config(lambda c: c.update(model_type="lm")), "'lm'"),
    "another width": (change_config(lambda c: c["model"]["diffusion"]["config"].update(embed_dim=128)), "shape"),
    "missing tensor": (forget_a_tensor, "preprocess_conv"),
    "unknown tensor": (add_a_tensor, "mystery"),
    "broken adapter": (lambda f: (f / "adapter.safetensors").write_bytes(b"12"), "adapter.safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["stream", "convert"])
def test_damaged_checkpoints(
    model: Path, offline: Path, out: Path, tmp_path: Path, command: str, damage: str
) -> None:
    spoil, word = DAMAGES[damage]
    folder = tmp_path / "damaged"
    shutil.copytree(model if command == "stream" else offline, folder)
    spoil(folder)
    fails = stream_fails if command == "stream" else convert_fails
    assert word in fails(folder, out)


def test_a_sound_file_is_no_checkpoint(out: Path, tmp_path: Path) -> None:
    noise = write_noise(tmp_path / "noise.wav")
    for fails in (stream_fails, convert_fails):
        assert "no checkpoint" in fails(noise, out)


def test_a_wrapped_training_checkpoint_is_unwrapped(offline: Path, out: Path, tmp_path: Path) -> None:
    wrapped = tmp_path / "wrapped"
    wrapped.mkdir()
    tensors = load_file(offline / "model.safetensors")
    state = {"state_dict": {f"diffusion.{key}": value for key, value in tensors.items()}, "epoch": 3}
    torch.save(state, wrapped / "model.ckpt")
    for name in ("model_config.json", "adapter.safetensors"):
        shutil.copy(offline / name, wrapped / name)
    assert lmdm("convert", wrapped, out / "new").exit_code == 0
    kept = load_file(out / "new" / "model.safetensors")
    assert kept.keys() == tensors.keys() and all(torch.equal(kept[key], tensors[key]) for key in tensors)


def test_a_hub_that_cannot_be_reached(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline_hub(*_: object, **__: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline_hub)
    assert "owner/model" in stream_fails("owner/model", out)
    assert "owner/model" in convert_fails("owner/model", out)


@pytest.mark.parametrize(
    "options",
    [["--block-frames", 0], ["--block-frames", -1], ["--context-blocks", 0],
     ["--block-frames", 10**9], ["--context-blocks", 10**9], ["--block-frames", 2**12, "--context-blocks", 2**9]],
)  # fmt: skip
def test_impossible_specs(offline: Path, out: Path, options: list[object]) -> None:
    convert_fails(offline, out, *options)


def test_a_full_folder_is_not_overwritten(offline: Path, out: Path) -> None:
    (out / "notes.txt").write_text("mine")
    assert "--force" in sentence("convert", offline, out)
    assert "model_config.json" in sentence("convert", offline, out, "--force")
    assert names(out) == ["notes.txt"]
    assert "is a file" in sentence("convert", offline, out / "notes.txt", "--force")


def test_force_never_deletes_the_source(offline: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(offline, folder)
    assert "source" in sentence("convert", folder, folder, "--force")
    assert "source" in sentence("convert", folder / "model.safetensors", folder, "--force")
    assert names(folder) == names(offline)


def test_a_failed_force_keeps_the_old_model(offline: Path, out: Path, tmp_path: Path) -> None:
    assert lmdm("convert", offline, out / "new").exit_code == 0
    before = {name: (out / "new" / name).read_bytes() for name in names(out / "new")}
    broken = tmp_path / "broken"
    shutil.copytree(offline, broken)
    truncate(broken)
    sentence("convert", broken, out / "new", "--force")
    assert {name: (out / "new" / name).read_bytes() for name in names(out / "new")} == before
    assert json.loads(before["model_config.json"])["lmdm"]["spec"]["block_frames"] == 48
    assert names(out) == ["new"]
