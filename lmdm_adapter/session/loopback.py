"""How late a sound device is: a ping that is played, and found in what is heard, by correlation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lmdm_adapter.errors import LmdmError

PING_SECONDS = 0.03
LOW_HZ, HIGH_SHARE_OF_RATE = 300.0, 0.2
LEAST_LIKENESS = 0.3
"""Of the loudest place of pure noise it is about 0.1, and 1 of the ping alone."""
LEAST_LEAD = 1.5
"""By how much the ping must be more alike than anything that is not beside it: a tone is alike at every period."""


class Found(NamedTuple):
    """A ping that was heard `samples` after it was played; how alike it was there, and at the next best place."""

    samples: int
    likeness: float
    elsewhere: float


def ping(sample_rate: int, *, amplitude: float = 0.5) -> np.ndarray:
    """A short sweep `s`, whose place can be told to the sample even in noise."""
    seconds = np.arange(round(PING_SECONDS * sample_rate)) / sample_rate
    high_hz = HIGH_SHARE_OF_RATE * sample_rate
    phase = 2.0 * np.pi * (LOW_HZ * seconds + (high_hz - LOW_HZ) * seconds**2 / (2.0 * PING_SECONDS))
    window = np.hanning(len(seconds))
    return (amplitude * window * np.sin(phase)).astype(np.float32)


def device_latency_samples(heard: np.ndarray, *, sample_rate: int, played_at: int = 0) -> int:
    """By how many samples what is heard lags behind what is played: the place alone of `found_ping`, which see."""
    return found_ping(heard, sample_rate=sample_rate, played_at=played_at).samples


def found_ping(heard: np.ndarray, *, sample_rate: int, played_at: int = 0) -> Found:
    """Where a ping is in what is heard, and how surely.

    `heard` is `s` or `s ch`, on the clock on which the ping was played at sample `played_at`. Raises LmdmError when
    there is no ping, more than one place where it may be, or one that would have been heard before it was played.
    """
    sound = np.asarray(heard, np.float64).mean(axis=1) if heard.ndim == 2 else np.asarray(heard, np.float64)
    sent = ping(sample_rate, amplitude=1.0).astype(np.float64)
    if len(sound) < len(sent) or not np.isfinite(sound).all():
        raise LmdmError(f"A loopback needs {len(sent)} samples or more, all finite; got {len(sound)}.")
    likeness = np.abs(_likeness(sound, sent))
    place = int(np.argmax(likeness))
    beside = np.abs(np.arange(len(likeness)) - place) < len(sent)
    rest = float(likeness[~beside].max()) if not beside.all() else 0.0
    if likeness[place] < max(LEAST_LIKENESS, LEAST_LEAD * rest):
        raise LmdmError(
            f"No ping was found in {len(sound) / sample_rate:.2f} s of input (likeness {likeness[place]:.2f}, "
            f"elsewhere {rest:.2f}); turn up the output, hold the microphone to it, and try again."
        )
    if place < played_at:
        raise LmdmError(f"The ping was heard at sample {place}, before it was played at {played_at}; try again.")
    return Found(place - played_at, float(likeness[place]), rest)


def _likeness(sound: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """The normalised correlation of `sent` with each piece of `sound`, in [-1, 1]; silence is like nothing."""
    size = 1 << (len(sound) + len(sent) - 1).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(sent, size))
    products = np.fft.irfft(spectrum, size)[: len(sound) - len(sent) + 1]
    energy = np.concatenate([[0.0], np.cumsum(sound**2)])
    pieces = np.maximum(energy[len(sent) :] - energy[: -len(sent)], 0.0)
    floor = 1e-9 * max(float(pieces.max()), 1e-12)
    return np.where(pieces > floor, products / np.sqrt(np.maximum(pieces, floor) * (sent**2).sum()), 0.0)
