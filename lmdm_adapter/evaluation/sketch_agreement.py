"""How well music follows the sketch that it was given: what was drawn against what is heard in the output.

Loudness, brightness and rhythm are compared by Pearson's correlation over frames, so that a model may be louder or
darker throughout and still follow; melody by the F1 of its notes, each in its own octave. Nothing counts where the
sketch is not drawn.
"""

from __future__ import annotations

import math

import numpy as np

from lmdm_adapter.controls.sketch import Sketch
from lmdm_adapter.errors import LmdmError

CURVES = ("loudness", "brightness", "rhythm")
STEADY = 1e-6
"""A curve that deviates less than this from its mean has no shape to compare."""


def sketch_agreement(drawn: Sketch, heard: Sketch) -> dict[str, float]:
    """Of each feature of `drawn`: "loudness_correlation" and so on, and "melody_f1".

    NaN where nothing can be compared: a feature drawn in fewer than two frames, or level. Output without any shape
    follows nothing: 0. Raises LmdmError when the lengths differ, or `heard` lacks a feature.
    """
    missing = sorted(set(drawn.values) - set(heard.values))
    if missing or drawn.frames != heard.frames:
        raise LmdmError(
            f"The drawn sketch has {drawn.frames} frames of {', '.join(drawn.values)}, "
            f"the heard one {heard.frames} of {', '.join(heard.values)}; they must fit."
        )
    figures = {f"{name}_correlation": _correlation(drawn, heard, name) for name in CURVES if name in drawn.values}
    return figures | ({"melody_f1": melody_f1(drawn, heard)} if "melody" in drawn.values else {})


def melody_f1(drawn: Sketch, heard: Sketch, *, first_bin: int = 0, last_bin: int | None = None) -> float:
    """F1 of the notes of all drawn frames, over the bins `[first_bin:last_bin]`; NaN where neither has any.

    Low notes alone, for example, are the first 27 bins from A0 to B2.
    """
    asked = drawn.of("melody")
    there = ~np.isnan(asked).any(axis=0)
    asked, played = (rows[first_bin:last_bin, there] > 0.0 for rows in (asked, heard.of("melody")))
    notes = int(asked.sum() + played.sum())
    return 2.0 * int((asked & played).sum()) / notes if notes else math.nan


def _correlation(drawn: Sketch, heard: Sketch, name: str) -> float:
    asked, told = drawn.of(name)[0].astype(np.float64), heard.of(name)[0].astype(np.float64)
    both = ~np.isnan(asked) & ~np.isnan(told)
    asked, told = asked[both], told[both]
    if len(asked) < 2 or asked.std() < STEADY:
        return math.nan
    return float(np.corrcoef(asked, told)[0, 1]) if told.std() >= STEADY else 0.0
