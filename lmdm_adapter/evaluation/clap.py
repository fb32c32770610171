"""CLAP as an embedding, through transformers (Wu et al. 2023, arXiv 2211.06687)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.extras import extra
from lmdm_adapter.resampling import fitted

WINDOW_SECONDS, WINDOW_HOP_SECONDS = 10.0, 5.0
BATCH = 8


@dataclass(frozen=True, eq=False)
class ClapEmbedding:
    """A CLAP model and its spectrogram. Embeddings are brought to the length of the root of their width."""

    name: str
    model: Any = field(repr=False)
    extractor: Any = field(repr=False)

    def __call__(self, audio: Audio) -> np.ndarray:
        """(windows, d), a window of 10 s every 5 s."""
        rate = int(self.extractor.sampling_rate)
        windows = _windows(fitted(audio, sample_rate=rate, channels=1).samples[0], rate)
        parts = [self._embedded(windows[first : first + BATCH], rate) for first in range(0, len(windows), BATCH)]
        return np.concatenate(parts)

    def _embedded(self, windows: np.ndarray, rate: int) -> np.ndarray:
        inputs = self.extractor(list(windows), sampling_rate=rate, return_tensors="pt")
        with torch.inference_mode():
            output = self.model.get_audio_features(**inputs)
        # Older releases give the tensor itself.
        features = getattr(output, "pooler_output", output).double().numpy()
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        return features / np.maximum(lengths, 1e-9) * np.sqrt(features.shape[1])


def open_clap(name: str) -> ClapEmbedding:
    """The CLAP checkpoint called `name`, a folder or a hub id such as `laion/clap-htsat-unfused`.

    Raises LmdmError when it cannot be had, or transformers is missing.
    """
    transformers = extra("transformers", "A CLAP embedding", extra_name="text")
    try:
        model = transformers.ClapModel.from_pretrained(name)
        extractor = transformers.ClapFeatureExtractor.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise LmdmError(
            f"There is no CLAP checkpoint {name!r} to be had ({reason}); give a folder that holds one, or leave "
            "--embedding out for the built-in one, which needs no download."
        ) from error
    return ClapEmbedding(name, model.eval(), extractor)


def _windows(samples: np.ndarray, rate: int) -> np.ndarray:
    """All whole windows, (windows, s)."""
    size, hop = round(WINDOW_SECONDS * rate), round(WINDOW_HOP_SECONDS * rate)
    if len(samples) < size:
        seconds = len(samples) / rate
        raise LmdmError(f"A CLAP embedding needs at least {WINDOW_SECONDS:g} s of audio, got {seconds:.3f} s.")
    if not np.isfinite(samples).all():
        raise LmdmError("A CLAP embedding needs finite audio, but it holds NaN or infinite samples.")
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
