"""Priming encodes in pieces: the latents are those of one pass, and the memory does not grow with the context."""

from __future__ import annotations

import numpy as np
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.bench.live_memory import peak_bytes
from lmdm_adapter.codec import Codec
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.prime import PIECE_FRAMES, prime_latents
from lmdm_adapter.spec import BlockSpec
from tests.randomise import randomise

SHAPE = OobleckConfig(audio_channels=1, channels=4, c_mults=(1, 2), strides=(4, 8), latent_channels=4)


def codec() -> Codec:
    autoencoder = AudioAutoencoder(SHAPE)
    randomise(autoencoder, seed=3)
    return Codec(autoencoder, 1000)


def noise(frames: int) -> Audio:
    sound = np.random.default_rng(0).normal(0.0, 0.3, (1, frames * SHAPE.ratio))
    return Audio(sound.astype(np.float32), 1000)


@torch.no_grad()
def test_a_context_of_several_pieces_is_that_of_one_pass() -> None:
    own, audio, spec = codec(), noise(200), BlockSpec(16, 10)
    assert spec.context_frames > 3 * PIECE_FRAMES
    whole = own.encode(torch.from_numpy(audio.samples)[None])
    primed = prime_latents(own, audio, spec)
    assert primed.shape[-1] == 160
    scale = whole.abs().max()
    assert (primed - whole[..., -160:]).abs().max() < 1e-5 * scale
    assert (primed - whole[..., -161:-1]).abs().max() > 0.01 * scale, "and not those of a frame before"


@torch.no_grad()
def test_the_memory_of_priming_does_not_grow_with_the_context() -> None:
    own = codec()
    peaks = [peak_bytes(lambda blocks=blocks: prime_latents(own, noise(360), BlockSpec(16, blocks)))
             for blocks in (7, 21)]  # fmt: skip
    whole = peak_bytes(lambda: own.encode(torch.from_numpy(noise(336).samples)[None]))
    assert peaks[1] < 1.2 * peaks[0] and whole > 2 * peaks[1]
