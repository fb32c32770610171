"""A moment of a stream in one safetensors file: saved, loaded, and played on bit for bit by the same model."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lmdm_adapter.codec_stream import CodecState
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.state import Block, StreamState

FORMAT_NAME = "lmdm stream state"
FORMAT = f"{FORMAT_NAME} 1"
PARTS = ("history", "blocks", "pending")
TENSORS = ("latents", "controls", "keys_values")


@dataclass(frozen=True)
class StateFacts:
    """What of a state is no tensor. `model` is the digest of the model that plays it, `counts` are numbers of blocks.

    Raises LmdmError for numbers that no state has.
    """

    model: str
    frame_index: int
    block_index: int
    seeds: tuple[int, ...]
    counts: tuple[int, ...]
    codec: tuple[int, ...] | None

    def __post_init__(self) -> None:
        lengths = len(self.counts), len(self.codec or (0, 0, 0))
        if lengths != (len(PARTS), 3) or not self.seeds:
            raise LmdmError(f"A stream state cannot have the facts {self}; save it again.")
        if min(self.frame_index, self.block_index, *self.counts, *(self.codec or (0,))) < 0:
            raise LmdmError(f"A stream state counts nothing below 0, got {self}; save it again.")


def model_digest(network: nn.Module, settings: Mapping[str, Any]) -> str:
    """A short digest of all weights and of `settings`: states of one model are nothing to another."""
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def state_bytes(state: StreamState, *, model: str) -> bytes:
    """The file of a state, whole."""
    parts = [getattr(state, part) for part in PARTS]
    tensors = {
        f"{part}.{index}.{name}": getattr(block, name).contiguous()
        for part, blocks in zip(PARTS, parts, strict=True)
        for index, block in enumerate(blocks)
        for name in TENSORS
        if getattr(block, name) is not None
    }
    codec = state.codec
    if codec is not None:
        tensors |= {"codec.latents": codec.latents.contiguous(), "codec.tail": codec.tail.contiguous()}
    facts = StateFacts(
        model, state.frame_index, state.block_index, state.seeds, tuple(len(blocks) for blocks in parts),
        None if codec is None else (codec.look_ahead_frames, codec.frames_in, codec.frames_out),
    )  # fmt: skip
    return save(tensors, {"format": FORMAT, "facts": json.dumps(asdict(facts))})


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises OSError when it cannot be written."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as part:
        try:
            part.write(content)
            part.close()
            os.chmod(part.name, 0o644)  # temporary files are private, a saved moment is not
            os.replace(part.name, path)
        finally:
            Path(part.name).unlink(missing_ok=True)


def read_state(path: Path, *, model: str, device: torch.device) -> StreamState:
    """The state in a file. Raises LmdmError for a file that is none, or a state of another model."""
    if path.is_dir():
        raise LmdmError(f"{path} is a folder; give the file that save_state wrote.")
    facts, tensors = _contents(path, device)
    if facts.model != model:
        raise LmdmError(f"{path} is a state of another model (or other blocks); load the model that it was saved with.")
    try:
        history, blocks, pending = (
            tuple(_block(tensors, f"{part}.{index}") for index in range(count))
            for part, count in zip(PARTS, facts.counts, strict=True)
        )
        codec = None if facts.codec is None else CodecState(
            tensors["codec.latents"], tensors["codec.tail"], *facts.codec)  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise LmdmError(f"{path} misses a part of its state ({error}); save it again.") from None
    return StreamState(blocks, pending, codec, facts.frame_index, facts.block_index, facts.seeds, history)


def _contents(path: Path, device: torch.device) -> tuple[StateFacts, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, safe_open is no dict
    except FileNotFoundError:
        raise LmdmError(f"There is no stream state at {path}.") from None
    except (SafetensorError, OSError) as error:
        raise LmdmError(f"{path} is truncated or no stream state ({error}); save it again.") from None
    found = metadata.get("format", "")
    if found != FORMAT and found.startswith(FORMAT_NAME):
        raise LmdmError(f"{path} is a {found!r}, this package reads {FORMAT!r}; use the release that saved it.")
    if found != FORMAT:
        raise LmdmError(f"{path} holds no stream state; save one with LiveModel.save_state.")
    try:
        return from_json(StateFacts, json.loads(metadata.get("facts", "{}"))), tensors
    except (ValueError, TypeError) as error:
        raise LmdmError(f"{path} has facts that cannot be read ({error}); save it again.") from None


def _block(tensors: Mapping[str, Tensor], prefix: str) -> Block:
    return Block(tensors[f"{prefix}.latents"], *(tensors.get(f"{prefix}.{name}") for name in TENSORS[1:]))
