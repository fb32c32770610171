"""Which packets are OSC 1.0 that we read: checked whole before the library sees them, which guesses at broken ones."""

from __future__ import annotations

BUNDLE = b"#bundle\0"
BUNDLE_HEAD_BYTES = 16
DEEPEST_BUNDLE = 4
VALUE_BYTES = {"i": 4, "f": 4, "h": 8, "d": 8, "T": 0, "F": 0, "N": 0}
"""Type tags with values of a fixed size; there are strings (`s`) besides. No parameter takes anything else."""


def well_formed(packet: bytes, *, depth: int = 0) -> bool:
    """Whether `packet` is a message, or a bundle of such, with every length right and all text UTF-8."""
    if packet.startswith(BUNDLE):
        return depth < DEEPEST_BUNDLE and _is_bundle(packet, depth)
    return packet.startswith(b"/") and _is_message(packet)


def _is_bundle(packet: bytes, depth: int) -> bool:
    place = BUNDLE_HEAD_BYTES
    while place + 4 <= len(packet):
        size = int.from_bytes(packet[place : place + 4], "big")
        place += 4 + size
        if place > len(packet) or not well_formed(packet[place - size : place], depth=depth + 1):
            return False
    return place == len(packet)


def _is_message(packet: bytes) -> bool:
    address, place = _string(packet, 0)
    types, place = _string(packet, place)
    if address is None or types is None or not types.startswith(","):
        return False
    for tag in types[1:]:
        if tag == "s":
            text, place = _string(packet, place)
            if text is None:
                return False
        elif tag in VALUE_BYTES:
            place += VALUE_BYTES[tag]
        else:
            return False
    return place == len(packet)


def _string(packet: bytes, place: int) -> tuple[str | None, int]:
    """The text at `place`, filled with zeros to a multiple of four, and where it ends; None where there is none."""
    end = packet.find(b"\0", place)
    if end < 0:
        return None, place
    try:
        return packet[place:end].decode("utf-8"), place + (end - place) // 4 * 4 + 4
    except UnicodeDecodeError:
        return None, place
