"""How well a part fits the song that it is played in: its notes the song's chords, its onsets the song's beats.

A part alone has few notes and no drums, so it is not heard as a whole song is (`hearing`). Notes are the strongest of a
constant-Q transform in each frame, as in a sketch, so that low ones count; beats are tracked at the song's own tempo,
so that what is measured is where they fall. Onsets and beats are scored by mir_eval (Raffel et al. 2014). Trackers of
beats lose their way in a bass line, even in the songs' own, so `pulse` needs none: the vector strength (Goldberg and
Brown 1969) of the onset strength at the song's beats, which is 0 on average for whatever does not know them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import SketchConfig, sketched
from lmdm_adapter.evaluation.agreement import Measure, beat_f1
from lmdm_adapter.evaluation.extras import extra
from lmdm_adapter.evaluation.features import FRAME_SECONDS as ONSET_FRAME_SECONDS
from lmdm_adapter.evaluation.features import frame_hop_seconds, log_mel, mono, onset_strength
from lmdm_adapter.evaluation.hearing import QUIET_DB, loudness_db, track_beats
from lmdm_adapter.evaluation.tempo import estimate_tempo, within
from lmdm_adapter.music import Song

STEM_MEASURES = (
    Measure("chord_tones", "Notes that belong to the song's chord", "share of time"),
    Measure("chord_root", "Strongest note is the chord's root", "share of time"),
    Measure("beat_f1", "Beat F1 against the song's beats or off-beats"),
    Measure("onset_f1", "Onset F1 against the song's eighth notes"),
    Measure("pulse", "Onset strength in step with the song's beats, eighths or sixteenths", "vector strength"),
    Measure("tempo_match", "Song's tempo within 4 %, half and double too", "share"),
)
NOTE_FRAME_SECONDS, NOTE_BINS, NOTES = 0.046, 72, 4
"""Six octaves from A0, and at most four notes of a frame: a bass, and a chord."""
ONSET_TOLERANCE_SECONDS = 0.05
UNPITCHED = ("drums",)


def stem_agreement(audio: Audio, song: Song, stems: Sequence[str], *, start_seconds: float = 0.0) -> dict[str, float]:
    """All STEM_MEASURES of a part that begins `start_seconds` into the song, in place of the song's own `stems`.

    Notes count while the song's own part sounds: silence then is a miss, and rests of that part are left out. They are
    NaN for drums, which have none. Raises LmdmError for less than 10 s of audio, or without the extra `[evaluate]`.
    """
    return {
        **note_agreement(audio, song, stems, start_seconds=start_seconds),
        **beat_agreement(audio, song, start_seconds=start_seconds),
    }


def note_agreement(audio: Audio, song: Song, stems: Sequence[str], *, start_seconds: float) -> dict[str, float]:
    """`chord_tones`: the share of what sounds, by amplitude, that lies on tones of the chord; `chord_root`.

    Both are means over the frames in which the song's own part sounds.
    """
    pitched = [name for name in stems if name not in UNPITCHED]
    classes, times = _pitch_classes(audio)
    counted = sounding(song, pitched, start_seconds + times)
    if not counted.any():
        return {"chord_tones": math.nan, "chord_root": math.nan}
    tones, roots = _chord_at(song, start_seconds + times)
    total = classes.sum(axis=0)
    inside = (classes * tones).sum(axis=0) / np.maximum(total, 1e-9)
    on_root = (classes.argmax(axis=0) == roots) & (total > 0.0)
    return {"chord_tones": float(inside[counted].mean()), "chord_root": float(on_root[counted].mean())}


def beat_agreement(audio: Audio, song: Song, *, start_seconds: float) -> dict[str, float]:
    """`beat_f1`, `onset_f1`, `pulse`, `tempo_match`; 0 for silence. Off-beats count, on which many a bass line lies."""
    if loudness_db(audio.samples.mean(axis=0)) < QUIET_DB:
        return dict.fromkeys(("beat_f1", "onset_f1", "pulse", "tempo_match"), 0.0)
    beats, half_seconds = np.asarray(song.beats_seconds) - start_seconds, 30.0 / song.tempo_bpm
    tracked = track_beats(audio, song.tempo_bpm)
    return {
        "beat_f1": max(beat_f1(beats + late, tracked, audio.seconds) for late in (0.0, half_seconds)),
        "onset_f1": _onset_f1(np.sort(np.concatenate((beats, beats + half_seconds))), audio),
        "pulse": pulse(audio, beats[0], 2.0 * half_seconds),
        "tempo_match": float(within(song.tempo_bpm, estimate_tempo(audio), octaves=True)),
    }


def sounding(song: Song, stems: Sequence[str], times_seconds: np.ndarray) -> np.ndarray:
    """Whether any of the song's `stems` has a note at each of these times, a bool each."""
    notes = [note for name in stems for note in song.stems[name].notes]
    starts = np.array([note.start_seconds for note in notes])[:, None]
    ends = np.array([note.end_seconds for note in notes])[:, None]
    return ((starts <= times_seconds) & (times_seconds < ends)).any(axis=0)


