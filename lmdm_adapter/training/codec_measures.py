"""Measures of a codec on whole songs that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.network.oobleck import AudioAutoencoder
from lmdm_adapter.training.songs import SongFacts, as_audio, load_song
from lmdm_adapter.training.spectral import MultiResolutionDistance, log, magnitudes, si_sdr_db

DB_PER_NEPER = 20.0 / np.log(10.0)


def song_excerpts(folder: Path, songs: Sequence[SongFacts], *, seconds: float, ratio: int) -> Tensor:
    """The middle `seconds` of every song, cut to whole frames, `b 1 s`."""
    rows = []
    for facts in songs:
        sound = load_song(folder, facts)
        samples = int(min(seconds * facts.sample_rate, len(sound))) // ratio * ratio
        start = (len(sound) - samples) // 2
        rows.append(as_audio(sound[start : start + samples]))
    return torch.stack(rows)[:, None]


@torch.no_grad()
def reconstruct(autoencoder: AudioAutoencoder, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Latents (posterior mean, unscaled) `b c n` and the sound of them `b 1 s`, one row at a time."""
    latents = [autoencoder.encode(row[None]) for row in audio]
    return torch.cat(latents), torch.cat([autoencoder.decode(latent) for latent in latents])


def first_reconstruction(autoencoder: AudioAutoencoder, audio: Tensor, sample_rate: int) -> Audio:
    """What the codec makes of the first row of `b 1 s`."""
    return Audio(reconstruct(autoencoder, audio[:1])[1][0].numpy(), sample_rate)


@torch.no_grad()
def codec_measures(autoencoder: AudioAutoencoder, audio: Tensor, *, sample_rate: int) -> dict[str, float]:
    """Mel distance (nepers), log-spectral distance (dB RMS over bins, 2048 window), SI-SDR (dB), latents' deviation."""
    latents, made = reconstruct(autoencoder, audio)
    window = torch.hann_window(2048)
    difference = log(magnitudes(made[:, 0], window)) - log(magnitudes(audio[:, 0], window))
    return {
        "mel": MultiResolutionDistance(sample_rate)(made, audio).mel.item(),
        "log_spectral_db": difference.square().mean(1).sqrt().mean().item() * float(DB_PER_NEPER),
        "si_sdr_db": si_sdr_db(made, audio).item(),
        "latent_deviation": latents.std().item(),
    }


@torch.no_grad()
def write_reconstructions(autoencoder: AudioAutoencoder, audio: Tensor, folder: Path, *, sample_rate: int) -> None:
    """One WAV per row of `b 1 s`: the original, then its reconstruction."""
    folder.mkdir(parents=True, exist_ok=True)
    _, made = reconstruct(autoencoder, audio)
    for row, (before, after) in enumerate(zip(audio, made, strict=True)):
        both = torch.cat([before[0], after[0]]).clamp(-1.0, 1.0).numpy()
        soundfile.write(folder / f"reconstruction-{row}.wav", both, sample_rate, subtype="PCM_16")
