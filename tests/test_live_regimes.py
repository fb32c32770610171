"""Regimes through the public handle and the command line: stock checkpoints play on, one line says what to expect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import read_checkpoint, read_tensors, write_checkpoint
from lmdm_adapter.conversion import window_spec
from lmdm_adapter.sound_file import read_audio
from tests.cli import done, sentence
from tests.models import SAMPLE_RATE, tiny_live, tiny_offline

PROMPT, SECONDS = "house 120 bpm", 0.5
"""Longer than the window of the tiny host, 0.32 s."""
WINDOW = lmdm.BlockSpec(block_frames=20, context_blocks=1, regime="outpaint")


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """An offline checkpoint with random weights."""
    write_checkpoint(tmp_path / "offline", *tiny_offline())
    return tmp_path / "offline"


def played(live: lmdm.LiveModel) -> np.ndarray:
    return np.concatenate([piece.samples for piece in live.stream(PROMPT, SECONDS, seed=4)], axis=1)


def test_a_stock_checkpoint_plays_beyond_its_length(offline: Path) -> None:
    live = lmdm.load(offline, regime="outpaint")
    assert live.spec == WINDOW and live.window_seconds == pytest.approx(0.32)
    sound = played(live)
    assert sound.shape == (1, round(SECONDS * SAMPLE_RATE)) and sound.std() > 0
    assert np.array_equal(sound, played(live))


def test_outpainting_adds_nothing_to_the_weights(offline: Path, tmp_path: Path) -> None:
    live = lmdm.convert(offline, WINDOW)
    live.save(tmp_path / "saved")
    before, after = (read_tensors(folder / "model.safetensors") for folder in (offline, tmp_path / "saved"))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert np.array_equal(played(lmdm.load(tmp_path / "saved")), played(live))


@pytest.mark.parametrize(
    ("objective", "sampler", "steps"), [("rf_denoiser", "pingpong", 8), ("rectified_flow", "euler", 50)]
)
def test_outpainting_samples_as_the_host_was_trained_to(
    tmp_path: Path, objective: str, sampler: str, steps: int
) -> None:
    write_checkpoint(tmp_path / "offline", *tiny_offline(diffusion_objective=objective))
    sampling = lmdm.load(tmp_path / "offline", regime="outpaint").sampling
    assert (sampling.sampler, sampling.steps) == (sampler, steps)


def test_windows_are_whole_blocks(offline: Path) -> None:
    checkpoint = read_checkpoint(offline)
    config = dict(checkpoint.config)
    for frames, expected in ((40, (20, 1)), (150, (48, 2)), (256, (48, 4))):
        config["sample_size"] = frames * 8
        spec = window_spec(type(checkpoint)(config, checkpoint.tensors, checkpoint.adapter, checkpoint.path))
        assert (spec.block_frames, spec.context_blocks) == expected
    del config["sample_size"]
    with pytest.raises(lmdm.LmdmError, match="tells no window"):
        window_spec(type(checkpoint)(config, checkpoint.tensors, checkpoint.adapter, checkpoint.path))


def test_an_offline_checkpoint_has_no_other_regime(offline: Path) -> None:
    with pytest.raises(lmdm.LmdmError, match="lmdm convert.*outpaint"):
        lmdm.load(offline)
    with pytest.raises(lmdm.LmdmError, match="needs a converted model"):
        lmdm.load(offline, regime="outpaint").with_regime("block-causal")


def test_another_regime_shares_weights_and_plays_other_music() -> None:
    live = tiny_live()
    other = live.with_regime("encoder-decoder")
    assert other.network is live.network and live.with_regime("block-causal") is live
    assert other.spec.regime == "encoder-decoder" and live.spec.regime == "block-causal"
    assert not np.array_equal(played(live), played(other))


def test_a_model_remembers_the_regime_it_was_trained_for(tmp_path: Path) -> None:
    """There and back again, through a third one and through the disk; steps in another regime start anew."""
    live = tiny_live()
    live = replace(live, section=live.section.fine_tuned(5))
    other = live.with_regime("encoder-decoder")
    assert live.trained and not other.trained
    other.save(tmp_path / "other")
    for away in (other, other.with_regime("outpaint"), lmdm.load(tmp_path / "other")):
        back = away.with_regime("block-causal")
        assert back.trained and back.section == live.section
        assert not away.with_regime("encoder-decoder").trained
    assert other.section.fine_tuned(3).own_steps == 3 and live.section.fine_tuned(3).own_steps == 8
    untrained = tiny_live().with_regime("encoder-decoder").with_regime("block-causal")
    assert not untrained.trained and untrained.section == tiny_live().section


@pytest.mark.parametrize("regime", ["encoder-decoder", "outpaint"])
def test_conversion_for_a_regime_is_saved_with_it(offline: Path, tmp_path: Path, regime: str) -> None:
    done("convert", offline, tmp_path / "live", "--regime", regime, "--block-frames", 6, "--context-blocks", 2)
    assert lmdm.load(tmp_path / "live").spec == lmdm.BlockSpec(6, 2, regime)  # type: ignore[arg-type]


def test_one_line_about_quality_and_only_where_it_is_due(offline: Path, tmp_path: Path) -> None:
    tiny_live().save(tmp_path / "live")
    out = tmp_path / "out.wav"
    said = done("stream", PROMPT, "--model", tmp_path / "live", "--seconds", 0.2, "--out", out,
                "--regime", "encoder-decoder")  # fmt: skip
    assert said.count("was not trained for the regime encoder-decoder") == 1
    stock = done("stream", PROMPT, "--model", offline, "--seconds", SECONDS, "--out", out, "--regime", "outpaint",
                 "--steps", 2)  # fmt: skip
    assert "not trained" not in stock and read_audio(out).seconds == SECONDS
    assert "outpaint" in sentence("stream", PROMPT, "--model", offline, "--seconds", 0.2, "--out", tmp_path / "no.wav")
    assert not (tmp_path / "no.wav").exists()
