"""A sketch: features of sound frame by frame, drawn or heard, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.controls.sketch.config import FEATURES
from lmdm_adapter.errors import LmdmError

PREFIX = "sketch_"


@dataclass(frozen=True, eq=False)
class Sketch:
    """`values` maps each feature to float32 of shape (1 + channels, frames); all have the same frames.

    The first row says where the feature is drawn: 1, or 0 and then the other rows are 0 too, which is another thing
    than a value of 0. Arrays are kept read-only. Raises LmdmError for an unknown feature, shapes that do not fit
    together, or values that are not finite.
    """

    values: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        frozen = {feature: _read_only(rows) for feature, rows in self.values.items()}
        unknown = sorted(set(frozen) - set(FEATURES))
        if unknown or not frozen:
            raise LmdmError(f"A sketch has some of {', '.join(FEATURES)}; got {', '.join(unknown) or 'none'}.")
        for feature, rows in frozen.items():
            if rows.ndim != 2 or len(rows) < 2:
                raise LmdmError(f"{feature} needs the shape (1 + channels, frames), got {rows.shape}.")
            if not np.isfinite(rows).all():
                raise LmdmError(f"{feature} holds NaN or infinity; leave such frames undrawn.")
        lengths = {feature: rows.shape[1] for feature, rows in frozen.items()}
        if len(set(lengths.values())) > 1:
            raise LmdmError(f"All features of a sketch need the same number of frames, got {lengths}.")
        object.__setattr__(self, "values", MappingProxyType(frozen))

    @property
    def frames(self) -> int:
        """Its length."""
        return next(iter(self.values.values())).shape[1]

    def __getitem__(self, frames: slice) -> Sketch:
        """The frames `[first:last]`."""
        return self._each(lambda rows: rows[:, frames])

    def of(self, feature: str) -> np.ndarray:
        """The values of a feature, (channels, frames), NaN where it is not drawn."""
        rows = self._rows(feature)
        return np.where(rows[:1] > 0.0, rows[1:], np.float32(np.nan))

    def without(self, *features: str) -> Sketch:
        """The same with these features not drawn anywhere; their channels stay, as zeros."""
        blank = {feature: np.zeros_like(self._rows(feature)) for feature in features}
        return Sketch({**self.values, **blank})

    def held(self, feature: str, frame: int) -> Sketch:
        """The same, but from `frame` on the feature stays as it is there."""
        return self.looped(feature, frame, frame + 1)

    def looped(self, feature: str, first: int, last: int) -> Sketch:
        """The same, but from `last` on the feature repeats its frames `[first:last]`.

        Raises LmdmError when there are no such frames.
        """
        rows = self._rows(feature)
        if not 0 <= first < last <= self.frames:
            raise LmdmError(f"A loop lies within the {self.frames} frames of a sketch, got {first} to {last}.")
        places = np.arange(self.frames)
        places = np.where(places < last, places, first + (places - first) % (last - first))
        return Sketch({**self.values, feature: rows[:, places]})

    def controls(self) -> dict[str, Tensor]:
        """What a model takes: each feature's frame control by name, (1 + channels, frames) float32, copied."""
        return {f"{PREFIX}{name}": torch.from_numpy(rows.copy()) for name, rows in self.values.items()}

    @staticmethod
    def from_controls(controls: Mapping[str, Tensor | np.ndarray]) -> Sketch:
        """The sketch among the frame controls of a model, which may hold others too; as `controls` gave it."""
        own = {name: values for name, values in controls.items() if name.startswith(PREFIX)}
        return Sketch({name.removeprefix(PREFIX): np.asarray(values) for name, values in own.items()})

    @staticmethod
    def joined(pieces: Sequence[Sketch]) -> Sketch:
        """Sketches one after the other. Raises LmdmError when there are none, or their features differ."""
        if not pieces or any(set(piece.values) != set(pieces[0].values) for piece in pieces):
            raise LmdmError("Joining needs at least one sketch, and the same features in all of them.")
        names = pieces[0].values
        return Sketch({name: np.concatenate([piece.values[name] for piece in pieces], axis=1) for name in names})

    @staticmethod
    def told(values: Mapping[str, np.ndarray]) -> Sketch:
        """From values without `present`, (channels, frames), in which a NaN says that the frame is not drawn."""
        return Sketch({feature: with_presence(rows) for feature, rows in values.items()})

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> Sketch:
        return Sketch({feature: change(rows) for feature, rows in self.values.items()})

    def _rows(self, feature: str) -> np.ndarray:
        if feature not in self.values:
            raise LmdmError(f"This sketch has no {feature!r}; it has {', '.join(self.values)}.")
        return self.values[feature]


def with_presence(values: np.ndarray) -> np.ndarray:
    """(channels, frames) with NaN where a frame is not drawn, to (1 + channels, frames) without."""
    drawn = ~np.isnan(values).any(axis=0, keepdims=True)
    return np.concatenate((drawn, np.where(drawn, values, 0.0))).astype(np.float32)


def _read_only(rows: np.ndarray) -> np.ndarray:
    """The array itself where nobody can write to it, else a copy."""
    if rows.dtype == np.float32 and not rows.flags.writeable:
        return rows
    copy = np.array(rows, dtype=np.float32)
    copy.setflags(write=False)
    return copy
