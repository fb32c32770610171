"""From sound to a sketch, as the sound comes. A file is sketched by the same code, in one push.

The value of frame `n` describes the sound of frame `n`, seen through windows around it, and is told as soon as the last
sample that any feature needs has come: `config.delay_frames` frames later. No window reaches beyond the newest sample.
Each frame is measured by itself from its own piece of sound, so neither pushes nor the beginning of the stream can
change a bit of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch.brightness import BRIGHTNESS
from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.controls.sketch.extractor import Extractor, mono
from lmdm_adapter.controls.sketch.loudness import LOUDNESS
from lmdm_adapter.controls.sketch.melody import MELODY
from lmdm_adapter.controls.sketch.rhythm import RHYTHM
from lmdm_adapter.controls.sketch.values import Sketch

EXTRACTORS: dict[str, Extractor] = {
    "loudness": LOUDNESS, "brightness": BRIGHTNESS, "melody": MELODY, "rhythm": RHYTHM,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class SketchState:
    """Everything that a stream needs to go on: the newest sound, mono, and how many whole frames came.

    `recent` (`s`) holds what later frames still look at, and the frame that is not complete yet: its length is bounded.
    """

    recent: np.ndarray
    frames_in: int = 0


def start(config: SketchConfig) -> SketchState:
    """The state before the first sample: silence came before it.

    The first call for a config takes a second or two. Raises LmdmError when the extra `[sketch]` is missing.
    """
    recent = np.zeros(_kept_samples(config), dtype=np.float32)
    # Packages are loaded and filters made here, so that no push is slower than the others.
    _measured(config, np.zeros(len(recent) + config.frame_samples, dtype=np.float32))
    return SketchState(recent)


def push(config: SketchConfig, state: SketchState, audio: Audio) -> tuple[Sketch, SketchState]:
    """The sketch of the frames that `audio` settles, none perhaps, and the state after it.

    Channels are averaged; any number of samples will do, none too. Raises LmdmError for another rate than the
    config's, and for NaN or infinity.
    """
    sound = np.concatenate((state.recent, mono(config, audio)))
    frames = (len(sound) - _kept_samples(config)) // config.frame_samples
    early = min(max(config.delay_frames - state.frames_in, 0), frames)
    told = [_measured(config, sound[frame * config.frame_samples :]) for frame in range(early, frames)]
    recent = sound[frames * config.frame_samples :].copy()
    return _sketch(config, told), SketchState(recent, state.frames_in + frames)


def finish(config: SketchConfig, state: SketchState) -> tuple[Sketch, SketchState]:
    """The sketch of what was held back, as if silence followed, and the state of a fresh stream.

    All sketches of a stream together have a frame for each that began to sound.
    """
    begun = -(-(len(state.recent) - _kept_samples(config)) // config.frame_samples)
    ends = _kept_samples(config) + (begun + config.delay_frames) * config.frame_samples
    silence = np.zeros((1, ends - len(state.recent)), dtype=np.float32)
    rest, _ = push(config, state, Audio(silence, config.sample_rate))
    return rest, start(config)


def sketched(config: SketchConfig, audio: Audio) -> Sketch:
    """The sketch of a whole recording: one push, and the end. Raises as `start` and `push` do."""
    first, state = push(config, start(config), audio)
    return Sketch.joined((first, finish(config, state)[0]))


def _measured(config: SketchConfig, sound: np.ndarray) -> list[np.ndarray]:
    """The features of one frame; `sound` begins with the earliest sample that any of them needs."""
    begin, pieces = _past_samples(config), []
    for feature in config.ordered_features:
        past, future = EXTRACTORS[feature].reach(config)
        piece = sound[begin - past : begin + config.frame_samples + future]
        pieces.append(EXTRACTORS[feature].measure(config, piece))
    return pieces


def _sketch(config: SketchConfig, told: list[list[np.ndarray]]) -> Sketch:
    columns = {feature: [frame[i] for frame in told] for i, feature in enumerate(config.ordered_features)}
    empty = {feature: np.zeros((config.channels(feature), 0)) for feature in columns}
    return Sketch.told({name: np.stack(column, axis=1) if column else empty[name] for name, column in columns.items()})


def _past_samples(config: SketchConfig) -> int:
    return max(EXTRACTORS[feature].reach(config)[0] for feature in config.features)


def past_frames(config: SketchConfig) -> int:
    """How many frames before a frame, at most, its value depends on."""
    return -(-_past_samples(config) // config.frame_samples)


def _kept_samples(config: SketchConfig) -> int:
    """What a stream keeps between frames: the past of the frame that the next one will settle, and what came since."""
    return _past_samples(config) + config.delay_frames * config.frame_samples
