"""Spectral distances between sounds: what the codec is trained on and measured by."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOWS_SAMPLES = (2048, 1024, 512, 256, 128, 64)
BANDS_PER_WINDOW = {2048: 160, 1024: 96, 512: 64, 256: 32, 128: 16, 64: 8}
LOG_FLOOR = 3e-4


class SpectralTerms(NamedTuple):
    """Distances averaged over window sizes; natural logarithms."""

    mel: Tensor
    log_magnitude: Tensor
    magnitude: Tensor


def mel_filters(bands: int, *, fft_samples: int, sample_rate: int) -> Tensor:
    """Triangular mel filters that each sum to 1, `bands bins`; a band narrower than a bin takes the nearest bin.

    Mel scale of O'Shaughnessy 1987: 2595 log10(1 + f / 700).
    """
    bins_hz = torch.linspace(0.0, sample_rate / 2, fft_samples // 2 + 1, dtype=torch.float64)
    top_mel = 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (torch.linspace(0.0, top_mel, bands + 2, dtype=torch.float64) / 2595.0) - 1.0)
    low, centre, high = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rise, fall = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    filters = torch.minimum(rise, fall).clamp(min=0.0)
    empty = filters.sum(1) == 0
    nearest = (bins_hz[None] - centre).abs().argmin(1)
    filters[empty, nearest[empty]] = 1.0
    return (filters / filters.sum(1, keepdim=True)).float()


class MultiResolutionDistance(nn.Module):
    """Distances of magnitude spectra at several window sizes, `b 1 s` each (Yamamoto et al. 2020, mel added).

    Mel bands weigh octaves alike; plain bins keep the highest octave sharp; the linear term, relative to the target's
    mean magnitude, sees loud partials. Hops are a quarter of the window.
    """

    def __init__(self, sample_rate: int, windows_samples: tuple[int, ...] = WINDOWS_SAMPLES) -> None:
        super().__init__()
        self.windows_samples = windows_samples
        for size in windows_samples:
            filters = mel_filters(BANDS_PER_WINDOW[size], fft_samples=size, sample_rate=sample_rate)
            self.register_buffer(f"filters_{size}", filters, persistent=False)
            self.register_buffer(f"window_{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Tensor, target: Tensor) -> SpectralTerms:
        """The distances, each a scalar."""
        terms = [self._at(size, made[:, 0].float(), target[:, 0].float()) for size in self.windows_samples]
        return SpectralTerms(*(torch.stack(term).mean() for term in zip(*terms, strict=True)))

    def _at(self, size: int, made: Tensor, target: Tensor) -> SpectralTerms:
        window, filters = getattr(self, f"window_{size}"), getattr(self, f"filters_{size}")
        x, y = magnitudes(made, window), magnitudes(target, window)
        return SpectralTerms(
            mel=F.l1_loss(log(filters @ x), log(filters @ y)),
            log_magnitude=F.l1_loss(log(x), log(y)),
            magnitude=F.l1_loss(x, y) / (y.mean() + LOG_FLOOR),
        )


def magnitudes(sound: Tensor, window: Tensor) -> Tensor:
    """Magnitude spectrogram of `b s` as `b f n`, scaled so that a full-scale sine has a peak near 1."""
    size = len(window)
    spectrum = torch.stft(sound, size, size // 4, window=window, center=True, return_complex=True)
    # The square root of a sum of squares has no gradient at zero, and complex abs gives NaN there on some builds.
    power = torch.view_as_real(spectrum).square().sum(-1)
    return (power + 1e-12).sqrt() * (2.0 / window.sum())


def log(magnitude: Tensor) -> Tensor:
    """Natural logarithm with a floor at -70 dB."""
    return torch.log(magnitude.clamp(min=LOG_FLOOR))


def si_sdr_db(made: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB, `b 1 s` each, mean over the batch (Le Roux et al. 2019)."""
    made, target = made.flatten(1), target.flatten(1)
    share = (made * target).sum(1, keepdim=True) / (target.square().sum(1, keepdim=True) + 1e-8)
    wanted = share * target
    noise = (made - wanted).square().sum(1)
    return 10.0 * torch.log10((wanted.square().sum(1) + 1e-8) / (noise + 1e-8)).mean()
