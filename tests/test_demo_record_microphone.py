"""Recordings of sessions that hear a microphone play again to the bit, and their input is kept beside the sound."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile

import lmdm_adapter as lmdm
from lmdm_adapter.demo.record_bar import NO_REPLAY, listed
from lmdm_adapter.demo.record_limits import RecordLimits
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.records import Records, Shelf
from lmdm_adapter.demo.session_voice import SessionVoice
from lmdm_adapter.errors import LmdmError
from tests.cli import done, sentence
from tests.demo_microphone import LIVE, MIDDLE, MODES, Made, recorded, sounding
from tests.demo_records import log_of, sound_of
from tests.mode_models import RATE


@pytest.fixture(scope="module", params=[(mode, on_at) for mode in MODES for on_at in (0, MIDDLE)])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    """A recording of each mode: from its start on, and from its middle on."""
    records, (mode, on_at) = Records(), request.param
    yield recorded(records, mode, on_at=on_at)
    records.discard_all()


def test_a_session_that_heard_a_microphone_plays_again_to_the_bit_and_finer(made: Made) -> None:
    sound = sound_of(made.recording)
    assert made.log.header["replays"] and len(made.log.turns) == 8
    assert made.again().tobytes() == sound.tobytes() and np.abs(sound).max() > 0.01
    finer = made.again(steps=3)
    assert finer.shape == sound.shape and finer.tobytes() != sound.tobytes()


def test_the_input_is_what_the_mode_heard_and_nothing_from_before_the_recording(made: Made) -> None:
    first, kept = made.log.first_sample, made.kept
    unheard = int(np.argmax(kept.any(axis=1)))
    assert not kept[:unheard].any() and (first == 0 or unheard <= made.late_samples + RATE // 10)
    assert kept[unheard:].tobytes() == made.heard[first + unheard : first + len(kept)].tobytes()
    assert len(kept) > 0.5 * len(sound_of(made.recording)), "of the same time as the sound"
    assert log_of(made.recording)[0]["heard"] == made.recording.input_path.name


@pytest.mark.parametrize("mode", list(MODES))
def test_what_was_heard_is_what_makes_the_music(records: Records, mode: str) -> None:
    """Negative control: another sound, or none, is other music; so the log must hold what was heard."""
    sounds = [sound_of(recorded(records, mode, hears=hears).recording)
              for hears in (sounding(0), sounding(1), lambda first, last: None)]  # fmt: skip
    assert len({sound.tobytes() for sound in sounds}) == 3


def stopping(first: int, last: int) -> np.ndarray | None:
    """A microphone that says NaN, and is gone for half a second and more."""
    samples = sounding(2)(first, last)
    samples[:3] = np.nan if first < 800 else samples[:3]
    return None if 1000 < first < 1000 + 3 * RATE // 4 else samples


@pytest.mark.parametrize(
    ("source", "hears"), [((RATE, 1), stopping), ((11_025, 2), sounding(3, channels=2)), ((48_000, 1), sounding(4))]
)
def test_a_microphone_that_stops_or_has_another_rate_plays_again(
    records: Records, source: tuple[int, int], hears: Callable[[int, int], np.ndarray | None]
) -> None:
    made = recorded(records, "delay", source=source, hears=hears, chunks=60, on_at=3)
    assert made.again().tobytes() == sound_of(made.recording).tobytes()
    assert np.isfinite(made.kept).all() and made.kept.shape[1] == 1 and made.kept.any()


def test_held_loops_play_again(records: Records) -> None:
    """Another visitor's music is computed for half a second, and the page runs dry, so nobody waits for a block."""
    clock, stalls = count(step=10), [0.2, 0.8]

    def stalling(shelf: Shelf, voice: SessionVoice) -> None:
        seconds = shelf.recordings[0].seconds if shelf.recordings else 0.0
        if stalls and seconds >= stalls[0]:
            voice._computing.acquire() if len(stalls) == 2 else voice._computing.release()
            del stalls[0]
        time.sleep(0.01)

    made = recorded(records, "jam", now=lambda: next(clock), before=stalling, chunks=60)
    kinds = {record["kind"] for record in made.log.session}
    assert {"hold", "resume"} <= kinds
    assert made.again().tobytes() == sound_of(made.recording).tobytes()


