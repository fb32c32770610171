"""CLAP as an embedding: a small random one, made here, gives windows of unit length; what is missing is a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.clap import open_clap
from lmdm_adapter.evaluation.embeddings import open_embedding

WIDTH = 16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it, with random weights."""
    transformers = pytest.importorskip("transformers", reason="needs the extra [text]")
    audio = {
        "patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1], "hidden_size": 64,
        "projection_dim": WIDTH,
    }  # fmt: skip
    text = {
        "vocab_size": 32, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
        "projection_dim": WIDTH,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=WIDTH)
    folder = tmp_path_factory.mktemp("clap")
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    return folder


def noise(seconds: float, rate: int, seed: int = 0) -> Audio:
    """Stereo noise."""
    samples = 0.1 * np.random.default_rng(seed).standard_normal((2, round(seconds * rate)))
    return Audio(samples.astype(np.float32), rate)


def test_windows_of_ten_seconds_every_five(checkpoint):
    embedding = open_embedding(str(checkpoint), iter(()))
    whole = noise(21.0, 48_000)
    features = embedding(whole)
    assert features.shape == (3, WIDTH) and np.isfinite(features).all()
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), np.sqrt(WIDTH), rtol=1e-6)
    np.testing.assert_allclose(embedding(Audio(whole.samples[:, : 11 * 48_000], 48_000)), features[:1], atol=1e-4)


def test_other_sounds_have_other_features_and_rates_do_not_matter(checkpoint):
    embedding = open_clap(str(checkpoint))
    tone = np.sin(2 * np.pi * 440.0 * np.arange(480_000) / 48_000)[None].astype(np.float32)
    one, half = embedding(Audio(tone, 48_000)), embedding(Audio(tone[:, ::2].copy(), 24_000))
    other = embedding(noise(10.0, 48_000))
    assert np.abs(one - half).max() < 0.2 * np.abs(one - other).max()


def test_too_short_or_broken_audio_is_refused(checkpoint):
    embedding = open_clap(str(checkpoint))
    with pytest.raises(LmdmError, match="at least 10 s"):
        embedding(noise(9.0, 48_000))
    with pytest.raises(LmdmError, match="finite"):
        embedding(Audio(np.full((1, 480_000), np.nan, dtype=np.float32), 48_000))


def test_a_checkpoint_that_is_not_there_is_a_sentence(tmp_path):
    pytest.importorskip("transformers", reason="needs the extra [text]")
    with pytest.raises(LmdmError, match="no CLAP checkpoint .* leave --embedding out"):
        open_clap(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LmdmError, match="no CLAP checkpoint"):
        open_clap(os.fspath(tmp_path / "empty"))
