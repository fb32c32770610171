"""Embeddings of music: windows of audio to features, exchangeable behind one small interface."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.evaluation.features import window_features
from lmdm_adapter.evaluation.frechet import Projection, fit_projection

BUILT_IN = "built-in"


class Embedding(Protocol):
    """Features of all whole windows of a piece of audio, (windows, d) float64; each a function of its samples alone."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        ...

    def __call__(self, audio: Audio) -> np.ndarray:
        """Features of `audio`. Raises LmdmError for audio shorter than one window, or with NaN."""
        ...


@dataclass(frozen=True, eq=False)
class BandEmbedding:
    """Bands, their movement and rhythm (`features`), on the 64 principal axes of training songs (`frechet`)."""

    projection: Projection

    @property
    def name(self) -> str:
        """What a report calls it."""
        return BUILT_IN

    def __call__(self, audio: Audio) -> np.ndarray:
        """(windows, 64), a window of 2 s each second."""
        return self.projection(window_features(audio))


def band_embedding(training: Iterable[Audio]) -> BandEmbedding:
    """The built-in embedding, fitted to training songs. Raises LmdmError for less than 1000 windows of them."""
    return BandEmbedding(fit_projection(np.concatenate([window_features(audio) for audio in training])))


def open_embedding(name: str, training: Iterable[Audio]) -> Embedding:
    """The embedding called `name`: "built-in", or the folder or hub id of a CLAP checkpoint.

    Raises LmdmError when there is no such checkpoint, or transformers is missing.
    """
    if name == BUILT_IN:
        return band_embedding(training)
    from lmdm_adapter.evaluation.clap import open_clap

    return open_clap(name)
