"""Bundled models: half the size, the same keys, the same music to the ear, and never too large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lmdm_adapter as lmdm
from lmdm_adapter.recipes import bundle
from tests.models import tiny_live


def bundled(tmp_path: Path) -> Path:
    tiny_live().save(tmp_path / "trained")
    bundle.run(bundle.BundleRecipe((str(tmp_path / "trained"),), ("little",), str(tmp_path / "models")))
    return tmp_path / "models" / "little"


def test_matrices_are_halved_and_frequencies_are_not(tmp_path: Path) -> None:
    folder = bundled(tmp_path)
    before, after = (load_file(path / "model.safetensors") for path in (tmp_path / "trained", folder))
    assert before.keys() == after.keys()
    assert after["model.model.transformer.project_in.weight"].dtype == torch.float16
    frequencies = "model.model.transformer.rotary_pos_emb.inv_freq"
    assert torch.equal(before[frequencies], after[frequencies])


def test_a_bundled_model_plays_nearly_the_same_latents(tmp_path: Path) -> None:
    folder = bundled(tmp_path)
    first, second = (
        live.step(live.start(seed=1), "house 120 bpm")[1].pending[0].latents
        for live in (lmdm.load(tmp_path / "trained"), lmdm.load(folder))
    )
    assert not torch.equal(first, second)
    assert float((first - second).abs().max()) < 0.05 * float(first.abs().max())


def test_values_beyond_half_precision_are_kept() -> None:
    large = torch.full((2, 2), 1e6)
    assert torch.equal(bundle._half(large), large) and np.isfinite(bundle._half(large).numpy()).all()


def test_models_too_large_for_a_wheel_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_MEGABYTES", 0.01)
    with pytest.raises(lmdm.LmdmError, match="MB"):
        bundled(tmp_path)
    assert not (tmp_path / "models").exists()
