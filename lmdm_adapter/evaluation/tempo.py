"""The tempo of a piece of audio, and whether it is the tempo of its prompt.

Onset strength is compared with itself a half, one, two, four and eight beats later, for every tempo from 60 to 200 BPM;
the tempo whose beats repeat best wins. Half and double time repeat nearly as well, so the half beat and a broad
preference around 150 BPM decide between them. Both were set on training songs. A bare pulse without off-beats has no
tempo of its own in this sense: 180 may be heard as 90.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.features import (
    autocorrelation,
    frame_hop_seconds,
    interpolated,
    log_mel,
    mono,
    onset_strength,
)

SLOWEST_BPM, FASTEST_BPM, STEP = 60.0, 200.0, 1.005
BEATS = ((0.5, 0.7), (1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (8.0, 1.0))
"""Distances in beats at which onsets should repeat, and their weights."""
PREFERRED_BPM, PREFERENCE_OCTAVES = 150.0, 2.0
SMOOTHING = (0.25, 0.75, 1.0, 0.75, 0.25)
"""Onset strength is blurred over 50 ms, as players are not that exact."""
LEAST_SECONDS = 8.0 * 60.0 / SLOWEST_BPM + 2.0
TOLERANCE, ROUNDING = 0.04, 1e-9


@dataclass(frozen=True)
class TempoMatches:
    """Tempos of some renderings against those of their prompts, in BPM; see `matches` and `octave_matches`."""

    prompted: tuple[float, ...]
    heard: tuple[float, ...]

    @property
    def matches(self) -> float:
        """Share of renderings at the prompt's own tempo, within 4 %."""
        return self._share(octaves=False)

    @property
    def octave_matches(self) -> float:
        """Share of renderings at the prompt's tempo, half of it or twice it."""
        return self._share(octaves=True)

    @property
    def chance(self) -> float:
        """Share of matches when every rendering is held against the other prompts: what ignoring the prompt gives."""
        size = len(self.heard)
        pairs = [(self.prompted[j], self.heard[i]) for i in range(size) for j in range(size) if i != j]
        return sum(within(prompted, heard) for prompted, heard in pairs) / max(len(pairs), 1)

    def to_json(self) -> dict[str, object]:
        """Tempos and shares."""
        shares = {"matches": self.matches, "octave_matches": self.octave_matches, "chance": self.chance}
        return {**shares, **asdict(self)}

    def _share(self, *, octaves: bool) -> float:
        pairs = zip(self.prompted, self.heard, strict=True)
        return sum(within(prompted, heard, octaves=octaves) for prompted, heard in pairs) / len(self.heard)


def estimate_tempo(audio: Audio) -> float:
    """The tempo of `audio` in BPM, from 60 to 200, to half a per cent.

    Raises LmdmError for audio of less than 10 s, in which eight slow beats do not fit twice.
    """
    if audio.seconds < LEAST_SECONDS:
        raise LmdmError(f"Hearing a tempo needs at least {LEAST_SECONDS:g} s of audio, got {audio.seconds:.3f} s.")
    strength = onset_strength(log_mel(mono(audio)[None], audio.sample_rate))
    blur = torch.tensor(SMOOTHING, dtype=strength.dtype)[None, None]
    strength = torch.nn.functional.conv1d(strength[:, None], blur, padding=len(SMOOTHING) // 2)[:, 0]
    tempos = tempo_grid()
    beat_frames = torch.from_numpy(60.0 / (tempos * frame_hop_seconds(audio.sample_rate)))
    repeats = autocorrelation(strength)
    comb = sum(weight * interpolated(repeats, beats * beat_frames)[0] for beats, weight in BEATS)
    preference = np.exp(-0.5 * (np.log2(tempos / PREFERRED_BPM) / PREFERENCE_OCTAVES) ** 2)
    return float(tempos[np.argmax(np.maximum(comb.numpy(), 0.0) * preference)])


def tempo_grid() -> np.ndarray:
    """The tempos that can be heard, in BPM, in steps of half a per cent."""
    return SLOWEST_BPM * STEP ** np.arange(math.floor(math.log(FASTEST_BPM / SLOWEST_BPM) / math.log(STEP)) + 1)


def within(prompted_bpm: float, heard_bpm: float, *, tolerance: float = TOLERANCE, octaves: bool = False) -> bool:
    """Whether two tempos agree within `tolerance`; `octaves` also takes half and double time."""
    factors = (1.0, 0.5, 2.0) if octaves else (1.0,)
    return any(abs(heard_bpm / (factor * prompted_bpm) - 1.0) <= tolerance + ROUNDING for factor in factors)


def tempo_within(prompt_bpm: float, audio: Audio, *, tolerance: float = TOLERANCE) -> bool:
    """Whether `audio` is at the prompt's own tempo; half and double time are misses. Raises as `estimate_tempo`."""
    return within(prompt_bpm, estimate_tempo(audio), tolerance=tolerance)


def tempo_matches(prompted_bpm: Sequence[float], heard_bpm: Sequence[float]) -> TempoMatches:
    """Pair prompts with what was heard. Raises LmdmError for none, or lists of different length."""
    if not prompted_bpm or len(prompted_bpm) != len(heard_bpm):
        raise LmdmError(f"Tempos must come in pairs, got {len(prompted_bpm)} prompts and {len(heard_bpm)} renderings.")
    return TempoMatches(tuple(map(float, prompted_bpm)), tuple(map(float, heard_bpm)))
