"""Rendered songs are in tune, in time, and the same wherever one begins to listen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import STEM_NAMES, STYLES, compose, mix, render
from lmdm_adapter.music.patches import PATCHES, pitch_hz, pitched_note
from lmdm_adapter.music.render import CEILINGS

RATE = 11025


def tempo_of(sound: np.ndarray, *, low_bpm: float, high_bpm: float) -> float:
    """Tempo by autocorrelation of the onset envelope, summed over one to eight beats, within a range of one octave."""
    hop, size = 64, 256
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop] * np.hanning(size)
    level = np.log1p(1000.0 * np.abs(np.fft.rfft(frames, axis=1)))
    onsets = np.maximum(0.0, np.diff(level, axis=0)).sum(axis=1)
    onsets -= onsets.mean()
    spectrum = np.abs(np.fft.rfft(onsets, 2 * len(onsets))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(onsets)]
    tempos = np.arange(low_bpm, high_bpm, 0.1)
    beats = 60.0 / tempos[:, None] * RATE / hop * np.arange(1, 9)
    return float(tempos[np.interp(beats, np.arange(len(correlation)), correlation).sum(axis=1).argmax()])


def chord_share(sound: np.ndarray, tones: tuple[int, ...]) -> float:
    """Share of the energy from 100 to 900 Hz that lies within 40 cents of the given pitch classes."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1.0 / RATE)
    power, hertz = power[(hertz > 100) & (hertz < 900)], hertz[(hertz > 100) & (hertz < 900)]
    pitch = 69.0 + 12.0 * np.log2(hertz / 440.0)
    near = np.zeros(len(pitch), dtype=bool)
    for tone in tones:
        near |= np.abs((pitch - tone + 6.0) % 12.0 - 6.0) < 0.4
    return float(power[near].sum() / power.sum())


def other_tones(tones: tuple[int, ...]) -> tuple[int, ...]:
    """The chord moved to where it shares fewest pitch classes with itself."""
    moved = [tuple((tone + shift) % 12 for tone in tones) for shift in range(1, 12)]
    return min(moved, key=lambda candidate: len(set(candidate) & set(tones)))


def test_same_seed_same_bits():
    first, second = (mix(render(compose(6, seconds=4.0), RATE)).samples for _ in range(2))
    assert np.array_equal(first, second)
    other = mix(render(compose(7, seconds=6.0), RATE, seconds=first.shape[1] / RATE)).samples
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("style", ["house", "techno", "boom-bap", "punk", "drum and bass", "synthwave", "funk"])
def test_tempo_of_the_sound_is_that_of_the_song(style):
    song = compose(21, style=style, seconds=16.0)
    truth = song.tempo_bpm
    sound = mix(render(song, RATE)).samples[0]
    # The octave is taken as known: what "the" beat is among its doubles is a convention, not a fact of the sound.
    assert tempo_of(sound, low_bpm=0.72 * truth, high_bpm=1.38 * truth) == pytest.approx(truth, rel=0.02)
    other = mix(render(compose(21, style=style, seconds=16.0, tempo_bpm=round(truth * 1.13)), RATE)).samples[0]
    assert tempo_of(other, low_bpm=0.72 * truth, high_bpm=1.38 * truth) != pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("style", STYLES)
def test_chords_sound_their_pitch_classes(style):
    song = next(s for s in (compose(seed, style=style, seconds=24.0) for seed in range(9)) if s.stems["chords"].notes)
    sound = render(song, RATE)["chords"].samples[0]
    shares, wrong = [], []
    for chord in song.chords:
        length = chord.end_seconds - chord.start_seconds
        part = sound[int((chord.start_seconds + 0.3 * length) * RATE) : int(chord.end_seconds * RATE)]
        if np.abs(part).max() > 1e-3:
            shares.append(chord_share(part, chord.tones))
            wrong.append(chord_share(part, other_tones(chord.tones)))
    assert np.mean(shares) > 0.7  # The rest are overtones: the fifth partial of a minor third is outside the chord.
    assert np.mean(wrong) < 0.35


