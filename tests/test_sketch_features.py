"""What the features say of sounds whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.controls.sketch import FEATURES, SketchConfig, sketched
from lmdm_adapter.controls.sketch.brightness import brightness_midi
from lmdm_adapter.controls.sketch.loudness import loudness_db
from tests.sketches import CONFIG, audio, noise, notes, silence, tone

FULL = SketchConfig()
N = 12


@pytest.mark.parametrize("config", [CONFIG, FULL], ids=["22 kHz", "44 kHz"])
@pytest.mark.parametrize(("midi", "weight_db"), [(83.213, 0.0), (43.349, -19.1), (107.213, 1.0)])
def test_loudness_is_a_weighted(config: SketchConfig, midi: float, weight_db: float) -> None:
    """Sines of 1000, 100 and 4000 Hz with amplitude 0.1, against the table of IEC 61672."""
    sketch = sketched(config, audio(tone(midi, 2 * N, amplitude=0.1, config=config), config=config))
    assert loudness_db(sketch.of("loudness")[0, N]) == pytest.approx(-23.01 + weight_db, abs=0.15)


def test_loudness_follows_the_gain() -> None:
    levels = [
        float(loudness_db(sketched(CONFIG, audio(gain * noise(2 * N))).of("loudness")[0, N])) for gain in (1, 0.1)
    ]
    assert levels[0] - levels[1] == pytest.approx(20.0, abs=0.01)


@pytest.mark.parametrize("midi", [45.0, 69.0, 100.5])
def test_brightness_of_a_tone_is_its_note(midi: float) -> None:
    brightness = sketched(CONFIG, audio(tone(midi, 2 * N))).of("brightness")[0, N]
    assert brightness_midi(brightness) == pytest.approx(midi, abs=0.1)


def test_brightness_does_not_hear_the_level() -> None:
    loud, soft = (sketched(CONFIG, audio(gain * noise(2 * N))).of("brightness") for gain in (1.0, 0.05))
    assert np.allclose(loud[0, 2:-2], soft[0, 2:-2], atol=1e-3)


@pytest.mark.parametrize("midi", [21, 22, 24, 28, 31, 36, 40, 57, 69, 84, 108])
def test_one_tone_is_one_note(midi: int) -> None:
    """Low ones too: the lowest string of a bass is 28 (E1), the lowest key of a piano 21 (A0)."""
    assert notes(sketched(CONFIG, audio(tone(midi, 2 * N))), N) == [midi]


@pytest.mark.parametrize("bass", [28, 33, 40])
def test_a_bass_is_heard_below_a_chord(bass: int) -> None:
    sound = sum(tone(midi, 2 * N, amplitude=0.2) for midi in (bass, 60, 64, 67))
    assert notes(sketched(CONFIG, audio(sound)), N) == [bass, 60, 64, 67]


def test_melody_keeps_the_strongest() -> None:
    """Of five tones the softest is dropped by top_k 4, and one at a hundredth never counts."""
    gains = {40: 0.2, 50: 0.15, 60: 0.05, 70: 0.1, 80: 0.12}
    sound = sum(tone(midi, 2 * N, amplitude=gain) for midi, gain in gains.items())
    sketch = sketched(CONFIG, audio(sound))
    assert notes(sketch, N) == [40, 50, 70, 80]
    assert sketch.of("melody")[[40 - 21, 70 - 21], N] == pytest.approx([1.0, 0.5], abs=0.02)
    assert notes(sketched(CONFIG, audio(tone(40, 2 * N) + tone(60, 2 * N, amplitude=0.005))), N) == [40]


def test_notes_outside_are_not_the_outermost() -> None:
    config = SketchConfig(frame_samples=1024, sample_rate=22_050, lowest_midi=48, bins=24)
    for midi, heard in ((47, []), (48, [48]), (71, [71]), (72, [])):
        sketch = sketched(config, audio(tone(midi, 2 * N), config=config))
        assert notes(sketch, N, config=config) == heard


@pytest.mark.parametrize("place", [0, 300, 700])
def test_rhythm_is_where_something_begins(place: int) -> None:
    sound = silence(N)
    sound[0, 5 * CONFIG.frame_samples + place] = 1.0
    rhythm = sketched(CONFIG, audio(sound)).of("rhythm")[0]
    assert rhythm[5] == 1.0 and not np.delete(rhythm, 5).any()


def test_rhythm_hears_a_drum_in_a_pad_but_no_pad() -> None:
    pad = sum(tone(midi, 2 * N, amplitude=0.1) for midi in (48, 55, 64)) + 0.001 * noise(2 * N)
    drummed = pad.copy()
    drummed[:, N * 1024 : N * 1024 + 800] += noise(1)[:, :800]
    calm, struck = (sketched(CONFIG, audio(sound)).of("rhythm")[0, 3:-3] for sound in (pad, drummed))
    assert calm.max() < 0.2 < 0.5 < struck[N - 3] and np.argmax(struck) == N - 3


def test_silence_has_no_brightness_but_the_rest() -> None:
    sketch = sketched(CONFIG, audio(silence(N)))
    drawn = {name: sketch.values[name][0].mean() for name in FEATURES}
    assert drawn == {"loudness": 1.0, "brightness": 0.0, "melody": 1.0, "rhythm": 1.0}
    assert not any(rows[1:].any() for rows in sketch.values.values())


def test_an_offset_is_silence() -> None:
    sketch = sketched(CONFIG, audio(silence(N) + 0.7))[7:-7]
    assert not sketch.values["brightness"].any() and not any(rows[1:].any() for rows in sketch.values.values())


def test_clipping_and_more_stays_near_one() -> None:
    """A full-scale square, and sound that is 30 times too loud."""
    for sound in (np.sign(tone(57, N)), 60.0 * tone(57, N)):
        sketch = sketched(CONFIG, audio(sound))
        assert notes(sketch, 6)[0] == 57
        assert all(0.0 <= rows.min() and rows.max() < 1.5 for rows in sketch.values.values())


def test_the_mean_of_the_channels_counts() -> None:
    left = noise(N)
    stereo = sketched(CONFIG, audio(np.concatenate((left, left))))
    assert np.array_equal(stereo.of("loudness"), sketched(CONFIG, audio(left)).of("loudness"))
