"""A sketch that is drawn: curves through points, in the units that a musician uses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from lmdm_adapter.controls.sketch.brightness import brightness_value
from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.controls.sketch.loudness import loudness_value
from lmdm_adapter.controls.sketch.values import Sketch
from lmdm_adapter.errors import LmdmError

Points = Sequence[tuple[float, float]]
"""(time, value) pairs in the order of time; a value of NaN is a gap."""
Notes = Sequence[tuple[float, "float | Sequence[float]"]]
"""(time, MIDI note) pairs; several notes at once are a sequence, a rest is an empty one, a NaN is a gap."""
Unit = Literal["frames", "seconds", "beats"]


def drawn(
    config: SketchConfig,
    frames: int,
    *,
    loudness_db: Points = (),
    brightness_midi: Points = (),
    melody_midi: Notes = (),
    rhythm: Points = (),
    unit: Unit = "seconds",
    bpm: float | None = None,
) -> Sketch:
    """A sketch of `frames` frames, with the features of `config`; what no points are given for is not drawn.

    Loudness (A-weighted dB of full scale) and brightness (MIDI note; `midi_of_hz` converts) are straight lines from
    point to point, nothing before the first, after the last and next to a gap; a single point is level throughout.
    A note lasts until the next point, the last one to the end. `rhythm` are onsets, 0 to 1 strong, and nothing in
    between; from a gap to the next onset nothing is drawn. Frames take the line's value at their middle. Times are in
    `unit`, beats at the tempo `bpm`. Raises LmdmError for times out of order, values out of range, a feature that the
    config does not have, or a negative length.
    """
    if frames < 0:
        raise LmdmError(f"A sketch has 0 frames or more, got {frames}.")
    frame_time = _frame_time(config, unit, bpm)
    given = {"loudness": loudness_db, "brightness": brightness_midi, "melody": melody_midi, "rhythm": rhythm}
    timed = {name: _in_frames(name, points, frame_time) for name, points in given.items() if len(points)}
    for name in timed:
        if name not in config.features:
            raise LmdmError(f"This sketch has no {name}; its features are {', '.join(config.ordered_features)}.")
    values = {name: np.full((config.channels(name), frames), np.nan) for name in config.ordered_features}
    if "loudness" in timed:
        values["loudness"][0] = loudness_value(_line("loudness", timed["loudness"], frames, within=(-200.0, 20.0)))
    if "brightness" in timed:
        notes = _line("brightness", timed["brightness"], frames, within=(0.0, 140.0))
        values["brightness"][0] = brightness_value(notes)
    if "melody" in timed:
        values["melody"][:] = _notes(config, timed["melody"], frames)
    if "rhythm" in timed:
        values["rhythm"][0] = _onsets(timed["rhythm"], frames)
    return Sketch.told(values)


def _frame_time(config: SketchConfig, unit: str, bpm: float | None) -> float:
    """How much time a frame takes, in `unit`."""
    if unit not in get_args(Unit):
        raise LmdmError(f"Times are in {', '.join(get_args(Unit))}, got {unit!r}.")
    if unit == "frames":
        return 1.0
    seconds = config.frame_samples / config.sample_rate
    if unit == "seconds":
        return seconds
    if bpm is None or not 1.0 <= bpm <= 1000.0:
        raise LmdmError(f"Times in beats need a tempo between 1 and 1000 BPM, got {bpm}.")
    return seconds * bpm / 60.0


def _in_frames(name: str, points: Notes, frame_time: float) -> list[tuple[float, float | Sequence[float]]]:
    times = [float(time) / frame_time for time, _ in points]
    if not all(map(math.isfinite, times)) or times != sorted(times):
        raise LmdmError(f"The times of {name} must be finite and in order, got {[time for time, _ in points]}.")
    return [(time, value) for time, (_, value) in zip(times, points, strict=True)]


def _line(name: str, points: Points, frames: int, *, within: tuple[float, float]) -> np.ndarray:
    """The line's value in the middle of each frame, NaN where there is none."""
    times, values = np.array(points, dtype=np.float64).T
    _require_within(name, values, within)
    if len(points) == 1:
        return np.full(frames, values[0])
    return np.interp(np.arange(frames) + 0.5, times, values, left=np.nan, right=np.nan)


def _notes(config: SketchConfig, points: Notes, frames: int) -> np.ndarray:
    """(bins, frames): 1 where a note sounds, NaN where nothing is drawn."""
    columns = [np.full(config.bins, np.nan), *(_chord(config, value) for _, value in points)]
    now = np.searchsorted([time for time, _ in points], np.arange(frames) + 0.5, side="right")
    return np.stack(columns, axis=1)[:, now]


def _chord(config: SketchConfig, value: float | Sequence[float]) -> np.ndarray:
    notes = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if np.isnan(notes).any():
        return np.full(config.bins, np.nan)
    per_semitone = config.bins_per_octave / 12.0
    _require_within("melody", notes, (config.lowest_midi, config.highest_midi))
    sounding = np.zeros(config.bins)
    sounding[np.round((notes - config.lowest_midi) * per_semitone).astype(int)] = 1.0
    return sounding


def _onsets(points: Points, frames: int) -> np.ndarray:
    values = np.zeros(frames)
    _require_within("rhythm", np.array([value for _, value in points]), (0.0, 1.0))
    ends = [time for time, _ in points[1:]] + [float(frames)]
    for (time, value), end in zip(points, ends, strict=True):
        first, last = max(math.floor(time), 0), max(math.floor(end), 0)
        if math.isnan(value):
            values[first:last] = np.nan
        elif time >= 0.0:
            values[first : first + 1] = np.fmax(values[first : first + 1], value)
    return values


def _require_within(name: str, values: np.ndarray, within: tuple[float, float]) -> None:
    wrong = values[~np.isnan(values) & ~((values >= within[0]) & (values <= within[1]))]
    if len(wrong):
        raise LmdmError(f"Values of {name} lie between {within[0]:g} and {within[1]:g}, got {wrong[0]:g}.")
