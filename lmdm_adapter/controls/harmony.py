"""Harmony: how strong each pitch class is in a sound, frame by frame, in a low and in a high register.

The latents of a small codec may hide which notes they hold. A player needs to hear those of the others to fit in, so
they are told beside the latents: the notes of a sketch's melody, folded to pitch classes (as chroma are). The registers
are split below A2, since a kick drum is a low note too, and would drown the chord above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, SketchState, finish, push, start
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.extras import missing_packages

PITCH_CLASSES = 12
REGISTERS_MIDI = ((21, 45), (45, 93))
"""The first note of each register, and the first above it."""
NOTES = 12
"""So many notes of a frame count in each register, at the most."""
HARMONY_CHANNELS = PITCH_CLASSES * len(REGISTERS_MIDI)
PACKAGES = ("librosa", "scipy")
"""Of the extra `[sketch]`: the filters of a melody, and their transform."""


@dataclass(frozen=True)
class HarmonyConfig:
    """On the frames of which codec. Raises LmdmError as `SketchConfig` does."""

    frame_samples: int
    sample_rate: int

    def __post_init__(self) -> None:
        _ = self.registers  # refuses what does not fit

    @property
    def registers(self) -> tuple[SketchConfig, ...]:
        """The melodies that are folded, low to high."""
        return tuple(
            SketchConfig(
                self.frame_samples, self.sample_rate, features=("melody",), lowest_midi=low, bins=above - low,
                top_k=NOTES,
            )
            for low, above in REGISTERS_MIDI
        )  # fmt: skip

    @property
    def delay_frames(self) -> int:
        """Frame `n` is told once frame `n + delay_frames` has been heard."""
        return self.registers[0].delay_frames


HarmonyState = tuple[SketchState, ...]
"""What a stream keeps of each register: its newest sound, so that memory is bounded."""


def unmet_hearing() -> str | None:
    """The sentence about the packages that hearing harmony needs and that are not installed, or None."""
    return missing_packages(PACKAGES, "Hearing harmony", extra_name="sketch")


def harmony_start(config: HarmonyConfig) -> HarmonyState:
    """The state before the first sample. Raises LmdmError when the extra `[sketch]` is missing."""
    if (need := unmet_hearing()) is not None:
        raise LmdmError(need)
    return tuple(start(register) for register in config.registers)


def harmony_step(config: HarmonyConfig, state: HarmonyState, audio: Audio) -> tuple[np.ndarray, HarmonyState]:
    """The harmony of the frames that `audio` settles, `(24, frames)` in fp32, and the state after it.

    Rows are C to B of the low register, then of the high one; the strongest note of a frame and register is 1, and
    octaves add up. Raises LmdmError for another rate than the config's, NaN and infinity.
    """
    told = [push(register, held, audio) for register, held in zip(config.registers, state, strict=True)]
    return _folded(config, [sketch for sketch, _ in told]), tuple(held for _, held in told)


def harmony(config: HarmonyConfig, audio: Audio) -> np.ndarray:
    """The harmony of a whole sound, `(24, frames)`: one step, and the end. Raises LmdmError as `harmony_step` does."""
    first, state = harmony_step(config, harmony_start(config), audio)
    rest = [finish(register, held)[0] for register, held in zip(config.registers, state, strict=True)]
    return np.concatenate([first, _folded(config, rest)], axis=1)


def _folded(config: HarmonyConfig, sketches: list[Sketch]) -> np.ndarray:
    folded = []
    for register, sketch in zip(config.registers, sketches, strict=True):
        classes = np.zeros((PITCH_CLASSES, sketch.frames), np.float32)
        np.add.at(classes, (register.lowest_midi + np.arange(register.bins)) % PITCH_CLASSES, sketch.of("melody"))
        folded.append(classes)
    return np.concatenate(folded)
