"""How closely a sketch is to be followed: exactly, or only in its broad lines.

In training each feature is smoothed by a median filter of a random width, so that a model learns to fill in what loose
sketches leave open (Sketch2Sound, arXiv 2412.08550, section 3); in play the width is a knob. A median would erase
onsets, which are single frames, so rhythm is averaged instead: it then says how busy a stretch is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lmdm_adapter.controls.sketch.values import Sketch
from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True, eq=False)
class TightnessState:
    """A stream of sketches on its way through the knob: `known` frames, of which the last `waiting_frames` are not out.

    Whatever the knob says, a frame leaves `delay_frames` frames late: what the loosest position needs to look ahead.
    """

    widest_frames: int
    known: Sketch | None = None
    waiting_frames: int = 0

    def __post_init__(self) -> None:
        _require_odd(self.widest_frames)

    @property
    def delay_frames(self) -> int:
        """By how many frames the knob delays a sketch."""
        return self.widest_frames // 2


def loosened(sketch: Sketch, width_frames: int | Mapping[str, int]) -> Sketch:
    """Each feature smoothed over `width_frames` frames around each frame, or over those of its own name.

    1 changes nothing. Frames that are not drawn stay so and do not count; at the ends there are fewer frames. Raises
    LmdmError for a width that is even or below 1.
    """
    widths = width_frames if isinstance(width_frames, Mapping) else dict.fromkeys(sketch.values, width_frames)
    smooth = {name: _smoothed(name, rows, widths.get(name, 1)) for name, rows in sketch.values.items()}
    return Sketch(smooth)


def drawn_widths(generator: np.random.Generator, features: tuple[str, ...], widest_frames: int) -> dict[str, int]:
    """A random odd width up to `widest_frames` for each feature, all as likely: what training loosens by."""
    _require_odd(widest_frames)
    return {feature: 1 + 2 * int(generator.integers(widest_frames // 2 + 1)) for feature in features}


def width_at(tightness: float, widest_frames: int) -> int:
    """The width at a position of the knob: 1 is exact, 0 the loosest. Raises LmdmError outside [0, 1]."""
    if not 0.0 <= tightness <= 1.0:
        raise LmdmError(f"Tightness lies between 0 (loose) and 1 (exact), got {tightness}.")
    return 1 + 2 * round((1.0 - tightness) * (widest_frames // 2))


def loosen(state: TightnessState, sketch: Sketch, *, tightness: float) -> tuple[Sketch, TightnessState]:
    """The frames that `sketch` settles, at this position of the knob, and the state after it.

    At one position all frames together are those of `loosened`. Raises LmdmError as `width_at` does.
    """
    return _settled(state, sketch, tightness=tightness, delay_frames=state.delay_frames)


def finish_loosening(state: TightnessState, *, tightness: float) -> tuple[Sketch | None, TightnessState]:
    """The frames that were held back, None where no sketch came at all, and the state of a fresh stream."""
    if state.known is None:
        return None, state
    rest, _ = _settled(state, state.known[:0], tightness=tightness, delay_frames=0)
    return rest, TightnessState(state.widest_frames)


def _settled(
    state: TightnessState, sketch: Sketch, *, tightness: float, delay_frames: int
) -> tuple[Sketch, TightnessState]:
    known = sketch if state.known is None else Sketch.joined((state.known, sketch))
    waiting = state.waiting_frames + sketch.frames
    first = known.frames - waiting
    last = first + max(waiting - delay_frames, 0)
    out = loosened(known, width_at(tightness, state.widest_frames))[first:last]
    kept = max(last - state.delay_frames, 0)
    # A copy: a view would keep everything before it alive.
    recent = Sketch({name: rows[:, kept:].copy() for name, rows in known.values.items()})
    return out, replace(state, known=recent, waiting_frames=known.frames - last)


def _smoothed(name: str, rows: np.ndarray, width: int) -> np.ndarray:
    _require_odd(width)
    if width == 1 or not rows.shape[1]:
        return rows
    drawn = rows[:1] > 0.0
    margin = ((0, 0), (width // 2, width // 2))
    padded = np.pad(np.where(drawn, rows[1:], np.nan), margin, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
    count = (~np.isnan(windows)).sum(axis=-1)
    # Sorted, NaN last; sums along the order give the same bits however many frames there are.
    ordered = np.sort(windows, axis=-1)
    smooth = _mean(ordered, count) if name == "rhythm" else _median(ordered, count)
    return np.concatenate((rows[:1], np.where(drawn, smooth, 0.0))).astype(np.float32)


def _median(ordered: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Of the first `count` along the last axis."""
    middle = (np.maximum(count - 1, 0) // 2, count // 2)
    low, high = (np.take_along_axis(ordered, place[..., None], axis=-1)[..., 0] for place in middle)
    return (low + high) / 2.0


def _mean(ordered: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.cumsum(np.nan_to_num(ordered), axis=-1)[..., -1] / np.maximum(count, 1)


def _require_odd(width_frames: int) -> None:
    if width_frames < 1 or width_frames % 2 == 0:
        raise LmdmError(f"A sketch is loosened over an odd number of frames, 1 or more; got {width_frames}.")
