"""Features of music for the Fréchet distance: how loud each band is, how it moves, and how regular the onsets are.

Each window of 2 s gives, for each of 64 mel bands, the mean, the standard deviation and the mean absolute change of the
band's level in dB, and the autocorrelation of the onset strength at the beat lengths of 60 to 180 BPM. A window is a
function of its own samples alone.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError

MEL_BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 30.0, 11_000.0
FLOOR_POWER = 1e-6
"""Added to the power of a band, a full-scale sine being 1: what lies below -60 dB counts as silence."""
FRAME_SECONDS, HOP_SECONDS = 0.046, 0.01
WINDOW_SECONDS, WINDOW_HOP_SECONDS = 2, 1
BEAT_GRID_BPM = tuple(range(60, 181, 5))
"""Autocorrelation is read at the beat length of each of these 25 tempos, interpolated between spectrum frames."""
FEATURES = 3 * MEL_BANDS + len(BEAT_GRID_BPM)


def window_features(audio: Audio) -> np.ndarray:
    """Features of all whole windows of `audio`, (windows, 217) float32: means, deviations, changes, autocorrelations.

    Channels are averaged. Raises LmdmError for audio shorter than one window, or with NaN.
    """
    if not np.isfinite(audio.samples).all():
        raise LmdmError("Features need finite audio, but it holds NaN or infinite samples.")
    levels = log_mel(_windows(audio), audio.sample_rate)
    change = levels.diff(dim=-1)
    statistics = (levels.mean(-1), levels.std(-1, correction=0), change.abs().mean(-1))
    rhythm = beat_autocorrelation(onset_strength(levels), frame_rate_hz=1.0 / frame_hop_seconds(audio.sample_rate))
    return torch.cat((*statistics, rhythm), dim=-1).numpy()


def window_count(seconds: float) -> int:
    """How many whole windows audio of this length holds."""
    return max(0, math.floor((seconds - WINDOW_SECONDS) / WINDOW_HOP_SECONDS + 1e-9) + 1)


def log_mel(sounds: Tensor, sample_rate: int) -> Tensor:
    """Levels of the mel bands in dB of a full-scale sine, `w s -> w m n` with frames 10 ms apart.

    Frames that would leave the sound are not made, so that nothing outside it counts.
    """
    frame_samples = _frame_samples(sample_rate)
    shape = torch.hann_window(frame_samples, dtype=sounds.dtype)
    frames = sounds.unfold(-1, frame_samples, _hop_samples(sample_rate)) * shape
    power = (torch.fft.rfft(frames).abs() * (2.0 / shape.sum())).square()
    bands = power @ mel_weights(sample_rate).to(power.dtype)
    return 10.0 * (bands + FLOOR_POWER).log10().transpose(-1, -2)


def mel_weights(sample_rate: int) -> Tensor:
    """Triangular filters on the mel scale, peak 1, `bins bands`. A band beyond half the sample rate is empty."""
    edges_hz = _hz(torch.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MEL_BANDS + 2, dtype=torch.float64))
    frame_samples = _frame_samples(sample_rate)
    bins_hz = torch.arange(frame_samples // 2 + 1, dtype=torch.float64)[:, None] * (sample_rate / frame_samples)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rise, fall = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    return torch.minimum(rise, fall).clamp(min=0.0).float()


def onset_strength(levels: Tensor) -> Tensor:
    """How much louder the bands got since the frame before, averaged over bands, `w m n -> w (n - 1)` in dB."""
    return levels.diff(dim=-1).clamp(min=0.0).mean(dim=-2)


def beat_autocorrelation(strength: Tensor, *, frame_rate_hz: float) -> Tensor:
    """Autocorrelation of onset strength at the beat grid, `w n -> w lags`; 1 is perfect repetition, silence gives 0."""
    lags = 60.0 * frame_rate_hz / torch.tensor(BEAT_GRID_BPM, dtype=torch.float64)
    return interpolated(autocorrelation(strength), lags)


def autocorrelation(strength: Tensor) -> Tensor:
    """Autocorrelation at whole lags from 0, `w n -> w n`, of the deviations from the mean, over that at lag 0.

    Each lag is divided by the number of products in it, so that a long lag is not a weak one.
    """
    frames = strength.shape[-1]
    centred = strength - strength.mean(dim=-1, keepdim=True)
    spectrum = torch.fft.rfft(centred, n=2 * frames)
    products = torch.fft.irfft(spectrum.abs().square(), n=2 * frames)[..., :frames]
    mean_products = products / torch.arange(frames, 0, -1, dtype=strength.dtype)
    return mean_products / mean_products[..., :1].clamp(min=1e-9)


def interpolated(values: Tensor, lags: Tensor) -> Tensor:
    """`values` (`w n`) read at fractional lags, linearly."""
    below = lags.floor().long()
    share = (lags - below).to(values.dtype)
    return values[..., below] * (1.0 - share) + values[..., below + 1] * share


def frame_hop_seconds(sample_rate: int) -> float:
    """Distance between spectrum frames: 10 ms to the nearest sample."""
    return _hop_samples(sample_rate) / sample_rate


def mono(audio: Audio) -> Tensor:
    """The average of the channels, `s`."""
    return torch.from_numpy(audio.samples.mean(axis=0))


def _windows(audio: Audio) -> Tensor:
    size, hop = WINDOW_SECONDS * audio.sample_rate, WINDOW_HOP_SECONDS * audio.sample_rate
    if audio.samples.shape[1] < size:
        raise LmdmError(f"Features need at least {WINDOW_SECONDS} s of audio, got {audio.seconds:.3f} s.")
    return mono(audio).unfold(-1, size, hop)


def _frame_samples(sample_rate: int) -> int:
    return 2 ** round(math.log2(FRAME_SECONDS * sample_rate))


def _hop_samples(sample_rate: int) -> int:
    return max(1, round(HOP_SECONDS * sample_rate))


def _mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def _hz(mel: Tensor) -> Tensor:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
