"""What every figure of a report is measured with: an embedding, and the eight styles as it sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.evaluation.embeddings import Embedding, open_embedding
from lmdm_adapter.evaluation.material import Clip, Format, training_clips

Progress = Callable[[str, int, int], None]

TRAINING_SONGS, TRAINING_SECONDS = 96, 20.0
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, eq=False)
class Ruler:
    """An embedding; and for each style the mean of its songs (styles, d), and how songs spread around it (d,)."""

    embedding: Embedding
    styles: tuple[str, ...]
    centroids: np.ndarray = field(repr=False)
    spread: np.ndarray = field(repr=False)

    def style(self, features: np.ndarray) -> str:
        """The style whose centre is nearest to the mean of (windows, d), each axis scaled by the spread of songs."""
        distances = (np.square(features.mean(axis=0) - self.centroids) / self.spread).sum(axis=1)
        return self.styles[int(np.argmin(distances))]


def fit_ruler(embedding: str, form: Format, *, seed: int, progress: Progress) -> Ruler:
    """Fit to training songs, none of which is measured later. Raises LmdmError as `open_embedding`."""
    form = Format(TRAINING_SECONDS, form.sample_rate, form.channels)
    clips = []
    for done, clip in enumerate(training_clips(TRAINING_SONGS, form, seed=seed), start=1):
        clips.append(clip)
        progress("training songs", done, TRAINING_SONGS)
    opened = open_embedding(embedding, (clip.audio for clip in clips))
    return _fitted(opened, clips)


def _fitted(embedding: Embedding, clips: Sequence[Clip]) -> Ruler:
    means = np.stack([embedding(clip.audio).mean(axis=0) for clip in clips])
    names = np.array([clip.song.style for clip in clips])
    styles = tuple(sorted(set(names)))
    centroids = np.stack([means[names == style].mean(axis=0) for style in styles])
    around = means - centroids[[styles.index(name) for name in names]]
    return Ruler(embedding, styles, centroids, around.var(axis=0) + LEAST_SPREAD)
