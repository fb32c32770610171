"""The log of a recording of Play: the same model makes the same samples from it, whatever was turned and when."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile

import lmdm_adapter
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.record_log import read_record_log, replayed
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.cli import done, save_live, sentence
from tests.demo_records import sound_of
from tests.models import tiny_live

WISH = Wish("play", {"prompt": [["house a minor", 1.0]], "steps": 2, "seed": 3, "guidance": 2})
TURNS = (
    (1, "prompt", [["techno bass", 0.5], ["house", 0.25]]), (2, "keep", "A"), (2, "steps", 1), (3, "seed", 9),
    (4, "freeze", True), (4, "recall", "B"), (5, "freeze", False), (5, "recall", "A"), (6, "guidance", 1.5),
    (7, "rewind_blocks", 2), (7, "policy", "recache"), (8, "negative_prompt", "drums"),
)  # fmt: skip
BLOCKS = 10


@pytest.fixture(scope="module")
def band():
    return Band(tiny_live(), name="toy")


def played(band, records, *, switched_on_at=0, turns=TURNS):
    """What a visitor recorded of ten blocks with turns before some of them."""
    shelf = records.shelf("one")
    voice = RecordedVoice(band.voice(WISH), WISH, shelf)
    for block in range(BLOCKS):
        if block == switched_on_at:
            shelf.switch(True)
        for at, name, value in turns:
            if at == block:
                voice.set(name, value)
        voice.next_chunk()
    voice.close()
    return shelf.recordings[-1]


@pytest.mark.parametrize("switched_on_at", [0, 6])
def test_replaying_the_log_makes_the_same_samples(band, records, switched_on_at):
    recording = played(band, records, switched_on_at=switched_on_at)
    log = read_record_log(recording.log_path)
    assert np.concatenate(list(replayed(log, band.voice))).tobytes() == sound_of(recording).tobytes()
    assert log.header["origin"] == {**band.origin, "look_ahead_frames": log.header["origin"]["look_ahead_frames"]}


def test_the_command_replays_a_recording(records, tmp_path):
    folder = save_live(tmp_path / "toy", 2)
    recording = played(Band(lmdm_adapter.load(folder), name=str(folder)), records, switched_on_at=3)
    done("replay", recording.log_path, "--out", tmp_path / "again.wav")
    again = soundfile.read(tmp_path / "again.wav", dtype="float32", always_2d=True)[0]
    assert again.tobytes() == sound_of(recording).tobytes()
    done("replay", recording.log_path, "--out", tmp_path / "finer.wav", "--steps", 4)
    finer = soundfile.read(tmp_path / "finer.wav", dtype="float32", always_2d=True)[0]
    assert finer.shape == again.shape and finer.tobytes() != again.tobytes()
    other = save_live(tmp_path / "other", 3)
    assert "another model" in sentence("replay", recording.log_path, "--out", tmp_path / "b.wav", "--model", other)
    assert not (tmp_path / "b.wav").exists()


def test_a_turn_that_is_left_out_is_heard(band, records):
    """Negative control: the log's turns are what makes the music."""
    whole, less = played(band, records), played(band, records, turns=TURNS[:-1])
    assert sound_of(whole).tobytes() != sound_of(less).tobytes()


def test_turns_from_another_thread_are_replayed_where_they_counted(band, records):
    shelf, done = records.shelf("one"), threading.Event()
    shelf.switch(True)
    voice = RecordedVoice(band.voice(WISH), WISH, shelf)

    def turn():
        for number in range(300):
            if done.is_set():
                return
            voice.set("seed", number)

    thread = threading.Thread(target=turn)
    thread.start()
    for _ in range(BLOCKS):
        voice.next_chunk()
    done.set()
    thread.join()
    voice.close()
    (recording,) = shelf.recordings
    log = read_record_log(recording.log_path)
    assert log.turns
    assert np.concatenate(list(replayed(log, band.voice))).tobytes() == sound_of(recording).tobytes()


def test_a_log_that_was_cut_off_replays_as_far_as_it_goes(band, records):
    recording = played(band, records)
    lines = recording.log_path.read_text().splitlines(keepends=True)
    recording.log_path.write_text("".join(lines[:8]) + lines[8][:5])
    samples = np.concatenate(list(replayed(read_record_log(recording.log_path), band.voice)))
    assert 0 < len(samples) < len(sound_of(recording))
    assert samples.tobytes() == sound_of(recording)[: len(samples)].tobytes()


def test_another_model_does_not_replay_it(band, records):
    log = read_record_log(played(band, records).log_path)
    with pytest.raises(LmdmError, match="another model, toy"):
        next(replayed(log, Band(tiny_live(seed=1), name="other").voice))


def test_more_than_is_remembered_is_said_and_not_replayed_wrongly(band, records, monkeypatch):
    monkeypatch.setattr("lmdm_adapter.demo.recorded_voice.HISTORY_BYTES", 200)
    log = read_record_log(played(band, records, switched_on_at=8).log_path)
    assert log.header["replays"] is False
    with pytest.raises(LmdmError, match="does not hold all"):
        next(replayed(log, band.voice))


@pytest.mark.parametrize(
    ("lines", "says"),
    [("", "first line"), ('{"kind":"block"}\n', "first line"), ("no\n", "Line 1"), ('{"kind":"x"}\n', "Line 1"),
     ("[]\n", "Line 1"), ('{"kind":"recording","format":9}\n', "format 9")],
)  # fmt: skip
def test_what_is_no_log(tmp_path, lines, says):
    path = tmp_path / "a.jsonl"
    path.write_text(lines)
    with pytest.raises(LmdmError, match=says):
        read_record_log(path)
    with pytest.raises(LmdmError, match="Cannot read"):
        read_record_log(tmp_path / "none.jsonl")


def test_a_log_without_some_of_its_turns_is_damaged(band, records):
    recording = played(band, records)
    lines = recording.log_path.read_text().splitlines(keepends=True)
    recording.log_path.write_text("".join(line for line in lines if '"number":2,' not in line))
    with pytest.raises(LmdmError, match="Turns are missing"):
        next(replayed(read_record_log(recording.log_path), band.voice))
