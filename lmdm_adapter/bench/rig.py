"""What is timed: a network of the wanted sizes with drawn weights, in the middle of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lmdm_adapter import codec_stream
from lmdm_adapter.bench.shapes import Shape
from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_stream import CodecState
from lmdm_adapter.loading import place
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.packing import packed, packs
from lmdm_adapter.rollout import Told, begin, block_velocity, next_block
from lmdm_adapter.samplers import Velocity, noise, sample
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Conditioning, StreamState

SEED = 0


@dataclass(frozen=True, eq=False)
class Rig:
    """A network as it plays, its folded codec, and a prompt that is ready; drawn weights take as long as trained ones.

    `weights_bytes` is the memory of each part; packed matrices come on top of the DiT's own.
    """

    dit: DiT
    codec: Codec
    told: Told
    sampling: Sampling
    weights_bytes: Mapping[str, int]

    def in_mid_stream(self, spec: BlockSpec) -> StreamState:
        """A state whose next block hears a full context, the newest block of it pending as always in play."""
        shape = (1, self.codec.latent_channels, spec.context_frames)
        state = begin(self._drawn(*shape), seeds=(SEED,), spec=spec)
        return next_block(self.dit, state, self.told, spec=spec, sampling=replace(self.sampling, steps=1))[1]

    def opened(self, state: StreamState, spec: BlockSpec) -> Velocity:
        """The commit stage: pending blocks are committed, or the context is encoded; outpainting has nothing to do."""
        return block_velocity(self.dit, state, self.told, spec=spec)[0]

    def denoised(self, velocity: Velocity, spec: BlockSpec) -> Tensor:
        """The denoise stage: all denoise steps of a block that is open, `1 c n`."""
        x = self._drawn(1, self.codec.latent_channels, spec.block_frames)
        unguided = replace(self.sampling, guidance=1.0)  # the velocity of an open block is guided already
        return sample(
            velocity, x, sampling=unguided, objective=self.dit.config.objective,
            fresh_noise=lambda step: noise(SEED, 0, step, "bench", shape=tuple(x.shape[1:]))[None].to(x),
        )  # fmt: skip

    def played(self, state: StreamState, spec: BlockSpec) -> StreamState:
        """Both stages as they are played: the first denoise step commits, where the regime can."""
        return next_block(self.dit, state, self.told, spec=spec, sampling=self.sampling)[1]

    def decoder(self, spec: BlockSpec) -> CodecState:
        """The codec's state in the middle of an exact stream."""
        context = self._drawn(1, self.codec.latent_channels, spec.context_frames)
        state = codec_stream.start(self.codec)
        return codec_stream.decode_step(self.codec, state, context.to(self.codec.dtype))[1]

    def decoded(self, state: CodecState, spec: BlockSpec) -> Tensor:
        """The decode stage: the audio of one block, `1 ch s`."""
        latents = self._drawn(1, self.codec.latent_channels, spec.block_frames)
        return codec_stream.decode_step(self.codec, state, latents.to(self.codec.dtype))[0]

    def _drawn(self, *shape: int) -> Tensor:
        return noise(SEED, 0, 0, "bench", shape=shape).to(self.codec.device)


def rig_of(shape: Shape, sampling: Sampling, *, device: torch.device, dtype: torch.dtype) -> Rig:
    """Build a shape with drawn weights as `load` would place it: the DiT in `dtype`, its codec in fp32."""
    return rig_on(network_of(shape, device=device, dtype=dtype), shape, sampling)


def network_of(shape: Shape, *, device: torch.device, dtype: torch.dtype) -> Network:
    """The network of a shape as `load` would place it. On the device `meta` its weights have no values."""
    born = device if device.type == "meta" else torch.device("cpu")
    with torch.random.fork_rng(devices=[]), born:
        torch.manual_seed(SEED)
        network = Network(shape.network).requires_grad_(False).eval()
    place(network, device=device, dtype=dtype)
    return network


def rig_on(network: Network, shape: Shape, sampling: Sampling) -> Rig:
    """The rig of a network that was built for `shape`."""
    codec = Codec(network.autoencoder, shape.sample_rate).folded()
    draws = torch.Generator().manual_seed(SEED)
    cross = torch.randn(1, shape.prompt_tokens, shape.dit.cond_token_dim, generator=draws).to(codec.device)
    global_cond = torch.randn(1, shape.dit.global_cond_dim, generator=draws).to(codec.device)
    parts = {"dit": network.dit, "encoder": network.autoencoder.encoder, "decoder": codec.autoencoder.decoder}
    weights_bytes = {name: _bytes(module) for name, module in parts.items()}
    dit = network.dit
    if packs(dit):
        dit = packed(dit)
        weights_bytes["packed"] = weights_bytes["dit"] - _bytes(dit)
    told = Told.of(dit, Conditioning(cross, global_cond=global_cond), guidance=sampling.guidance)
    return Rig(dit, codec, told, sampling, weights_bytes)


def _bytes(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
