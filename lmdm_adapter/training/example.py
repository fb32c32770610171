"""A sound of a live model, to listen to while it trains."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.live import LiveModel


def streamed_example(live: LiveModel, prompt: str, *, seconds: float, seed: int) -> Audio:
    """The first `seconds` of a stream, whole."""
    pieces = [piece.samples for piece in live.stream(prompt, seconds, seed=seed)]
    return Audio(np.concatenate(pieces, axis=1), live.codec.sample_rate)
