"""What the codec is trained for: sound that comes back the same, through latents near a unit normal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmdm_adapter.network.oobleck import AudioAutoencoder, stdev_of
from lmdm_adapter.training.draws import normal
from lmdm_adapter.training.spectral import MultiResolutionDistance


@dataclass(frozen=True)
class CodecWeights:
    """Weights of the terms of the codec's loss; `kl` grows from zero over `kl_warmup_steps`, counted in batches.

    The waveform term pins the phase of low notes. With a weight like that of the mel term it wins: in a trial the mel
    distance then stood still for a thousand steps while SI-SDR rose.
    """

    mel: float = 2.0
    log_magnitude: float = 0.5
    magnitude: float = 0.5
    waveform: float = 0.2
    kl: float = 1e-2
    kl_warmup_steps: int = 500


class CodecObjective(nn.Module):
    """Losses of one batch of audio. The autoencoder alone has parameters; its keys begin with `autoencoder.`."""

    def __init__(self, autoencoder: AudioAutoencoder, *, sample_rate: int, weights: CodecWeights, seed: int) -> None:
        super().__init__()
        self.autoencoder, self.weights, self.seed = autoencoder, weights, seed
        self.distance = MultiResolutionDistance(sample_rate)

    def forward(self, audio: Tensor, step: int) -> dict[str, Tensor]:
        """`loss` and its terms, unweighted, for audio `b 1 s`; the posterior's noise depends on (seed, step)."""
        mean, scale = self.autoencoder.encode_stats(audio)
        mean, stdev = mean.float(), stdev_of(scale.float())
        noise = normal(mean.shape, seed=self.seed, step=step, purpose="posterior", device=mean.device)
        made = self.autoencoder.decode(mean + stdev * noise)
        with torch.autocast(audio.device.type, enabled=False):
            return self._losses(made.float(), audio, kl(mean, stdev), step)

    def _losses(self, made: Tensor, audio: Tensor, divergence: Tensor, step: int) -> dict[str, Tensor]:
        mel, log_magnitude, magnitude = self.distance(made, audio)
        waveform = F.l1_loss(made, audio) / (audio.abs().mean() + 1e-4)
        weights = self.weights
        kl_weight = weights.kl * min(1.0, step / max(1, weights.kl_warmup_steps))
        loss = (
            weights.mel * mel + weights.log_magnitude * log_magnitude + weights.magnitude * magnitude
            + weights.waveform * waveform + kl_weight * divergence
        )  # fmt: skip
        terms = {"mel": mel, "log_magnitude": log_magnitude, "magnitude": magnitude, "waveform": waveform}
        return {"loss": loss, **terms, "kl": divergence}


def kl(mean: Tensor, stdev: Tensor) -> Tensor:
    """Divergence of the posterior from a unit normal in nats per latent value, averaged over `b c n`."""
    return 0.5 * (mean.square() + stdev.square() - 1.0 - 2.0 * stdev.log()).mean()
