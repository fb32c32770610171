"""What a sketch describes, how finely, and how late: the settings that a model and its players share."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from lmdm_adapter.errors import LmdmError

Feature = Literal["loudness", "brightness", "melody", "rhythm"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
A4_HZ, A4_MIDI = 440.0, 69
# The filter above the highest note, which only guards it, must pass below half the sample rate with its skirt.
HIGHEST_SHARE_OF_RATE = 0.47
LIMITS: dict[str, tuple[float, float]] = {
    "frame_samples": (64, 65_536), "sample_rate": (8_000, 384_000), "window_seconds": (0.005, 1.0),
    "lowest_midi": (12, 96), "bins": (2, 512), "bins_per_octave": (12, 48), "gamma_hz": (0.0, 50.0),
    "melody_ahead_seconds": (0.0, 1.0), "widest_frames": (1, 255),
}  # fmt: skip


@dataclass(frozen=True)
class SketchConfig:
    """Which features a sketch has, on the frames of which codec.

    Loudness and brightness look through a window of about `window_seconds`, never less than a frame. Melody has `bins`
    from the MIDI note `lowest_midi` up, `bins_per_octave` to the octave, and keeps the `top_k` strongest; the default
    is a piano's 88 keys. Each bin's filter has constant Q, but is `gamma_hz` wider than that, which shortens low notes
    most (0 is plain constant Q: A0 then needs 0.63 s of sound instead of 0.28 s). Melody looks ahead as many whole
    frames as fit into `melody_ahead_seconds`. `widest_frames` is over how many frames the loosest sketch is smoothed,
    in training and at tightness 0.
    Raises LmdmError for a feature that is unknown, doubled or missing, a number out of range, an even `widest_frames`,
    or notes too high for the rate.
    """

    frame_samples: int = 2048
    sample_rate: int = 44_100
    features: tuple[Feature, ...] = FEATURES
    window_seconds: float = 0.093
    lowest_midi: int = 21
    bins: int = 88
    bins_per_octave: int = 12
    gamma_hz: float = 2.0
    top_k: int = 4
    melody_ahead_seconds: float = 0.1
    widest_frames: int = 9

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise LmdmError(f"SketchConfig.{name} must lie between {least} and {most}, got {getattr(self, name)}.")
        if not 1 <= self.top_k <= self.bins:
            raise LmdmError(f"SketchConfig.top_k must lie between 1 and the {self.bins} bins, got {self.top_k}.")
        if self.widest_frames % 2 == 0:
            raise LmdmError(f"SketchConfig.widest_frames must be odd, got {self.widest_frames}.")
        self._check_features()
        highest_hz = self.bin_hz(self.bins)
        if "melody" in self.features and highest_hz > HIGHEST_SHARE_OF_RATE * self.sample_rate:
            raise LmdmError(
                f"Melody up to {highest_hz:.0f} Hz does not fit below half of {self.sample_rate} Hz; lower bins "
                f"({self.bins}) or lowest_midi ({self.lowest_midi})."
            )

    @staticmethod
    def of_frames(frame_samples: int, sample_rate: int) -> SketchConfig:
        """The default sketch on the frames of a codec; at low rates with as many of the 88 notes as fit below them."""
        guard_hz = HIGHEST_SHARE_OF_RATE * sample_rate
        fitting = int(12.0 * math.log2(guard_hz / A4_HZ) + A4_MIDI - SketchConfig.lowest_midi)
        return SketchConfig(frame_samples, sample_rate, bins=max(2, min(SketchConfig.bins, fitting)))

    @property
    def frame_controls(self) -> tuple[tuple[str, int], ...]:
        """Names and channels of the frame controls that a model declares for it; the first of each is `present`."""
        return tuple((f"sketch_{feature}", 1 + self.channels(feature)) for feature in self.ordered_features)

    @property
    def ordered_features(self) -> tuple[Feature, ...]:
        """Its features in the order in which every sketch has them."""
        return tuple(feature for feature in FEATURES if feature in self.features)

    @property
    def highest_midi(self) -> float:
        """The note of the highest bin."""
        return self.lowest_midi + 12.0 * (self.bins - 1) / self.bins_per_octave

    @property
    def delay_frames(self) -> int:
        """Frame `n` of the whole sketch is settled once frame `n + delay_frames` has been heard."""
        return max(self.feature_delay_frames(feature) for feature in self.features)

    def channels(self, feature: Feature) -> int:
        """How many values a feature has in each frame, without `present`."""
        return self.bins if feature == "melody" else 1

    def feature_delay_frames(self, feature: Feature) -> int:
        """How many frames after frame `n` the value of this feature for frame `n` can be told, were it alone."""
        if feature == "melody":
            return int(self.melody_ahead_seconds * self.sample_rate / self.frame_samples)
        return 0 if feature == "rhythm" else math.ceil((self.window_samples / self.frame_samples - 1.0) / 2.0)

    @property
    def window_samples(self) -> int:
        """The window of loudness and brightness: the power of two nearest to `window_seconds`, or a frame."""
        return max(2 ** round(math.log2(self.window_seconds * self.sample_rate)), self.frame_samples)

    def bin_hz(self, index: int) -> float:
        """The frequency of a bin of melody."""
        semitones = self.lowest_midi - A4_MIDI + 12.0 * index / self.bins_per_octave
        return A4_HZ * 2.0 ** (semitones / 12.0)

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object; `from_json(SketchConfig, ...)` reads it back."""
        return asdict(self)

    def _check_features(self) -> None:
        if not self.features:
            raise LmdmError(f"A sketch needs at least one feature of {', '.join(FEATURES)}.")
        for feature in self.features:
            if feature not in FEATURES or self.features.count(feature) > 1:
                raise LmdmError(f"features are some of {', '.join(FEATURES)}, each once; got {feature!r}.")
