"""A small room: convolution with decaying noise of finite length."""

from __future__ import annotations

import math

import numpy as np

from lmdm_adapter.music.wavetables import shaped_noise

REVERB_SECONDS = 0.7
_DECAY_SECONDS = 0.16
_PRE_DELAY_SECONDS = 0.012
_BLOCK = 1 << 16


def reverberated(sound: np.ndarray, sample_rate: int, *, wet: float, brightness: float) -> np.ndarray:
    """`sound` plus `wet` times its echo in the room, (samples,) float32; `wet` 0 gives `sound` back."""
    if wet == 0.0:
        return sound
    return sound + np.float32(wet) * _convolved(sound, _room(sample_rate, brightness))


def _room(sample_rate: int, brightness: float) -> np.ndarray:
    """The impulse response, unit energy, `REVERB_SECONDS` long at most."""
    samples = math.floor(REVERB_SECONDS * sample_rate)
    noise = shaped_noise(samples, sample_rate, low_hz=250.0, high_hz=3500.0 * brightness, seed=1)
    time = np.arange(samples) / sample_rate - _PRE_DELAY_SECONDS
    decay = np.where(time < 0.0, 0.0, np.exp(-time / _DECAY_SECONDS)) * np.minimum(1.0, (time[-1] - time) / 0.1)
    response = noise * decay
    return response / np.sqrt(np.sum(response**2))


def _convolved(sound: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The first len(sound) samples of the convolution, by overlap-add."""
    size = _BLOCK
    while size < 2 * len(response):
        size *= 2
    hop = size - len(response) + 1
    blocks = math.ceil(len(sound) / hop)
    padded = np.zeros(blocks * hop, dtype=np.float32)
    padded[: len(sound)] = sound
    spectrum = np.fft.rfft(response, size)
    total = np.zeros(blocks * hop + size, dtype=np.float32)
    for block in range(blocks):
        piece = np.fft.irfft(np.fft.rfft(padded[block * hop : (block + 1) * hop], size) * spectrum, size)
        total[block * hop : block * hop + size] += piece.astype(np.float32)
    return total[: len(sound)]