@pytest.mark.parametrize("name", PATCHES)
@pytest.mark.parametrize("pitch", [40, 64])
def test_every_patch_is_in_tune(name, pitch):
    note = pitched_note(PATCHES[name], pitch, held_seconds=0.9, sample_rate=22050, brightness=1.0, decay=1.0)
    assert np.isfinite(note).all() and note[-1] == pytest.approx(0.0, abs=1e-4)
    part = note[2205:17640] * np.hanning(15435)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(part, 1 << 16)) ** 2)
    # Forty lags per period tell a comb within ten cents from one that is a third of a semitone off.
    periods = 22050.0 / (pitch_hz(pitch) * 2.0 ** (np.arange(-60, 61) / 1200.0))
    score = np.interp(periods[:, None] * np.arange(1, 21), np.arange(len(correlation)), correlation).sum(axis=1)
    assert abs(int(score.argmax()) - 60) <= 10


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("start_seconds", [0.0, 3.3217])
def test_a_part_is_the_slice_of_the_whole(style, start_seconds):
    song = compose(31, style=style, seconds=8.0)
    whole, part = render(song, RATE), render(song, RATE, start_seconds=start_seconds, seconds=1.25)
    first = round(start_seconds * RATE)
    for name in STEM_NAMES:
        expected = whole[name].samples[:, first : first + round(1.25 * RATE)]
        assert part[name].samples.shape == expected.shape
        assert np.abs(part[name].samples - expected).max() < 1e-6
    late = mix(whole).samples[:, first + 1 : first + 1 + round(1.25 * RATE)]
    assert np.abs(mix(part).samples - late).max() > 1e-3, "a shift of one sample must be seen"


def test_stems_sum_to_the_mix_and_the_mix_never_clips():
    for seed in range(8):
        stems = render(compose(seed, seconds=8.0), RATE)
        total = sum(stem.samples.astype(np.float64) for stem in stems.values())
        assert np.abs(mix(stems).samples - total).max() < 1e-6
        assert 0.05 < np.abs(total).max() < 1.0
        assert np.abs(mix({"bass": stems["bass"]}).samples - total).max() > 1e-3


def test_even_an_absurdly_loud_song_does_not_clip():
    song = compose(1, style="funk", seconds=12.0)
    crowd = {name: replace(stem, notes=stem.notes * 20) for name, stem in song.stems.items()}
    loud = render(replace(song, stems=crowd), RATE)
    assert all(np.abs(loud[name].samples).max() <= CEILINGS[name] + 1e-6 for name in STEM_NAMES)
    assert sum(CEILINGS.values()) < 1.0 and 0.5 < np.abs(mix(loud).samples).max() < 1.0


def test_gains_are_fixed():
    """A quiet song stays quiet: nothing is normalised per clip."""
    song = compose(3, style="house", seconds=4.0)
    drums = song.stems["drums"]
    soft = replace(drums, notes=tuple(replace(note, velocity=note.velocity // 4) for note in drums.notes))
    quiet = render(replace(song, stems={**song.stems, "drums": soft}), RATE)
    assert np.abs(quiet["drums"].samples).max() < 0.5 * np.abs(render(song, RATE)["drums"].samples).max()


@pytest.mark.parametrize(("start_seconds", "seconds"), [(-0.5, 1.0), (99.0, None), (0.0, 99.0), (0.0, 0.0)])
def test_a_part_outside_the_song_is_refused(start_seconds, seconds):
    with pytest.raises(LmdmError, match="Cannot render"):
        render(compose(1, seconds=4.0), RATE, start_seconds=start_seconds, seconds=seconds)


def test_stems_that_do_not_fit_are_refused():
    one, two = Audio(np.zeros((1, 8)), RATE), Audio(np.zeros((1, 9)), RATE)
    with pytest.raises(LmdmError, match="agree"):
        mix({"bass": one, "lead": two})
    with pytest.raises(LmdmError, match="no stems"):
        mix({})
