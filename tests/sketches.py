"""Small settings and plain sounds for laws about sketches."""

from __future__ import annotations

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch, SketchConfig

CONFIG = SketchConfig(frame_samples=1024, sample_rate=22_050)


def tone(midi: float, frames: int, *, amplitude: float = 0.5, config: SketchConfig = CONFIG) -> np.ndarray:
    """A sine at a MIDI note, (1, samples)."""
    seconds = np.arange(frames * config.frame_samples) / config.sample_rate
    hz = 440.0 * 2.0 ** ((midi - 69.0) / 12.0)
    return amplitude * np.sin(2.0 * np.pi * hz * seconds)[None]


def noise(frames: int, *, channels: int = 1, seed: int = 0, config: SketchConfig = CONFIG) -> np.ndarray:
    """White noise of rms 0.1, (channels, samples)."""
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, frames * config.frame_samples))


def silence(frames: int, *, config: SketchConfig = CONFIG) -> np.ndarray:
    """Nothing, (1, samples)."""
    return np.zeros((1, frames * config.frame_samples))


def audio(*pieces: np.ndarray, config: SketchConfig = CONFIG) -> Audio:
    """Sounds one after the other."""
    return Audio(np.concatenate(pieces, axis=1), config.sample_rate)


def notes(sketch: Sketch, frame: int, *, config: SketchConfig = CONFIG) -> list[int]:
    """The MIDI notes that melody has in a frame."""
    return [config.lowest_midi + int(place) for place in np.flatnonzero(sketch.of("melody")[:, frame] > 0.0)]


def same(one: Sketch, other: Sketch) -> bool:
    """Whether two sketches are the same bits."""
    return set(one.values) == set(other.values) and all(
        np.array_equal(rows, other.values[name]) for name, rows in one.values.items()
    )


def random_sketch(frames: int, *, seed: int = 0, gaps: bool = True, config: SketchConfig = CONFIG) -> Sketch:
    """Values without any sense, a third of the frames not drawn."""
    rng = np.random.default_rng(seed)
    values = {name: rng.random((config.channels(name), frames)) for name in config.ordered_features}
    for rows in values.values():
        rows[:, rng.random(frames) < 0.3 * gaps] = np.nan
    return Sketch.told(values)
