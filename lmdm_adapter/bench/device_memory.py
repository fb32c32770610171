"""The memory of a GPU that playing a shape takes, worked out without one.

The code that plays runs on torch's device `meta`, whose tensors have sizes and no values, and the tensors that live at
one time are counted. Attention counts with its whole matrix of scores; fused kernels take less. What kernels take for
themselves, and what a driver and its libraries take, is no tensor: it is assumed (`ASSUMED_BYTES`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter import codec_encode_stream
from lmdm_adapter.audio import Audio
from lmdm_adapter.bench.live_memory import counted, peak_bytes
from lmdm_adapter.bench.rig import Rig, network_of, rig_on
from lmdm_adapter.bench.shapes import Shape
from lmdm_adapter.live import PROMPTS_KEPT
from lmdm_adapter.network.model import Network
from lmdm_adapter.prime import prime_latents
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import HISTORY_BLOCKS

META = torch.device("meta")
TARGET_BYTES = 4_000_000_000
ASSUMED_BYTES: Mapping[str, int] = {"CUDA context": 450 * 2**20, "workspaces of cuBLAS and cuDNN": 256 * 2**20}
MARGIN = 0.25
"""Of the activations, for what the allocator cannot hand out in one piece."""
FP32_BYTES = 4


@dataclass(frozen=True)
class DeviceBudget:
    """Bytes on a GPU: `kept` all the time by part, `peaks` of one stage at a time, what is `assumed` beside them."""

    block_frames: int
    context_frames: int
    guidance: float
    dtype: str
    kept: Mapping[str, int]
    peaks: Mapping[str, int]
    assumed: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """Everything that is kept or assumed, and the dearest stage: stages run one after the other."""
        return sum(self.kept.values()) + max(self.peaks.values()) + sum(self.assumed.values())

    def to_json(self) -> dict[str, Any]:
        """All parts in bytes, their sum, the target, and whether it is met."""
        return {
            "block_frames": self.block_frames, "context_frames": self.context_frames, "guidance": self.guidance,
            "dtype": self.dtype, "kept_bytes": dict(self.kept), "peak_bytes": dict(self.peaks),
            "assumed_bytes": dict(self.assumed), "total_bytes": self.total_bytes, "target_bytes": TARGET_BYTES,
            "fits": self.total_bytes <= TARGET_BYTES,
        }  # fmt: skip


def device_budget(shape: Shape, spec: BlockSpec, *, sampling: Sampling, dtype: torch.dtype) -> DeviceBudget:
    """What playing `shape` in blocks of `spec` takes, its DiT in `dtype`, the rest in fp32 as `load` places it."""
    network = network_of(shape, device=META, dtype=dtype)
    two_steps = replace(sampling, steps=min(2, sampling.steps))  # those after the first are alike
    with torch.no_grad():  # inference mode would hide what composite operations make inside
        rig = rig_on(network, shape, two_steps)
        peaks = stage_peaks(rig, spec)
        kept = {**_weights(network, rig, shape), **_streams(rig, spec)}
    margin = {"allocator's margin": round(MARGIN * max(peaks.values()))}
    name = str(dtype).removeprefix("torch.")
    return DeviceBudget(
        spec.block_frames, spec.context_frames, sampling.guidance, name, kept, peaks, {**ASSUMED_BYTES, **margin}
    )


def stage_peaks(rig: Rig, spec: BlockSpec) -> dict[str, int]:
    """The most that each stage's tensors take at one time, in bytes, on the device of `rig`.

    `prime` encodes a whole context of sound at the start of a stream; `encode` hears a block of live input.
    """
    codec, state, decoder = rig.codec, rig.in_mid_stream(spec), rig.decoder(spec)
    encoder, block = _encoder(rig, spec), _silence(rig, spec.block_frames)
    sound = Audio(
        np.zeros((codec.channels, 2 * spec.context_frames * codec.frame_samples), np.float32), codec.sample_rate
    )
    stages = {
        "prime": lambda: prime_latents(codec, sound, spec),
        "encode": lambda: codec_encode_stream.encode_step(codec, encoder, block),
        "denoise and commit": lambda: rig.played(state, spec),
        "decode": lambda: rig.decoded(decoder, spec),
    }
    return {name: peak_bytes(stage, device=codec.device) for name, stage in stages.items()}


def held_bytes(*values: object) -> int:
    """Memory of all tensors inside values, states and modules; what they share counts once."""
    storages = {id(one.untyped_storage()): one.untyped_storage().nbytes() for one in _tensors(values)}
    return sum(storages.values())


def _weights(network: Network, rig: Rig, shape: Shape) -> dict[str, int]:
    """Parts of the weights. The codec is there twice: as its checkpoint has it, and with its kernels worked out."""
    codec = held_bytes(network.autoencoder)
    return {
        "network": held_bytes(network.dit), "codec": codec,
        "codec's folded kernels": held_bytes(network.autoencoder, rig.codec.autoencoder) - codec,
        "text encoder": FP32_BYTES * shape.text_encoder_parameters,
    }  # fmt: skip


def _streams(rig: Rig, spec: BlockSpec) -> dict[str, int]:
    """What is kept between blocks: of the prompts as many as a model remembers, of the history all."""
    state = rig.in_mid_stream(spec)
    history = HISTORY_BLOCKS * held_bytes([block.latents for block in state.pending])
    return {
        "prompts' keys and values": PROMPTS_KEPT * held_bytes(rig.told),
        "context's keys and values": held_bytes(state),
        "history and codec states": history + held_bytes(rig.decoder(spec), _encoder(rig, spec)),
    }


def _encoder(rig: Rig, spec: BlockSpec) -> codec_encode_stream.EncoderState:
    """A streaming encoder in mid-stream that hears hops of a block, exactly."""
    state = codec_encode_stream.start(rig.codec, hop_frames=spec.block_frames)
    silence = _silence(rig, spec.block_frames)
    return counted(lambda: codec_encode_stream.encode_step(rig.codec, state, silence)).result[1]


def _silence(rig: Rig, frames: int) -> Tensor:
    return torch.zeros(1, rig.codec.channels, frames * rig.codec.frame_samples, device=rig.codec.device)


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
        return
    inner: Iterator[Any] = iter(())
    if isinstance(value, torch.nn.Module):
        inner = iter((*value.parameters(), *value.buffers()))
    elif is_dataclass(value):
        inner = (getattr(value, one.name) for one in fields(value))
    elif isinstance(value, tuple | list):
        inner = iter(value)
    for one in inner:
        yield from _tensors(one)