def test_files_are_whole_at_every_moment(records: Records, tmp_path: Path) -> None:
    """What a killed process leaves: nothing waits in its memory between two chunks."""

    def copied(shelf: Shelf, voice: SessionVoice) -> None:
        for path in shelf.recordings[0].paths if shelf.recordings else ():
            shutil.copy(path, tmp_path)

    made = recorded(records, "jam", before=copied)
    cut = replace(made, recording=copy_of(made.recording, tmp_path))
    sound = sound_of(cut.recording)
    assert 0 < len(sound) < len(sound_of(made.recording)) and len(cut.log.blocks) == len(made.log.blocks) - 1
    assert cut.again().tobytes() == sound.tobytes() == sound_of(made.recording)[: len(sound)].tobytes()
    assert cut.kept.tobytes() == made.kept[: len(cut.kept)].tobytes() and len(cut.kept) > 0.5 * len(sound)


def copy_of(recording: Recording, folder: Path) -> Recording:
    """The recording with its files in another folder."""
    copy = object.__new__(Recording)
    copy.__dict__.update(vars(recording), **{name: folder / getattr(recording, name).name
                                             for name in ("wav_path", "log_path", "input_path")})  # fmt: skip
    return copy


def test_the_input_counts_for_the_limits_and_goes_with_the_rest() -> None:
    records = Records(RecordLimits(visit_bytes=80_000))
    shelf, made = records.shelf("one"), recorded(records, "jam", chunks=60)
    assert "Your recordings" in shelf.notice and not shelf.wanted
    paths, sound_bytes = made.recording.paths, sound_of(made.recording).nbytes
    assert shelf.bytes == sum(path.stat().st_size for path in paths) and len(paths) == 3
    assert 20_000 < sound_bytes < 80_000 / 2, "the input takes as much as the sound, and the log its share"
    assert shelf.file(made.recording.input_path.name) == made.recording.input_path
    assert made.recording.input_path.name in listed(shelf) and NO_REPLAY not in listed(shelf)
    assert paths[0].parent.stat().st_mode & 0o077 == 0, "nobody else on this machine looks into it"
    shelf.clear()
    assert not any(path.exists() for path in paths)
    records.discard_all()


def test_what_nobody_records_does_not_pile_up(records: Records) -> None:
    waiting = list[int]()

    def looked(shelf: Shelf, voice: SessionVoice) -> None:
        waiting.append(sum(map(len, voice._overheard._pieces)))

    made = recorded(records, "jam", on_at=59, chunks=60, before=looked)
    assert max(waiting) < RATE // 2 < len(made.heard)


def test_more_than_is_remembered_is_said_on_the_page(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmdm_adapter.demo.recorded_voice.HISTORY_BYTES", 2000)
    made = recorded(records, "jam", on_at=MIDDLE)
    assert made.log.header["replays"] is False and made.kept.any() and NO_REPLAY in listed(records.shelf("one"))
    with pytest.raises(LmdmError, match="does not hold all"):
        made.again()


def test_the_command_plays_the_downloaded_folder_again_without_the_input(records: Records, tmp_path: Path) -> None:
    LIVE.save(tmp_path / "live")
    live = lmdm.load(tmp_path / "live")
    recording = recorded(records, "sketch", live=live, name=str(tmp_path / "live"), on_at=5).recording
    folder, out = tmp_path / "downloaded", tmp_path / "again.wav"
    folder.mkdir()
    for path in recording.paths:
        shutil.copy(path, folder)
    done("replay", folder, "--out", out)
    assert soundfile.read(out, dtype="float32", always_2d=True)[0].tobytes() == sound_of(recording).tobytes()
    (folder / recording.input_path.name).unlink()
    done("replay", folder / recording.log_path.name, "--out", out, "--steps", 2)
    assert len(soundfile.read(out)[0]) == len(sound_of(recording))
    shutil.copy(recording.log_path, folder / "another.jsonl")
    assert "another.jsonl" in sentence("replay", folder, "--out", out)


def test_a_log_without_what_one_block_was_told_is_damaged(records: Records) -> None:
    made = recorded(records, "jam", chunks=10)
    text, log = made.recording.log_path.read_text(), made.recording.log_path
    line = next(line for line in text.splitlines() if '"told":{' in line)
    lacking, other = line[: line.index(',"told":')] + "}}", line.replace('_lag":"', '_lag":"A')
    for instead, says in ((lacking, "blocks what they were told"), (other, "cannot be read")):
        log.write_text(text.replace(line, instead, 1))
        with pytest.raises(LmdmError, match=says):
            made.again()
