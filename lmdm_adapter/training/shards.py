"""Latents on disk: safetensors files of bounded size that are read through memory maps.

A shard says in its header which codec made it and what its clips are, so that one that is there is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.training.files import replacing

HEADER_KEY = "lmdm"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class LatentFacts:
    """What all latents of a folder share: the codec that made them, by its digest, and their shape in time."""

    codec_digest: str
    latent_channels: int
    frame_rate_hz: float
    format_version: int = FORMAT_VERSION

    @staticmethod
    def of(codec: Codec) -> LatentFacts:
        """The facts of latents that `codec` makes."""
        return LatentFacts(codec_digest(codec), codec.latent_channels, codec.frame_rate_hz)


@dataclass(frozen=True)
class ShardEntry:
    """One clip of a shard: the sound file it is from and that file's fingerprint; the digest is of its latents."""

    file: str
    fingerprint: str
    frames: int
    seconds: float
    digest: str


def codec_digest(codec: Codec) -> str:
    """A short digest of what makes latents: the encoder's weights and the scale. A better decoder keeps the latents."""
    digest = hashlib.blake2b(str(codec.scale).encode(), digest_size=8)
    for name, value in sorted(codec.autoencoder.encoder.state_dict().items()):
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


def latents_digest(latents: Tensor) -> str:
    """A short digest of fp16 latents."""
    return hashlib.blake2b(latents.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def write_shard(path: Path, facts: LatentFacts, clips: Mapping[ShardEntry, Tensor]) -> None:
    """Write latents `c n` in fp16, whole or not at all; equal clips give equal bytes."""
    header = json.dumps({"facts": asdict(facts), "clips": [asdict(entry) for entry in clips]})
    tensors = {_key(number): latents.contiguous() for number, latents in enumerate(clips.values())}
    with replacing(path) as part:
        part.write_bytes(save(tensors, metadata={HEADER_KEY: header}))


class Shard:
    """A shard that is there, memory-mapped.

    Raises LmdmError, with the name of the file, for one that is missing, cut off, or none of ours; `latents` does when
    their digest is not that of the header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = safe_open(path, framework="pt")
            header = json.loads(self._file.metadata()[HEADER_KEY])
            self.facts = from_json(LatentFacts, header["facts"])
            self.entries = tuple(from_json(ShardEntry, entry) for entry in header["clips"])
        except (OSError, SafetensorError) as error:
            raise LmdmError(f"The shard {path} is corrupt or missing ({error}); delete it and encode again.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise LmdmError(f"{path} is no shard of latents; remove it or give another folder.") from error
        if self.facts.format_version != FORMAT_VERSION:
            raise LmdmError(f"{path} has format {self.facts.format_version}; this version reads {FORMAT_VERSION}.")
        self._sound: dict[int, Tensor] = {}

    def latents(self, number: int) -> Tensor:
        """Latents `c n` in fp16 of the clip at `number`, as a view of the file; checked on the first call."""
        if number not in self._sound:
            try:
                latents = self._file.get_tensor(_key(number))
            except SafetensorError as error:
                raise LmdmError(f"The shard {self.path} lacks its clip {number}; encode again.") from error
            if latents_digest(latents) != self.entries[number].digest:
                file = self.entries[number].file
                raise LmdmError(f"The shard {self.path} is corrupt at {file}; delete it and encode again.")
            self._sound[number] = latents
        return self._sound[number]


def _key(number: int) -> str:
    return f"{number:06d}"
