"""`lmdm convert` and `lmdm inspect` on checkpoints that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import lmdm_adapter
from tests.cli import done, edit_config, lmdm, names, save_live, save_offline


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """A tiny offline checkpoint on disk."""
    return save_offline(tmp_path / "offline")


def inspected(model: Path | str, folder: Path, code: int = 0) -> dict[str, Any]:
    """The report of `lmdm inspect`."""
    result = lmdm("inspect", model, "--json", folder / "report.json")
    assert result.exit_code == code, result.output
    return json.loads((folder / "report.json").read_text())


def test_convert_keeps_the_weights_and_plays(offline: Path, tmp_path: Path) -> None:
    target = tmp_path / "live"
    done("convert", offline, target, "--block-frames", 6, "--context-blocks", 3)
    old, new = (load_file(folder / "model.safetensors") for folder in (offline, target))
    assert old.keys() == new.keys() and all(torch.equal(old[key], new[key]) for key in old)
    spec = lmdm_adapter.load(target).spec
    assert (spec.block_frames, spec.context_blocks) == (6, 3)
    done("stream", "house", "--model", target, "--seconds", 0.2, "--steps", 2, "--out", tmp_path / "out.wav")
    assert names(tmp_path) == ["live", "offline", "out.wav"]


def test_force_replaces_a_model(offline: Path, tmp_path: Path) -> None:
    target = tmp_path / "live"
    done("convert", offline, target)
    done("convert", offline, target, "--force", "--block-frames", 6)
    assert lmdm_adapter.load(target).spec.block_frames == 6
    assert names(tmp_path) == ["live", "offline"]


def test_an_empty_folder_may_be_filled(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    done("convert", offline, tmp_path / "live")
    assert "model.safetensors" in names(tmp_path / "live")


def test_inspect_says_what_an_offline_checkpoint_is(offline: Path, tmp_path: Path) -> None:
    report = inspected(offline, tmp_path)
    assert report["supported"] and report["reason"] is None
    assert report["format"] == "offline stable-audio-tools checkpoint" and "spec" not in report
    stored = [load_file(offline / name) for name in ("model.safetensors", "adapter.safetensors")]
    assert report["parameters"]["total"] == sum(t.numel() for tensors in stored for t in tensors.values())
    assert report["objective"] == "rectified_flow" and report["shape"]["layers"] == 2
    assert report["sample_rate_hz"] == 1000 and report["frame_rate_hz"] == 125
    assert report["conditioners"] == {"seconds_total": "number", "prompt": "hashed_words"}


def test_inspect_says_what_to_expect_of_a_live_model(tmp_path: Path) -> None:
    report = inspected(save_live(tmp_path / "live"), tmp_path)
    assert report["format"] == "live model" and report["spec"]["block_frames"] == 6
    assert report["block_seconds"] == pytest.approx(0.048) and report["context_seconds"] == pytest.approx(0.144)
    assert report["frame_controls"] == {"context_mask": 1, "context_latents": 4}
    latency_frames = 6 + report["hold_back_frames"]
    assert report["algorithmic_latency_seconds"] == pytest.approx(latency_frames / 125)


def test_inspect_prints_the_same_for_people(offline: Path) -> None:
    text = done("inspect", offline)
    for words in ("rectified_flow", "1000 Hz", "125 Hz", "seconds_total number", "supported"):
        assert words in text


def test_inspect_describes_what_is_not_supported(offline: Path, tmp_path: Path) -> None:
    edit_config(offline, lambda config: config["model"]["diffusion"]["config"].update(num_memory_tokens=64))
    report = inspected(offline, tmp_path, code=1)
    assert not report["supported"] and "num_memory_tokens" in report["reason"]
    assert report["parameters"]["total"] > 0
    result = lmdm("inspect", offline)
    assert result.exit_code == 1 and "num_memory_tokens" in result.stderr and "Traceback" not in result.output


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), None])
@pytest.mark.parametrize("name", ["model.safetensors", "adapter.safetensors"])
def test_inspect_says_which_weights_are_no_numbers(tmp_path: Path, name: str, value: float | None) -> None:
    """One number among all of them; None leaves them as they are."""
    folder = save_live(tmp_path / "live")
    tensors = load_file(folder / name)
    key = max(tensors)
    if value is not None:
        tensors[key].view(-1)[-1] = value
    save_file(tensors, folder / name)
    report = inspected(folder, tmp_path, code=0 if value is None else 1)
    assert report["supported"] is (value is None)
    assert value is None or f"The weights of {key} hold NaN or infinity" in report["reason"]
    assert ("block_seconds" in report) is (value is None) and report["parameters"]["total"] > 0


def test_inspect_of_nothing_writes_nothing(tmp_path: Path) -> None:
    result = lmdm("inspect", tmp_path / "missing", "--json", tmp_path / "report.json")
    assert result.exit_code == 1 and result.stderr.startswith("error: ") and names(tmp_path) == []
