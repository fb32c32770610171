"""Melody: the strongest notes around a frame, from a filter for each note.

The filters are those of librosa's variable-Q transform (constant Q where `gamma_hz` is 0). A filter needs the more
sound the lower its note. It sits in the middle of its frame where the look-ahead suffices, else as far back as it must:
low notes are told a little late rather than not at all, and high notes do not wait for them.

Only notes that are louder than both their neighbours count, so that one note is one bin, as a drawn one is. They are
scaled to the strongest of the frame: how loud it all is, loudness says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.controls.sketch.extractor import SILENCE_DB, Extractor, needed

SOFTEST_SHARE = 0.05
"""Notes this much softer than the strongest are left out: the filters' own side lobes reach 0.03."""
GUARD_BINS = 1
KEPT_SHARE = 0.999
"""How much of each filter's spectrum is kept."""


def melody_late_frames(config: SketchConfig) -> np.ndarray:
    """By how many frames each bin describes its frame too late, (bins,): its filter's middle behind the frame's.

    This comes on top of `feature_delay_frames`; only low notes are late. Raises LmdmError without the extra `[sketch]`.
    """
    half_lengths, most = _half_lengths(config)[GUARD_BINS:-GUARD_BINS], _look_ahead_samples(config)
    return np.maximum(half_lengths - (config.frame_samples // 2 + most), 0) / config.frame_samples


@lru_cache(maxsize=8)
def _reach(config: SketchConfig) -> tuple[int, int]:
    future = _look_ahead_samples(config)
    longest = 2 * int(_half_lengths(config).max())
    return max(longest - config.frame_samples - future, 0), future


def _measure(config: SketchConfig, sound: np.ndarray) -> np.ndarray:
    bank = _bank(config)
    spectrum = needed("scipy.fft").rfft(sound, n=_transform_samples(config))
    strengths = np.abs(bank @ spectrum)
    own = strengths[GUARD_BINS:-GUARD_BINS]
    peaks = np.where((own >= strengths[:-2]) & (own > strengths[2:]), own, 0.0)
    last_kept = np.partition(peaks, -config.top_k)[-config.top_k]
    least = max(last_kept, SOFTEST_SHARE * strengths.max(), 10.0 ** (SILENCE_DB / 20.0))
    kept = np.where(peaks >= least, peaks, 0.0)
    return kept / max(kept.max(), least)


def _look_ahead_samples(config: SketchConfig) -> int:
    return config.feature_delay_frames("melody") * config.frame_samples


def _frequencies_hz(config: SketchConfig) -> np.ndarray:
    """Of all bins and of a guard on either side, without which a note outside would count as the outermost one."""
    return np.array([config.bin_hz(index) for index in range(-GUARD_BINS, config.bins + GUARD_BINS)])


@lru_cache(maxsize=8)
def _half_lengths(config: SketchConfig) -> np.ndarray:
    """Samples of each filter to either side of its middle, guards included."""
    lengths, _ = needed("librosa.filters").wavelet_lengths(
        freqs=_frequencies_hz(config), sr=config.sample_rate, gamma=config.gamma_hz
    )
    return np.ceil(lengths / 2).astype(int) + 1


@lru_cache(maxsize=8)
def _transform_samples(config: SketchConfig) -> int:
    past, future = _reach(config)
    return needed("scipy.fft").next_fast_len(past + config.frame_samples + future, real=True)


@lru_cache(maxsize=8)
def _bank(config: SketchConfig) -> Any:
    """The filters as a sparse matrix on spectra, `bins + 2, s/2+1`: a sine of amplitude 1 gives its bin 1."""
    librosa_filters, fft = needed("librosa.filters"), needed("scipy.fft")
    waves, _ = librosa_filters.wavelet(
        freqs=_frequencies_hz(config), sr=config.sample_rate, gamma=config.gamma_hz, pad_fft=False
    )
    samples = _transform_samples(config)
    placed = np.stack([_placed(wave, middle, samples) for wave, middle in zip(waves, _middles(config), strict=True)])
    spectra = fft.fft(placed)[:, : samples // 2 + 1].conj() * (2.0 / samples)
    return needed("librosa").util.sparsify_rows(spectra.astype(np.complex64), quantile=1.0 - KEPT_SHARE)


def _middles(config: SketchConfig) -> np.ndarray:
    """Where in the sound of a frame the middle of each filter lies."""
    past, future = _reach(config)
    end = past + config.frame_samples + future
    return np.minimum(past + config.frame_samples // 2, end - _half_lengths(config))


def _placed(wave: np.ndarray, middle: int, samples: int) -> np.ndarray:
    """A filter, given in the middle of zeros, moved to `middle` of `samples`."""
    half = len(wave) // 2
    places = np.arange(len(wave)) - half + middle
    inside = (places >= 0) & (places < samples)
    placed = np.zeros(samples, dtype=wave.dtype)
    placed[places[inside]] = wave[inside]
    return placed


MELODY = Extractor(_reach, _measure)
