"""Packets: what goes in comes out to the bit, and nothing else is let in."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from lmdm_adapter.demo.packets import HEADER, Packet, pack, unpack
from lmdm_adapter.errors import LmdmError

SAMPLES = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)


def test_there_and_back_to_the_bit():
    packet = unpack(pack(Packet(2**40, SAMPLES)), channels=2)
    assert packet.first_sample == 2**40
    assert packet.samples.tobytes() == SAMPLES.tobytes()


def test_samples_are_interleaved_and_start_on_a_border_of_four_bytes():
    content = pack(Packet(0, SAMPLES))
    assert HEADER.size % 4 == 0
    assert struct.unpack_from("<2f", content, HEADER.size) == tuple(SAMPLES[0].tolist())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda c: b"", "no packet"),
        (lambda c: b"RIFF" + c[4:], "no packet"),
        (lambda c: c[:-1], "cut off"),
        (lambda c: c + b"\0", "too much"),
        (lambda c: c[:4] + b"\2" + c[5:], "version 2"),
        (lambda c: c[:6] + b"\1" + c[7:], "1 channels"),
        (lambda c: c[:8] + b"\xff\xff\xff\xff" + c[12:], "4294967295 samples"),
        (lambda c: c[:16] + b"\xff" * 8 + c[24:], "from -1"),
        (lambda c: c[:24] + struct.pack("<f", float("nan")) + c[28:], "NaN"),
        (lambda c: c[:24] + struct.pack("<f", float("inf")) + c[28:], "NaN or infinity"),
    ],
)
def test_what_is_no_packet_is_refused(spoil, says):
    with pytest.raises(LmdmError, match=says):
        unpack(spoil(pack(Packet(7, SAMPLES))), channels=2)


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (5, 0), (10,)])
def test_shapes_that_no_packet_has(shape):
    with pytest.raises(LmdmError, match="one or two channels"):
        pack(Packet(0, np.zeros(shape, np.float32)))
