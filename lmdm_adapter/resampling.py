"""Audio at another rate and with other channels: what comes from outside, made to fit a model."""

from __future__ import annotations

import logging

import numpy as np
import soxr

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError

log = logging.getLogger(__name__)

LARGEST_RATIO = 256.0


def fitted(audio: Audio, *, sample_rate: int, channels: int) -> Audio:
    """`audio` at `sample_rate` (Hz) with `channels`, said in the log; itself where it is so already.

    Channels are mixed as stable-audio-tools mixes them: their mean for mono; for stereo a mono sound twice, or the
    first two channels of more. Raises LmdmError for a rate too far away, or channels that cannot be had from these.
    """
    if (audio.sample_rate, audio.channels) == (sample_rate, channels):
        return audio
    ratio = sample_rate / audio.sample_rate
    if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        raise LmdmError(f"Sound at {audio.sample_rate} Hz cannot be resampled to {sample_rate} Hz; resample it first.")
    samples = mixed(audio.samples, channels)
    if audio.sample_rate != sample_rate:
        samples = soxr.resample(samples.T, audio.sample_rate, sample_rate).T
    log.debug("%s", fitting_line(audio, sample_rate=sample_rate, channels=channels))
    return Audio(samples, sample_rate)


def mixed(samples: np.ndarray, channels: int) -> np.ndarray:
    """`(channels, samples)` with other channels. Raises LmdmError where the host knows no rule for it."""
    there = samples.shape[0]
    if channels == there:
        return samples
    if channels == 1:
        return samples.mean(axis=0, keepdims=True)
    if channels == 2:
        return np.repeat(samples, 2, axis=0) if there == 1 else samples[:2]
    raise LmdmError(f"Sound with {there} channels cannot be made into {channels}; mix it first.")


def fitting_line(audio: Audio, *, sample_rate: int, channels: int) -> str:
    """What `fitted` did, for people."""
    return f"Sound of {audio.sample_rate} Hz, {audio.channels} ch was fitted to {sample_rate} Hz, {channels} ch."
