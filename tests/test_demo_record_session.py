"""Recordings of Sketch, Jam and Generative delay: the same model makes the same samples from log and input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import lmdm_adapter as lmdm
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.record_log import read_record_log
from lmdm_adapter.demo.record_session import replayed_session
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.records import Records
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.cli import done, sentence
from tests.demo_records import sound_of
from tests.mode_models import RATE, listening_live

LIVE = listening_live(steps=1)
DRAWING = {"loudness": [i * 7 % 64 / 63 for i in range(64)], "brightness": [], "melody": [0.0] * 64, "seconds": 0.5}
TURNS = ((4, "prompt", "techno"), (5, "tightness", 0.2), (7, "gain_db", -6.0), (9, "freeze", True),
         (12, "freeze", False))  # fmt: skip
REDRAWN = (6, "sketch", {**DRAWING, "loudness": [0.2] * 64})
MIXED = ((3, "mix", 0.5), (5, "feedback", 0.6))
MODES = {
    "drawn": ("sketch", {"sketch": DRAWING}, (*TURNS, REDRAWN)),
    "followed": ("sketch", {"sound": True}, TURNS),
    "jam ahead": ("jam", {"sound": True, "visibility_seconds": 0.3}, (*TURNS, *MIXED)),
    "jam as if live": ("jam", {"sound": True, "visibility_seconds": -1.0}, (*TURNS, *MIXED)),
    "delay": ("delay", {"sound": True, "beats": 1, "bpm": 100.0}, (*TURNS, *MIXED)),
}
CHUNKS = 40


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return song_of(tmp_path / "My song.flac", seed=5)


def song_of(path: Path, *, seed: int) -> Path:
    """A sound file of 0.25 s at another rate."""
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, 4000), 2 * RATE)
    return path


def recorded(
    records: Records, song: Path, kind: str, *, live: Any = LIVE, name: str = "toy", on_at: int = 0
) -> Recording:
    """What a visitor recorded from the `on_at`-th chunk on, with turns before some of them."""
    mode, values, turns = MODES[kind]
    values = {"prompt": "house", "ahead_seconds": 0.1, "seed": 3, **values}
    told = {**values, "sound": str(song)} if values.pop("sound", False) else values
    wish, shelf = Wish(mode, told, lead_seconds=0.1), records.shelf("one")
    inner = Band(live, name=name).voice(wish)
    inner._now = lambda: 0.0  # The page never runs dry, so a block is waited for as long as it takes.
    voice, count = RecordedVoice(inner, wish, shelf), 0
    while count < CHUNKS:
        shelf.switch(True) if count == on_at else None
        for turn in (turn for turn in turns if turn[0] == count):
            voice.set(*turn[1:])
        count += len(voice.next_chunk().samples) > 0
    voice.close()
    return shelf.recordings[-1]


def again(recording: Recording, **settings: Any) -> np.ndarray:
    log = read_record_log(recording.log_path)
    return np.concatenate(list(replayed_session(log, LIVE, recording.log_path.parent, **settings)))


@pytest.mark.parametrize(("kind", "on_at"), [("drawn", 0), *((kind, 15) for kind in MODES)])
def test_a_recording_is_made_again_to_the_bit_and_finer(records: Records, song: Path, kind: str, on_at: int) -> None:
    recording = recorded(records, song, kind, on_at=on_at)
    sound = sound_of(recording)
    assert again(recording).tobytes() == sound.tobytes() and np.abs(sound).max() > 0.01
    finer = again(recording, steps=2)
    assert finer.shape == sound.shape and finer.tobytes() != sound.tobytes()


def test_the_drawing_and_the_sound_are_what_makes_the_music(records: Records, song: Path, tmp_path: Path) -> None:
    """Negative control: a turn that is left out, or another sound."""
    drawing = recorded(records, song, "drawn")
    text = drawing.log_path.read_text().splitlines(keepends=True)
    drawing.log_path.write_text("".join(line for line in text if '"name":"curves"' not in line))
    assert again(drawing).tobytes() != sound_of(drawing).tobytes()
    jam = recorded(records, song, "jam ahead")
    other = recorded(records, song_of(tmp_path / "b.flac", seed=6), "jam ahead")
    assert sound_of(jam).tobytes() != sound_of(other).tobytes()


def test_the_command_plays_it_again_with_the_input_beside_the_log(records: Records, song: Path, tmp_path: Path) -> None:
    LIVE.save(tmp_path / "live")
    live = lmdm.load(tmp_path / "live")
    recording = recorded(records, song, "jam ahead", live=live, name=str(tmp_path / "live"))
    out = tmp_path / "again.wav"
    done("replay", recording.log_path, "--out", out)
    assert soundfile.read(out, dtype="float32", always_2d=True)[0].tobytes() == sound_of(recording).tobytes()
    done("replay", recording.log_path, "--out", out, "--steps", 2)
    assert recording.input_path is not None and recording.input_path.read_bytes() == song.read_bytes()
    song_of(recording.input_path, seed=7)
    assert "not the sound" in sentence("replay", recording.log_path, "--out", out)
    recording.input_path.unlink()
    assert "beside the log" in sentence("replay", recording.log_path, "--out", out)


def test_the_input_is_downloaded_counted_and_deleted_with_the_rest(records: Records, song: Path) -> None:
    shelf, recording = records.shelf("one"), recorded(records, song, "followed")
    assert recording.input_path is not None and recording.input_path.name == "lmdm-sketch-1-input.flac"
    assert shelf.file(recording.input_path.name) == recording.input_path
    assert recording.bytes > song.stat().st_size + sound_of(recording).nbytes
    shelf.clear()
    assert not any(path.exists() for path in recording.paths)
    assert recorded(records, song, "drawn").input_path is None


def test_a_log_that_was_cut_off_replays_as_far_as_it_goes(records: Records, song: Path) -> None:
    recording = recorded(records, song, "delay")
    sound, lines = sound_of(recording), recording.log_path.read_text().splitlines(keepends=True)
    recording.log_path.write_text("".join(lines[: len(lines) // 2]) + "{")
    samples = again(recording)
    assert 0 < len(samples) < len(sound) and samples.tobytes() == sound[: len(samples)].tobytes()


def test_a_log_without_one_of_its_blocks_is_damaged(records: Records, song: Path) -> None:
    recording = recorded(records, song, "drawn")
    lines = recording.log_path.read_text().splitlines(keepends=True)
    block = next(line for line in lines if '"kind":"session","record":{"kind":"block","index":2,' in line)
    recording.log_path.write_text("".join(line for line in lines if line is not block))
    with pytest.raises(LmdmError, match="Blocks are missing"):
        again(recording)
