"""Sound files of visitors: wrong kinds, wrong lengths and wrong numbers are answered with a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from lmdm_adapter.demo.backing import STYLES, backing_track
from lmdm_adapter.demo.uploads import LONGEST_SECONDS, MOST_VALUES, require_sound
from lmdm_adapter.errors import LmdmError


def written(path, samples, rate=8000):
    soundfile.write(path, samples, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_sound_passes(tmp_path, suffix):
    path = written(tmp_path / f"a{suffix}", np.zeros(800, np.float32))
    assert require_sound(str(path)) == path


def test_an_hour_is_refused_from_its_header(tmp_path):
    path = written(tmp_path / "hour.flac", np.zeros(3600 * 1000, np.int16), rate=1000)
    with pytest.raises(LmdmError, match="60.0 minutes"):
        require_sound(path)
    assert LONGEST_SECONDS < 3600


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_no_number_is_refused_wherever_it_lies(tmp_path, wrong):
    samples = np.zeros(600_000, np.float32)
    samples[-1] = wrong
    with pytest.raises(LmdmError, match="NaN or infinity"):
        require_sound(written(tmp_path / "a.wav", samples))


@pytest.mark.parametrize("content", [b"", b"MZ" + bytes(100), b"<html></html>", b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_sound_is_refused(tmp_path, content):
    path = tmp_path / "song.wav"
    path.write_bytes(content)
    with pytest.raises(LmdmError, match="song.wav"):
        require_sound(path)


@pytest.mark.parametrize("path", [None, ""])
def test_no_file_is_asked_for(path):
    with pytest.raises(LmdmError, match="Choose"):
        require_sound(path)


def test_an_empty_sound_is_refused(tmp_path):
    with pytest.raises(LmdmError, match="0.0 minutes"):
        require_sound(written(tmp_path / "a.wav", np.zeros(0, np.float32)))


def test_a_small_file_that_would_fill_the_memory_is_refused_from_its_header(tmp_path):
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", samplerate=96_000, channels=8, subtype="PCM_16") as file:
        for _ in range(20):
            file.write(np.zeros((1 << 20, 8), np.int16))
    assert path.stat().st_size < 1 << 20 and 20 << 23 > MOST_VALUES
    with pytest.raises(LmdmError, match="8 channels at 96000 Hz"):
        require_sound(path)


@pytest.mark.parametrize("style", STYLES)
def test_every_backing_track_is_sound_that_passes(style):
    assert require_sound(backing_track(style)) == backing_track(style)
    assert 29.0 < soundfile.info(backing_track(style)).duration < 33.0


def test_a_backing_track_that_is_not_there_is_refused():
    with pytest.raises(LmdmError, match="polka"):
        backing_track("polka")
