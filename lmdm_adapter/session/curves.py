"""Curves as a hand draws them, from 0 at the bottom to 1 at the top, and the sketch that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lmdm_adapter.controls.sketch import Sketch, SketchConfig, drawn
from lmdm_adapter.errors import LmdmError

LOUDNESS_DB, BRIGHTNESS_MIDI, MELODY_MIDI = (-50.0, -5.0), (60.0, 110.0), (36.0, 84.0)
"""What the bottom and the top of each curve mean: A-weighted dB, and MIDI notes (C4 to D8, C2 to C6)."""
LONGEST_SECONDS = 240.0


@dataclass(frozen=True)
class Curves:
    """Values from 0 to 1, evenly over `seconds`, again and again; what a curve without values tells is left open.

    Raises LmdmError for values outside of that, and for a length that is not positive or longer than four minutes.
    """

    seconds: float
    loudness: tuple[float, ...] = ()
    brightness: tuple[float, ...] = ()
    melody: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds <= LONGEST_SECONDS:
            raise LmdmError(f"Curves span more than 0 and at most {LONGEST_SECONDS:g} s, got {self.seconds:g} s.")
        for name in ("loudness", "brightness", "melody"):
            if not all(0.0 <= value <= 1.0 for value in getattr(self, name)):
                raise LmdmError(f"The values of {name} lie between 0 and 1, got {getattr(self, name)}.")

    @property
    def drawn_names(self) -> tuple[str, ...]:
        """The features that are drawn."""
        return tuple(name for name in ("loudness", "brightness", "melody") if getattr(self, name))

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self)

    @staticmethod
    def from_json(values: Any) -> Curves:
        """Read curves back. Raises LmdmError for what is no drawing."""
        try:
            told = dict(values) if isinstance(values, Mapping) else vars(values)
            return Curves(**{name: tuple(row) if isinstance(row, list) else row for name, row in told.items()})
        except (TypeError, ValueError) as error:
            raise LmdmError(f"This drawing cannot be read: {error}.") from None


def drawn_frames(config: SketchConfig, curves: Curves, first_frame: int, frames: int) -> Sketch:
    """The sketch of `frames` frames from `first_frame` of the session on; features that `config` lacks are left out.

    Loudness and brightness are straight lines between the values; a note is the semitone that is nearest, within what
    the config's melody has.
    """
    middles = np.arange(first_frame, first_frame + frames) + 0.5
    phase = middles * config.frame_samples / config.sample_rate / curves.seconds % 1.0
    points: dict[str, list[tuple[float, float]]] = {}
    if curves.loudness and "loudness" in config.features:
        points["loudness_db"] = _pairs(_line(phase, curves.loudness, LOUDNESS_DB), 0.5)
    if curves.brightness and "brightness" in config.features:
        points["brightness_midi"] = _pairs(_line(phase, curves.brightness, BRIGHTNESS_MIDI), 0.5)
    if curves.melody and "melody" in config.features:
        places = np.minimum((phase * len(curves.melody)).astype(int), len(curves.melody) - 1)
        notes = np.round(_scaled(np.array(curves.melody)[places], MELODY_MIDI))
        points["melody_midi"] = _pairs(np.clip(notes, config.lowest_midi, config.highest_midi), 0.0)
    return drawn(config, frames, unit="frames", **points)


def _line(phase: np.ndarray, values: tuple[float, ...], span: tuple[float, float]) -> np.ndarray:
    """Straight lines between values in the middle of their places; the last goes over into the first."""
    middles = (np.arange(len(values)) + 0.5) / len(values)
    return _scaled(np.interp(phase, middles, values, period=1.0), span)


def _scaled(values: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    return span[0] + (span[1] - span[0]) * values


def _pairs(values: np.ndarray, offset: float) -> list[tuple[float, float]]:
    return [(index + offset, float(value)) for index, value in enumerate(values)]
