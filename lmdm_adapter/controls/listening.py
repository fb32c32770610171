"""How a model hears another player: latents of its codec, and harmony beside them where it declares that.

Sound comes in as it is played, in chunks of any length. A frame is heard once its latents and its harmony are told; the
one that is there earlier waits for the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lmdm_adapter import codec_encode_stream
from lmdm_adapter.audio import Audio
from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_encode_stream import EncoderState
from lmdm_adapter.controls.accompaniment import Heard
from lmdm_adapter.controls.declared import HARMONY, FrameControls
from lmdm_adapter.controls.harmony import (
    HARMONY_CHANNELS,
    HarmonyConfig,
    HarmonyState,
    harmony,
    harmony_start,
    harmony_step,
)
from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True, eq=False)
class Listening:
    """With which codec, and whether for the harmony too. Raises LmdmError as `HarmonyConfig` does."""

    codec: Codec
    harmony: HarmonyConfig | None = None

    @staticmethod
    def of(codec: Codec, frame_controls: FrameControls) -> Listening:
        """As a model of that codec hears that declares `frame_controls`."""
        hears_harmony = any(name == HARMONY for name, _ in frame_controls)
        return Listening(codec, HarmonyConfig(codec.frame_samples, codec.sample_rate) if hears_harmony else None)

    @property
    def delay_frames(self) -> int:
        """How many frames after a frame it is heard, with latents that are final."""
        return max(codec_encode_stream.hold_back_frames(self.codec), self.least_delay_frames)

    @property
    def least_delay_frames(self) -> int:
        """What the harmony takes, which no look-ahead of the encoder makes less."""
        return 0 if self.harmony is None else self.harmony.delay_frames

    @property
    def harmony_channels(self) -> int:
        """Rows of harmony beside the latents: none where the model does not hear it."""
        return 0 if self.harmony is None else HARMONY_CHANNELS

    def nothing(self, *, from_frame: int = 0, kept_frames: int = 1024) -> Heard:
        """Nothing heard yet, with room for what comes."""
        channels = self.codec.latent_channels
        return Heard(
            torch.zeros(channels, 0), from_frame, from_frame, kept_frames, torch.zeros(self.harmony_channels, 0)
        )

    @torch.inference_mode()
    def whole(self, audio: Audio) -> Heard:
        """All of a sound of the codec's rate and channels; an incomplete last frame is filled with silence.

        Raises LmdmError for a sound of another rate, NaN or infinity.
        """
        codec = self.codec
        sound = torch.from_numpy(audio.samples)[None].to(codec.device, codec.dtype)
        padded = torch.nn.functional.pad(sound, (0, -sound.shape[-1] % codec.frame_samples))
        latents = codec.encode_in_pieces(padded)[0].float().cpu().clone()
        told = torch.zeros(0, latents.shape[-1])
        if self.harmony is not None:
            told = torch.from_numpy(harmony(self.harmony, audio))
        return Heard(latents, harmony=told)


@dataclass(frozen=True, eq=False)
class ListeningState:
    """Everything that a stream needs to go on; `latents` `c n` and `told` `h n` wait for one another."""

    encoder: EncoderState
    harmony: HarmonyState
    latents: Tensor
    told: Tensor


def listen(
    listening: Listening, *, look_ahead_frames: int | None = None, hop_frames: int = 1
) -> ListeningState:  # fmt: skip
    """The state before the first sample. `look_ahead_frames` None is `delay_frames`; fewer make latents inexact.

    Raises LmdmError for a look-ahead that is longer than that, or shorter than the harmony takes, and for no hop.
    """
    least, most = listening.least_delay_frames, listening.delay_frames
    frames = most if look_ahead_frames is None else look_ahead_frames
    if not least <= frames <= most:
        raise LmdmError(f"This model hears with a look-ahead of {least} to {most} frames, got {frames}.")
    exact = codec_encode_stream.hold_back_frames(listening.codec)
    encoder = codec_encode_stream.start(
        listening.codec, look_ahead_frames=min(frames, exact), hop_frames=hop_frames
    )  # fmt: skip
    begun = () if listening.harmony is None else harmony_start(listening.harmony)
    nothing = listening.nothing()
    return ListeningState(encoder, begun, nothing.latents, nothing.harmony)


@torch.inference_mode()
def listen_step(listening: Listening, state: ListeningState, audio: Audio) -> tuple[Tensor, Tensor, ListeningState]:
    """Latents `c n` and harmony `h n` of the frames that `audio` settles, and the state after it.

    Raises LmdmError for a sound of another rate than the codec's, NaN or infinity.
    """
    codec = listening.codec
    sound = torch.from_numpy(audio.samples)[None].to(codec.device)
    latents, encoder = codec_encode_stream.encode_step(codec, state.encoder, sound)
    waiting, told, begun = torch.cat([state.latents, latents[0].float().cpu()], dim=-1), state.told, state.harmony
    settled = waiting.shape[-1]
    if listening.harmony is not None:
        newest, begun = harmony_step(listening.harmony, begun, audio)
        told = torch.cat([told, torch.from_numpy(newest)], dim=-1)
        settled = min(settled, told.shape[-1])
    left = ListeningState(encoder, begun, waiting[:, settled:].clone(), told[:, settled:].clone())
    return waiting[:, :settled].clone(), told[:, :settled].clone(), left
