"""Sound as bytes on the wire: float32, interleaved, and numbered, so that nothing is lost or doubled unseen.

A packet is a header of 24 bytes, little-endian, and the samples: `LMDM`, version, channels, number of samples per
channel, the number of its first sample (64 bits). `player.js` reads and writes the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.errors import LmdmError

MAGIC, VERSION = b"LMDM", 1
HEADER = struct.Struct("<4sHHIIq")
MOST_CHANNELS, MOST_SAMPLES = 2, 1 << 20


@dataclass(frozen=True, eq=False)
class Packet:
    """`samples` is `s ch` float32; `first_sample` counts from the start of its stream."""

    first_sample: int
    samples: np.ndarray


def pack(packet: Packet) -> bytes:
    """The packet's bytes. Raises LmdmError for shapes and numbers that no packet can have."""
    count, channels = _shape(packet.samples)
    if packet.first_sample < 0:
        raise LmdmError(f"A packet's first sample is 0 or later, got {packet.first_sample}.")
    head = HEADER.pack(MAGIC, VERSION, channels, count, 0, packet.first_sample)
    return head + np.ascontiguousarray(packet.samples, "<f4").tobytes()


def unpack(content: bytes, *, channels: int) -> Packet:
    """Read a packet of a stream with so many channels.

    Raises LmdmError for bytes that are no packet, for other channels, and for samples that are NaN or infinite.
    """
    if len(content) < HEADER.size or content[:4] != MAGIC:
        raise LmdmError("These bytes are no packet of sound.")
    _, version, there, count, _, first_sample = HEADER.unpack_from(content)
    if version != VERSION or there != channels or first_sample < 0 or not 1 <= count <= MOST_SAMPLES:
        raise LmdmError(
            f"A packet of version {VERSION} with {channels} channels was expected; got version {version}, {there} "
            f"channels, {count} samples from {first_sample}."
        )
    if len(content) != HEADER.size + 4 * count * channels:
        raise LmdmError(f"A packet of {count} samples was cut off or has too much: {len(content)} bytes.")
    samples = np.frombuffer(content, "<f4", offset=HEADER.size).astype(np.float32).reshape(count, channels)
    if not np.isfinite(samples).all():
        raise LmdmError("The sound that came in holds NaN or infinity; check its source.")
    return Packet(first_sample, samples)


def _shape(samples: np.ndarray) -> tuple[int, int]:
    if samples.ndim != 2 or not 1 <= samples.shape[1] <= MOST_CHANNELS or not 1 <= len(samples) <= MOST_SAMPLES:
        raise LmdmError(f"A packet holds samples of one or two channels, (samples, channels), got {samples.shape}.")
    return samples.shape[0], samples.shape[1]