def onset_times(audio: Audio) -> np.ndarray:
    """Times of onsets in seconds: peaks of the onset strength, by librosa."""
    librosa = extra("librosa", "Hearing onsets")
    strength, times = _onset_strength(audio)
    hop_samples = round(frame_hop_seconds(audio.sample_rate) * audio.sample_rate)
    frames = librosa.onset.onset_detect(onset_envelope=strength, sr=audio.sample_rate, hop_length=hop_samples)
    return times[np.asarray(frames, dtype=int)]


def pulse(audio: Audio, first_beat_seconds: float, beat_seconds: float) -> float:
    """How much of the onset strength is in step with the beats, with halves or with quarters of them: the best, 0 to 1.

    1 is everything on the beat, 0 as much off it, or against it.
    """
    strength, times = _onset_strength(audio)
    turns = (times - first_beat_seconds) / beat_seconds
    in_step = [float(strength @ np.cos(2.0 * np.pi * parts * turns)) for parts in (1, 2, 4)]
    return max(0.0, *in_step) / max(float(strength.sum()), 1e-9)


def _onset_strength(audio: Audio) -> tuple[np.ndarray, np.ndarray]:
    """Onset strength and the times that it speaks of, (frames,) each."""
    strength = onset_strength(log_mel(mono(audio)[None], audio.sample_rate))[0].double().numpy()
    hop_seconds = frame_hop_seconds(audio.sample_rate)
    # The strength of frame n is the step from frame n to n + 1, each heard around its middle.
    return strength, np.arange(len(strength)) * hop_seconds + hop_seconds + 0.5 * ONSET_FRAME_SECONDS


def _onset_f1(reference: np.ndarray, audio: Audio) -> float:
    mir_eval = extra("mir_eval", "Scoring onsets")
    inside, heard = reference[(reference >= 0.0) & (reference < audio.seconds)], onset_times(audio)
    if not len(inside) or not len(heard):
        return 0.0
    return float(mir_eval.onset.f_measure(inside, heard, window=ONSET_TOLERANCE_SECONDS)[0])


def _pitch_classes(audio: Audio) -> tuple[np.ndarray, np.ndarray]:
    """How strong each pitch class is in each frame, (12, frames), and the middles of the frames in seconds."""
    frame_samples = 2 ** round(math.log2(NOTE_FRAME_SECONDS * audio.sample_rate))
    config = SketchConfig(frame_samples, audio.sample_rate, features=("melody",), bins=NOTE_BINS, top_k=NOTES)
    notes = np.nan_to_num(sketched(config, audio).of("melody"))
    classes = np.zeros((12, notes.shape[1]))
    np.add.at(classes, (config.lowest_midi + np.arange(NOTE_BINS)) % 12, notes)
    return classes, (np.arange(notes.shape[1]) + 0.5) * frame_samples / audio.sample_rate


def _chord_at(song: Song, times_seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pitch classes the song's chord has at each time, (12, times), and its root, (times,)."""
    tones, roots = np.zeros((12, len(song.chords))), np.array([chord.tones[0] for chord in song.chords])
    for index, chord in enumerate(song.chords):
        tones[list(chord.tones), index] = 1.0
    now = np.searchsorted([chord.start_seconds for chord in song.chords], times_seconds, side="right") - 1
    now = np.clip(now, 0, len(song.chords) - 1)
    return tones[:, now], roots[now]
