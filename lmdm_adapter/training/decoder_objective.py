"""What a decoder is trained for once its encoder is finished: the spectra of the music, and a judge to be convinced."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from lmdm_adapter.network.oobleck import AudioAutoencoder, stdev_of
from lmdm_adapter.training.draws import normal
from lmdm_adapter.training.spectral import MultiResolutionDistance
from lmdm_adapter.training.spectral_judge import (
    SpectralJudge,
    SpectralJudgeConfig,
    deception,
    discrimination,
    feature_distance,
)


@dataclass(frozen=True)
class DecoderWeights:
    """Weights of the terms; `adversarial` and `features` grow from zero over `warmup_steps`, while the judge learns.

    Those steps are counted in batches. With these weights, the gradients of the spectral terms, of `adversarial` and of
    `features` at the sound were about as large as each other on a trained codec.
    """

    mel: float = 1.0
    log_magnitude: float = 0.3
    magnitude: float = 0.3
    waveform: float = 0.1
    adversarial: float = 3.0
    features: float = 3.0
    warmup_steps: int = 100


class DecoderObjective(nn.Module):
    """Trains `autoencoder.decoder` and `discriminator` at once: one loss, and neither part learns from the other's.

    The decoder is judged through constant copies of the judge's weights, the judge sees detached sound; only the
    clipping of the gradient's norm takes both together. The encoder is frozen, so that latents, and all models on
    them, stay valid.
    """

    def __init__(
        self, autoencoder: AudioAutoencoder, discriminator: SpectralJudgeConfig, *, sample_rate: int,
        weights: DecoderWeights, seed: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.autoencoder, self.weights, self.seed = autoencoder, weights, seed
        self.autoencoder.encoder.requires_grad_(False)
        self.autoencoder.decoder.requires_grad_(True)
        self.discriminator = SpectralJudge(discriminator)
        self.distance = MultiResolutionDistance(sample_rate)

    def forward(self, audio: Tensor, step: int) -> dict[str, Tensor]:
        """`loss` and its terms, unweighted, for audio `b 1 s`; the posterior's noise depends on (seed, step)."""
        made = self.autoencoder.decode(self._latents(audio, step)).float()
        with torch.autocast(audio.device.type, enabled=False):
            spectral, terms = self._spectral(made, audio)
        judged, judgement = self._judged(made, audio, step)
        return {"loss": spectral + judged, **terms, **judgement}

    @torch.no_grad()
    def _latents(self, audio: Tensor, step: int) -> Tensor:
        mean, scale = self.autoencoder.encode_stats(audio)
        noise = normal(mean.shape, seed=self.seed, step=step, purpose="posterior", device=mean.device)
        return mean.float() + stdev_of(scale.float()) * noise

    def _spectral(self, made: Tensor, audio: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        mel, log_magnitude, magnitude = self.distance(made, audio)
        waveform = F.l1_loss(made, audio) / (audio.abs().mean() + 1e-4)
        weights = self.weights
        loss = (
            weights.mel * mel + weights.log_magnitude * log_magnitude + weights.magnitude * magnitude
            + weights.waveform * waveform
        )  # fmt: skip
        return loss, {"mel": mel, "log_magnitude": log_magnitude, "magnitude": magnitude, "waveform": waveform}

    def _judged(self, made: Tensor, audio: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        constant = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        heard = functional_call(self.discriminator, constant, (made,))
        real = self.discriminator(audio)
        judge = discrimination(real, self.discriminator(made.detach()))
        terms = {"judge": judge, "adversarial": deception(heard), "features": feature_distance(real, heard)}
        share = min(1.0, step / max(1, self.weights.warmup_steps))
        weighted = self.weights.adversarial * terms["adversarial"] + self.weights.features * terms["features"]
        return judge + share * weighted, terms
