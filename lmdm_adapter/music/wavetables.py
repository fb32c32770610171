"""Band-limited oscillators: wave tables whose spectrum moves in time, and the envelopes that shape them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TABLE_SIZE = 2048
_MAX_HARMONICS = 400
_ROWS = 24

Spectrum = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From harmonic numbers (1, harmonics) and times in seconds (rows, 1) to amplitudes (rows, harmonics)."""


def moving_tables(spectrum: Spectrum, frequency_hz: float, seconds: float, sample_rate: int) -> np.ndarray:
    """Single cycles at `row_times`, shape (rows, TABLE_SIZE + 1), with no partial above 0.47 of the sample rate.

    The last column repeats the first, so that interpolation needs no modulo.
    """
    count = int(min(_MAX_HARMONICS, max(1, 0.47 * sample_rate / frequency_hz)))
    numbers = np.arange(1, count + 1, dtype=np.float64)[None, :]
    amplitudes = spectrum(numbers, _row_times(seconds)[:, None])
    bins = np.zeros((amplitudes.shape[0], TABLE_SIZE // 2 + 1), dtype=np.complex128)
    bins[:, 1 : count + 1] = -0.5j * TABLE_SIZE * amplitudes
    cycles = np.fft.irfft(bins, axis=1).astype(np.float32)
    return np.concatenate([cycles, cycles[:, :1]], axis=1)


def _row_times(seconds: float) -> np.ndarray:
    """Times of the table rows: dense at the onset, where spectra move fast."""
    return seconds * np.linspace(0.0, 1.0, _ROWS) ** 2


def play(tables: np.ndarray, frequency_hz: float, samples: int, sample_rate: int, *, phase: float = 0.0) -> np.ndarray:
    """Read `moving_tables` at a fixed pitch, (samples,) float32; bilinear between cycles and within them."""
    cycles = (phase + frequency_hz / sample_rate * np.arange(samples, dtype=np.float64)) % 1.0
    position = cycles * TABLE_SIZE
    column = position.astype(np.int32)
    part = (position - column).astype(np.float32)
    if len(tables) == 1:
        row = tables[0]
        return row[column] + part * (row[column + 1] - row[column])
    height = (np.sqrt(np.linspace(0.0, 1.0, samples, endpoint=False)) * (_ROWS - 1)).astype(np.float32)
    level = np.minimum(height.astype(np.int32), _ROWS - 2)
    index, flat, width = level * (TABLE_SIZE + 1) + column, tables.reshape(-1), TABLE_SIZE + 1
    lower = flat[index] + part * (flat[index + 1] - flat[index])
    upper = flat[index + width] + part * (flat[index + width + 1] - flat[index + width])
    return lower + (height - level) * (upper - lower)


def note_envelope(
    samples: int,
    sample_rate: int,
    *,
    held_seconds: float,
    attack_seconds: float,
    decay_seconds: float,
    sustain: float,
    release_seconds: float,
) -> np.ndarray:
    """Attack (linear), exponential decay to `sustain`, exponential release that reaches exactly 0 at the end."""
    time = np.arange(samples, dtype=np.float32) / np.float32(sample_rate)
    body = sustain + (1.0 - sustain) * np.exp(-time / np.float32(decay_seconds))
    body *= np.minimum(1.0, (time + 1.0 / sample_rate) / np.float32(attack_seconds))
    released = np.maximum(0.0, time - np.float32(held_seconds))
    tail = np.minimum(1.0, ((samples - 1) / sample_rate - time) / np.float32(0.1 * release_seconds))
    return (body * np.exp(-4.0 * released / np.float32(release_seconds)) * tail).astype(np.float32)


def low_pass(frequencies_hz: np.ndarray, corner_hz: np.ndarray, resonance: float = 0.0) -> np.ndarray:
    """Magnitude of a 24 dB per octave low-pass with a bump of `resonance` at its corner, at the partials."""
    ratio = frequencies_hz / corner_hz
    bump = 1.0 + resonance * np.exp(-((np.log2(np.maximum(ratio, 1e-6)) / 0.3) ** 2))
    return bump / (1.0 + ratio**4)


def shaped_noise(samples: int, sample_rate: int, *, low_hz: float, high_hz: float, seed: int) -> np.ndarray:
    """Noise of unit standard deviation between two soft corners, (samples,) float32; the seed fixes it."""
    size = 1 << max(6, (samples - 1).bit_length())
    white = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    frequencies = np.fft.rfftfreq(size, 1.0 / sample_rate) + 1e-3
    gain = 1.0 / np.sqrt(1.0 + (low_hz / frequencies) ** 6) / np.sqrt(1.0 + (frequencies / high_hz) ** 6)
    noise = np.fft.irfft(np.fft.rfft(white) * gain)[:samples]
    return (noise / (np.std(noise) + 1e-9)).astype(np.float32)
