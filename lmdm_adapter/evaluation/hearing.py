"""What can be heard in a window of music: tempo, beats, key, chords, loudness and brightness.

Tempo is this package's own estimate; beats are librosa's dynamic programming at that tempo (Ellis 2007, "Beat tracking
by dynamic programming"), keys are correlations with the probe-tone profiles of Krumhansl and Kessler (1982), chords are
the nearest major or minor triad of each second. How often each is right is measured on songs whose truth is known, and
stands beside every figure that rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.extras import extra
from lmdm_adapter.evaluation.features import FRAME_SECONDS as ONSET_FRAME_SECONDS
from lmdm_adapter.evaluation.features import frame_hop_seconds, log_mel, mono, onset_strength
from lmdm_adapter.evaluation.tempo import estimate_tempo
from lmdm_adapter.music.harmony import KEYS, parse_key

MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
TRIADS = tuple((root, quality) for root in range(12) for quality in ("maj", "min"))
THIRDS = {"maj": 4, "min": 3}
FRAME_SECONDS, HIGHEST_HZ = 0.37, 2000.0
CHORD_SECONDS = 1.0
HARMONIC_KERNEL = (15, 31)
"""Frames that a tone lasts at least, so that a chord is not blurred into the next, and bins that a drum fills."""
TIGHTNESS = 400.0
"""How steady librosa keeps its beats; its default of 100 was less often right on training songs."""
SILENCE_DB = -100.0
QUIET_DB = -60.0
"""Below this there is no key, no chord and no beat, only rounding noise."""


@dataclass(frozen=True)
class HeardChord:
    """One second's nearest triad: `root` is a pitch class, `quality` "maj" or "min"."""

    root: int
    quality: str
    start_seconds: float
    end_seconds: float

    @property
    def tones(self) -> frozenset[int]:
        """The three pitch classes."""
        return frozenset({self.root, (self.root + THIRDS[self.quality]) % 12, (self.root + 7) % 12})


@dataclass(frozen=True, eq=False)
class Heard:
    """One window. Times are from its start; `tempo_bpm`, `key` are None and lists empty where it is quiet."""

    seconds: float
    tempo_bpm: float | None
    key: str | None
    loudness_db: float
    centroid_hz: float
    beats_seconds: np.ndarray = field(repr=False)
    chords: tuple[HeardChord, ...] = field(repr=False)


def hear(audio: Audio) -> Heard:
    """Listen to one window of at least 10 s. Raises LmdmError for less, NaN, or without the extra `[evaluate]`."""
    if not np.isfinite(audio.samples).all():
        raise LmdmError("There is nothing to hear in NaN or infinite samples; has the model come apart?")
    samples = audio.samples.mean(axis=0)
    level_db, centroid = loudness_db(samples), centroid_hz(samples, audio.sample_rate)
    tempo = estimate_tempo(audio)
    if level_db < QUIET_DB:
        return Heard(audio.seconds, None, None, level_db, centroid, np.zeros(0), ())
    frames = chroma(samples, audio.sample_rate)
    return Heard(
        seconds=audio.seconds, tempo_bpm=tempo, key=estimate_key(frames), loudness_db=level_db, centroid_hz=centroid,
        beats_seconds=track_beats(audio, tempo), chords=estimate_chords(frames, audio.seconds),
    )  # fmt: skip


def loudness_db(samples: np.ndarray) -> float:
    """Level of `s` samples in dB, a square wave of full scale being 0; never below -100."""
    return max(SILENCE_DB, 10.0 * float(np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30)))


def centroid_hz(samples: np.ndarray, sample_rate: int) -> float:
    """Centre of gravity of the power spectrum of `s` samples, in Hz; 0 for silence."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    total = float(power.sum())
    return float(power @ np.fft.rfftfreq(len(samples), 1.0 / sample_rate)) / total if total > 0.0 else 0.0


def track_beats(audio: Audio, tempo_bpm: float) -> np.ndarray:
    """Times of the beats in seconds, (beats,), spaced about evenly at `tempo_bpm`."""
    librosa = extra("librosa", "Tracking beats")
    strength = onset_strength(log_mel(mono(audio)[None], audio.sample_rate))[0].numpy()
    hop_seconds = frame_hop_seconds(audio.sample_rate)
    _, frames = librosa.beat.beat_track(
        onset_envelope=strength, sr=1.0 / hop_seconds, hop_length=1, bpm=tempo_bpm, tightness=TIGHTNESS, trim=False
    )
    # The strength of frame n is the step from frame n to n + 1, each heard around its middle.
    return np.asarray(frames, dtype=np.float64) * hop_seconds + hop_seconds + 0.5 * ONSET_FRAME_SECONDS


def chroma(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """How strong each pitch class sounds, (12, frames), each frame adding up to 1 (or 0 in silence).

    Drums are taken away first, by harmonic-percussive separation; what lies above 2 kHz is not looked at.
    """
    librosa = extra("librosa", "Hearing keys and chords")
    frame_samples = 2 ** round(np.log2(FRAME_SECONDS * sample_rate))
    bins = min(round(HIGHEST_HZ / sample_rate * frame_samples), frame_samples // 2)
    spectrum = np.abs(librosa.stft(samples, n_fft=frame_samples, hop_length=frame_samples // 2)[:bins])
    harmonic = librosa.decompose.hpss(spectrum, kernel_size=HARMONIC_KERNEL)[0]
    classes = librosa.filters.chroma(sr=sample_rate, n_fft=frame_samples)[:, :bins] @ harmonic
    return classes / np.maximum(classes.sum(axis=0), 1e-9)


def estimate_key(frames: np.ndarray) -> str | None:
    """The key, one of `music.KEYS`, whose profile correlates best with the mean of (12, frames); None for silence."""
    mean = frames.mean(axis=1)
    if mean.std() == 0.0:
        return None
    scores = [np.corrcoef(mean, _profile(name))[0, 1] for name in KEYS]
    return KEYS[int(np.argmax(scores))]


def estimate_chords(frames: np.ndarray, seconds: float) -> tuple[HeardChord, ...]:
    """The nearest triad of each whole second of (12, frames) that last `seconds`."""
    count = max(1, int(seconds / CHORD_SECONDS))
    edges = np.linspace(0.0, 1.0, count + 1)
    columns = np.round(edges * frames.shape[1]).astype(int)
    templates = _triad_templates()
    chords = []
    for index, (first, last) in enumerate(zip(columns[:-1], columns[1:], strict=True)):
        root, quality = TRIADS[int(np.argmax(templates @ frames[:, first:last].mean(axis=1)))]
        chords.append(HeardChord(root, quality, float(edges[index] * seconds), float(edges[index + 1] * seconds)))
    return tuple(chords)


def _profile(key: str) -> np.ndarray:
    parsed = parse_key(key)
    return np.roll(MAJOR_PROFILE if parsed.mode == "major" else MINOR_PROFILE, parsed.tonic)


def _triad_templates() -> np.ndarray:
    """(24, 12), one row per triad."""
    templates = np.zeros((len(TRIADS), 12))
    for row, (root, quality) in enumerate(TRIADS):
        templates[row, [root, (root + THIRDS[quality]) % 12, (root + 7) % 12]] = 1.0
    return templates
