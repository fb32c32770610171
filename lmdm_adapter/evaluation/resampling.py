"""Audio at another rate, or with other channels."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.evaluation.extras import extra


def resampled(audio: Audio, sample_rate: int) -> Audio:
    """`audio` at `sample_rate`, by soxr where it has another one. Raises LmdmError when soxr is missing."""
    if audio.sample_rate == sample_rate:
        return audio
    soxr = extra("soxr", f"Audio of {audio.sample_rate} Hz beside {sample_rate} Hz")
    samples = soxr.resample(audio.samples.T, audio.sample_rate, sample_rate)
    return Audio(np.ascontiguousarray(samples.T, dtype=np.float32), sample_rate)
