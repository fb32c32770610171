"""Drop-in for pipelines around stable-audio-tools: its `generate_diffusion_cond`, for any length, or as it is made.

Nothing outside is touched: no seed, no flag of torch, no cache; the model is left as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lmdm_adapter import codec_stream
from lmdm_adapter.conversion import convert
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.host_request import (
    Features,
    Rows,
    prime_of,
    refuse_impossible,
    row_seeds,
    sampling_of,
    told_of,
    whole,
)  # fmt: skip
from lmdm_adapter.hosted import HostedModel
from lmdm_adapter.k_diffusion import KSampling, k_next_block
from lmdm_adapter.live import LiveModel
from lmdm_adapter.prime import prime_latents
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import StreamState

STOCK_SPEC = BlockSpec(regime="outpaint")


@dataclass(frozen=True)
class Progress:
    """How far a request is: `block` (from 0) of `blocks` is done, and `seconds` of the music are final."""

    block: int
    blocks: int
    seconds: float


Callback = Callable[[Progress], object]


def generate_diffusion_cond(
    model: LiveModel | nn.Module, steps: int = 250, cfg_scale: float = 6, conditioning: Rows | None = None,
    conditioning_tensors: Features | None = None, negative_conditioning: Rows | None = None,
    negative_conditioning_tensors: Features | None = None, batch_size: int = 1, sample_size: int = 2097152,
    sample_rate: int = 48000, seed: int = -1, device: str | torch.device = "cuda",
    init_audio: tuple[int, Tensor] | None = None, init_noise_level: float = 1.0, return_latents: bool = False, *,
    spec: BlockSpec | None = None, callback: Callback | None = None, **sampler_kwargs: Any,
) -> Tensor:  # fmt: skip
    """Music of any length, `b ch s` (`b c n` for `return_latents`), with the arguments of the host's own function.

    `stream_diffusion_cond` gives the same in pieces, and says what the arguments mean here. A host's model is converted
    at every call: where calls are many, convert it once and pass the live model.
    """
    pieces = stream_diffusion_cond(
        model, steps, cfg_scale, conditioning, conditioning_tensors, negative_conditioning,
        negative_conditioning_tensors, batch_size, sample_size, sample_rate, seed, device, init_audio,
        init_noise_level, return_latents, spec=spec, callback=callback, **sampler_kwargs,
    )  # fmt: skip
    return torch.cat(list(pieces), dim=-1)


def stream_diffusion_cond(
    model: LiveModel | nn.Module, steps: int = 250, cfg_scale: float = 6, conditioning: Rows | None = None,
    conditioning_tensors: Features | None = None, negative_conditioning: Rows | None = None,
    negative_conditioning_tensors: Features | None = None, batch_size: int = 1, sample_size: int = 2097152,
    sample_rate: int = 48000, seed: int = -1, device: str | torch.device = "cuda",
    init_audio: tuple[int, Tensor] | None = None, init_noise_level: float = 1.0, return_latents: bool = False, *,
    spec: BlockSpec | None = None, callback: Callback | None = None, **sampler_kwargs: Any,
) -> Iterator[Tensor]:  # fmt: skip
    """The music of `generate_diffusion_cond` piece by piece, `b ch s`, about one piece for each block.

    `model` is a live model, or a host's, which is converted as `spec` says, shares its tensors and stays as it was;
    None is outpainting, which needs no training, in a window of 240 frames (a host object does not tell its own: 256
    for Stable Audio Open Small, 1024 for 1.0). A host's model is converted, and on the CPU its matrices are packed, at
    every call: where calls are many, `lmdm_adapter.convert` it once and pass the live model.

    `conditioning` is a list with a dict for each row, or one for all. Row i is the same request with `seed + i` alone;
    -1 draws a seed. As in the host the music has whole frames: `sample_size` is rounded down to them. `init_audio` is
    what the music goes on from; as in the host it is resampled and mixed to the model's rate and channels. `callback`
    gets a `Progress` after every block. Raises LmdmError before any music for what cannot be honoured, naming it;
    nothing is ignored.
    """
    live = _live(model, spec)
    refuse_impossible(live, sample_rate=sample_rate, device=device, init_noise_level=init_noise_level)
    sampling = sampling_of(live, steps=steps, cfg_scale=cfg_scale, options=sampler_kwargs)
    frame_samples, rows = live.codec.frame_samples, whole("batch_size", batch_size)
    frames = whole("sample_size", sample_size, least=frame_samples) // frame_samples
    with torch.no_grad():
        told = told_of(
            live, rows, told=conditioning, tensors=conditioning_tensors, negative=negative_conditioning,
            negative_tensors=negative_conditioning_tensors, guidance=sampling.guidance,
        )  # fmt: skip
        start = _start(live, row_seeds(seed, rows), init_audio)
    return _pieces(_Request(live, told, sampling, start, frames, return_latents), callback)


@dataclass(frozen=True, eq=False)
class _Request:
    """Everything that decides the music."""

    live: LiveModel
    told: Told
    sampling: Sampling | KSampling
    start: StreamState
    frames: int
    latents_only: bool

    @property
    def blocks(self) -> int:
        """Blocks to make: audio goes on past its end by the codec's hold-back, then it is cut."""
        hold_back = 0 if self.latents_only else self.live.codec.hold_back_frames
        return math.ceil((self.frames + hold_back) / self.live.spec.block_frames)

    @property
    def unit(self) -> int:
        """What a piece has for each frame: its samples, or one latent."""
        return 1 if self.latents_only else self.live.codec.frame_samples


def _pieces(request: _Request, callback: Callback | None) -> Iterator[Tensor]:
    state, left = request.start, request.frames * request.unit
    for block in range(request.blocks):
        piece, state = _next_piece(request, state)
        piece = piece[..., :left]
        left -= piece.shape[-1]
        if callback is not None:
            done_frames = request.frames - left / request.unit
            callback(Progress(block, request.blocks, done_frames / request.live.codec.frame_rate_hz))
        if piece.shape[-1]:
            yield piece


@torch.no_grad()  # inference tensors would refuse what a pipeline may do to them next
def _next_piece(request: _Request, state: StreamState) -> tuple[Tensor, StreamState]:
    live, sampling = request.live, request.sampling
    if isinstance(sampling, KSampling):
        latents, state = k_next_block(live.engine, state, request.told, spec=live.spec, sampling=sampling)
    else:
        latents, state = next_block(live.engine, state, request.told, spec=live.spec, sampling=sampling)
    if request.latents_only:
        return latents, state
    audio, decoder = codec_stream.decode_step(live.codec, state.codec, latents.to(live.codec.dtype))
    return audio, replace(state, codec=decoder)


def _start(live: LiveModel, seeds: tuple[int, ...], init_audio: tuple[int, Tensor] | None) -> StreamState:
    """The first state of all rows; they share what came before."""
    prime = prime_of(init_audio)
    latents = None if prime is None else prime_latents(live.codec, prime, live.spec).repeat(len(seeds), 1, 1)
    decoder = codec_stream.start(live.codec, batch=len(seeds), context=latents)
    return begin(latents, seeds=seeds, spec=live.spec, codec=decoder)


def _live(model: LiveModel | nn.Module, spec: BlockSpec | None) -> LiveModel:
    """A live model as it is, one that a host has loaded, or a stock host's, converted on the fly."""
    if isinstance(model, LiveModel | HostedModel):
        if spec is not None:
            raise LmdmError("spec says how a host's model is converted; this one is live already, leave it out.")
        return model if isinstance(model, LiveModel) else model.live()
    return convert(model, spec or STOCK_SPEC)
