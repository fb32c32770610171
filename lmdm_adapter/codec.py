"""The codec: audio to latents and back in one go, with the scale that a checkpoint's latents carry."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.convolution import folded
from lmdm_adapter.network.oobleck import AudioAutoencoder
from lmdm_adapter.network.reach import decode_window, decoder_hold_back_frames, encoder_hold_back_frames


@dataclass(frozen=True, eq=False)
class Codec:
    """A handle on an autoencoder: encoding divides latents by `scale`, decoding multiplies; `sample_rate` is in Hz.

    Raises LmdmError when the rate or the scale is not positive.
    """

    autoencoder: AudioAutoencoder
    sample_rate: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.sample_rate <= 0:
            raise LmdmError(f"A codec needs a positive sample rate in Hz, got {self.sample_rate}.")
        if not self.scale > 0:
            raise LmdmError(f"A codec needs a positive scale, got {self.scale}.")

    @property
    def frame_samples(self) -> int:
        """Samples per frame."""
        return self.autoencoder.config.ratio

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.frame_samples

    @property
    def channels(self) -> int:
        """Audio channels."""
        return self.autoencoder.config.audio_channels

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.autoencoder.config.latent_channels

    @property
    def hold_back_frames(self) -> int:
        """Later frames that the audio of a frame depends on: what exact streaming holds back."""
        return decoder_hold_back_frames(self.autoencoder.config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return self._weight.dtype

    def encode(self, audio: Tensor) -> Tensor:
        """Latents of audio (the posterior's mean), `b ch s -> b c n`.

        Raises LmdmError for other channels than the codec's, or a length that is not a whole number of frames.
        """
        if audio.ndim != 3 or audio.shape[1] != self.channels:
            raise LmdmError(f"The codec encodes audio of shape (b, {self.channels}, s), got {tuple(audio.shape)}.")
        samples = audio.shape[-1]
        if samples == 0 or samples % self.frame_samples:
            raise LmdmError(
                f"The codec encodes whole frames of {self.frame_samples} samples, got {samples} samples; "
                f"pad with silence to {-(-max(samples, 1) // self.frame_samples) * self.frame_samples}."
            )
        return self.autoencoder.encode(audio) / self.scale

    def encode_in_pieces(self, audio: Tensor, *, piece_frames: int = 96) -> Tensor:
        """`encode` of long audio, `b ch s -> b c n`, a few seconds at a time: the same latents in bounded memory.

        Each piece is encoded with all that its latents hear on both sides. On a CPU it is several times faster than
        one pass, whose activations leave every cache. Raises LmdmError as `encode`.
        """
        samples, reach = self.frame_samples, encoder_hold_back_frames(self.autoencoder.config)
        frames, pieces = audio.shape[-1] // samples, []
        if audio.shape[-1] % samples or frames <= piece_frames:
            return self.encode(audio)
        for first in range(0, frames, piece_frames):
            left, right = max(0, first - reach), min(frames, first + piece_frames + reach)
            latents = self.encode(audio[..., left * samples : right * samples])
            pieces.append(latents[..., first - left : first - left + piece_frames])
        return torch.cat(pieces, dim=-1)

    def decode(self, latents: Tensor) -> Tensor:
        """Audio of latents, `b c n -> b ch s`. Raises LmdmError for other latents than the codec's, or none."""
        self.require_latents(latents)
        return self.autoencoder.decode(latents * self.scale)

    def decode_frames(self, latents: Tensor, *, first_frame: int, last_frame: int) -> Tensor:
        """Frames `first_frame` up to `last_frame` (excluded) of `decode(latents)`, `b c n -> b ch s`, and no more work.

        Raises LmdmError for other latents than the codec's, or frames outside them.
        """
        self.require_latents(latents)
        return decode_window(self.autoencoder, latents * self.scale, first_frame=first_frame, last_frame=last_frame)

    def decode_in_pieces(self, latents: Tensor, *, first_frame: int = 0, piece_frames: int = 96) -> Tensor:
        """`decode` of long latents from `first_frame` on, `b c n -> b ch s`, a few seconds at a time.

        The same audio in bounded memory, and on a CPU several times faster. Raises LmdmError as `decode`.
        """
        self.require_latents(latents)
        frames = latents.shape[-1]
        if not 0 <= first_frame < frames:
            raise LmdmError(f"Frame {first_frame} does not lie within {frames} frames of latents.")
        pieces = [
            self.decode_frames(latents, first_frame=first, last_frame=min(first + piece_frames, frames))
            for first in range(first_frame, frames, piece_frames)
        ]
        return torch.cat(pieces, dim=-1)

    def folded(self) -> Codec:
        """The same codec with weight norms worked out once: faster, for inference only, at the cost of own kernels."""
        return replace(self, autoencoder=folded(self.autoencoder))

    def require_latents(self, latents: Tensor) -> None:
        """Raise LmdmError unless `latents` are `b c n` with this codec's channels and at least one frame."""
        if latents.ndim != 3 or latents.shape[1] != self.latent_channels or not latents.shape[-1]:
            raise LmdmError(
                f"The codec decodes latents of shape (b, {self.latent_channels}, n) with n of at least 1, "
                f"got {tuple(latents.shape)}."
            )

    @property
    def _weight(self) -> Tensor:
        decoder = self.autoencoder.decoder
        return next(decoder.parameters(), next(decoder.buffers(), torch.empty(0)))

    def __repr__(self) -> str:
        return (
            f"Codec({self.sample_rate} Hz, {self.channels} ch, {self.latent_channels} latent channels, "
            f"{self.frame_rate_hz:.2f} frames per second)"
        )
