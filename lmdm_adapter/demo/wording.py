"""From what the page's boxes say to what a voice is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdm_adapter.errors import LmdmError

PROMPT_BOXES = 4
BEATS_PER_BAR = 4
CURVES, POINTS = ("loudness", "brightness", "melody"), 64


def prompt_of(*words: Any) -> list[list[Any]]:
    """Pairs of a text and its weight, from the texts, the weights, the tempo and the key; empty boxes are left out."""
    count = PROMPT_BOXES
    texts, weights, (tempo, key) = words[:count], words[count : 2 * count], words[2 * count :]
    said = [f"{tempo:g} BPM"] if tempo else []
    said += [key] if key and key != "any" else []
    pairs = [
        [", ".join([*said, text.strip()]), float(weight)]
        for text, weight in zip(texts, weights, strict=True)
        if (text or "").strip() and weight and weight > 0
    ]
    return pairs or [[", ".join(said), 1.0]]


def blocks_back(count: float, unit: str, tempo_bpm: float | None, *, block_seconds: float) -> int:
    """How many blocks to go back; bars need a tempo. Raises LmdmError without one, and for less than one block."""
    if unit == "bars":
        if not tempo_bpm:
            raise LmdmError("Going back by bars needs a tempo; set one, or go back by blocks.")
        count = round(count * BEATS_PER_BAR * 60.0 / tempo_bpm / block_seconds)
    if count < 1:
        raise LmdmError("Go back by one block at the least.")
    return int(count)


def corner_weights(place: Mapping[str, float]) -> list[float]:
    """Weights of the four corners for a place on the pad; `x` and `y` run from 0 to 1."""
    x, y = (min(1.0, max(0.0, float(place[axis]))) for axis in "xy")
    return [round(w, 3) for w in ((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y)]


def delay_seconds(beats: float, tempo_bpm: float | None) -> float:
    """A length in beats as one in seconds. Raises LmdmError without a tempo."""
    if not tempo_bpm or tempo_bpm < 0:
        raise LmdmError("A delay in beats needs a tempo; set one.")
    return float(beats) * 60.0 / float(tempo_bpm)


def checked_curves(drawn: Any, *, bars: float, tempo_bpm: float | None) -> dict[str, Any]:
    """The curves as a voice is told them: `POINTS` values from 0 to 1 each, or none, and how many seconds they span.

    Raises LmdmError for what is no drawing, and without a tempo.
    """
    if not isinstance(drawn, Mapping) or not set(drawn) <= set(CURVES):
        raise LmdmError(f"A sketch has the curves {', '.join(CURVES)}.")
    for name, values in drawn.items():
        right = isinstance(values, list) and len(values) in (0, POINTS)
        if not right or not all(type(v) in (int, float) and 0 <= v <= 1 for v in values):
            raise LmdmError(f"The curve {name} needs {POINTS} numbers from 0 to 1, or none.")
    return {**drawn, "seconds": delay_seconds(bars * BEATS_PER_BAR, tempo_bpm)}
