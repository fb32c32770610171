"""Audio at another rate and with other channels: what comes from outside, made to fit a model."""

from __future__ import annotations

import logging
from functools import lru_cache

import numpy as np
import soxr

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError

log = logging.getLogger(__name__)

LARGEST_RATIO = 256.0
MEASURED_BURSTS, PIECES_OF_A_SECOND = 8, 1000


def fitted(audio: Audio, *, sample_rate: int, channels: int) -> Audio:
    """`audio` at `sample_rate` (Hz) with `channels`, said in the log; itself where it is so already.

    Channels are mixed as stable-audio-tools mixes them: their mean for mono; for stereo a mono sound twice, or the
    first two channels of more. Raises LmdmError for a rate too far away, or channels that cannot be had from these.
    """
    if (audio.sample_rate, audio.channels) == (sample_rate, channels):
        return audio
    _require_near(audio.sample_rate, sample_rate)
    samples = mixed(audio.samples, channels)
    if audio.sample_rate != sample_rate:
        samples = soxr.resample(samples.T, audio.sample_rate, sample_rate).T
    log.debug("%s", fitting_line(audio, sample_rate=sample_rate, channels=channels))
    return Audio(samples, sample_rate)


@lru_cache(maxsize=128)
def resampling_seconds(source_rate: int, sample_rate: int) -> float:
    """How long a sound stays at most in a stream that resamples it from `source_rate` to `sample_rate` Hz.

    Nothing is moved by that: what comes out is in its place, only known so much later. A stream works on blocks of its
    own and gives them in bursts, so this is measured: up to a millisecond more than the longest wait for a burst.
    Raises LmdmError for rates too far apart.
    """
    if source_rate == sample_rate:
        return 0.0
    _require_near(source_rate, sample_rate)
    stream = soxr.ResampleStream(source_rate, sample_rate, 1, dtype="float32")
    piece = np.zeros((max(1, source_rate // PIECES_OF_A_SECOND), 1), np.float32)
    taken = given = bursts = 0
    longest = 0.0
    while bursts < MEASURED_BURSTS:
        taken += len(piece)
        longest = max(longest, taken / source_rate - given / sample_rate)
        count = len(stream.resample_chunk(piece))
        given, bursts = given + count, bursts + (count > 0)
    return longest


def _require_near(source_rate: int, sample_rate: int) -> None:
    if not 1 / LARGEST_RATIO <= sample_rate / source_rate <= LARGEST_RATIO:
        raise LmdmError(f"Sound at {source_rate} Hz cannot be resampled to {sample_rate} Hz; resample it first.")


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
