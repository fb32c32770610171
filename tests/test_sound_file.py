"""Sound files as audio: rates and channels, ffmpeg for what soundfile does not know, and files that were cut off."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.sound_file import read_audio

RATE = 8000


def tone(hz: float, *, sample_rate: int = RATE, seconds: float = 0.5) -> np.ndarray:
    """A sine, `(samples,)`."""
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate).astype(np.float32)


def stand_in_for_ffmpeg(folder: Path, monkeypatch: pytest.MonkeyPatch, *, body: str) -> Path:
    """A program called ffmpeg, the only one on the path; `body` sees the arguments as `arguments`."""
    folder.mkdir()
    program = folder / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport shutil, sys\narguments = sys.argv[1:]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return program


def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp3", tmp_path / "cut.mp3"
    soundfile.write(whole, tone(440.0, sample_rate=44100, seconds=3.0), 44100)
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert read_audio(whole).seconds == pytest.approx(3.0, abs=0.1)
    with pytest.raises(LmdmError, match=r"cut\.mp3 is cut off"):
        read_audio(cut)


def test_unknown_formats_go_through_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in: it shows what is asked of the program and what becomes of its answer, not that ffmpeg obeys."""
    soundfile.write(tmp_path / "answer.wav", tone(440.0), RATE, subtype="FLOAT")
    body = f"""
source = arguments[arguments.index("-i") + 1]
assert source == "file:{tmp_path}/strange: sound.m4a", source
shutil.copy("{tmp_path}/answer.wav", arguments[-1])"""
    stand_in_for_ffmpeg(tmp_path / "bin", monkeypatch, body=body)
    (tmp_path / "strange: sound.m4a").write_bytes(b"nothing that soundfile knows")
    assert np.array_equal(read_audio(tmp_path / "strange: sound.m4a").samples[0], tone(440.0))


def test_what_ffmpeg_refuses_is_told_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_ffmpeg(tmp_path / "bin", monkeypatch, body='sys.exit("first\\nno such stream.")')
    (tmp_path / "a.m4a").write_bytes(b"nothing")
    with pytest.raises(LmdmError, match=r"a\.m4a cannot be read as sound \(.*; ffmpeg: no such stream\)"):
        read_audio(tmp_path / "a.m4a")


def test_without_ffmpeg_it_is_named_as_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.m4a").write_bytes(b"nothing")
    with pytest.raises(LmdmError, match="install ffmpeg"):
        read_audio(tmp_path / "a.m4a")
