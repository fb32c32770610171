"""Sound files and outputs: exact round trips, whole or not at all, one sentence for every bad file."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.atomic import replacing_folder, require_new_folder, require_writable, write_json
from lmdm_adapter.io.files import AudioWriter, write_audio
from lmdm_adapter.sound_file import read_audio

RATE = 8000


def noise(seconds: float = 0.1, channels: int = 2, seed: int = 0) -> Audio:
    """Quiet seeded noise."""
    samples = np.random.default_rng(seed).uniform(-0.9, 0.9, (channels, int(seconds * RATE)))
    return Audio(samples.astype(np.float32), RATE)


def names(folder: Path) -> list[str]:
    """Everything in the folder, hidden files too."""
    return sorted(os.listdir(folder))


def test_float_wav_round_trip_is_bit_exact(tmp_path: Path) -> None:
    audio = noise()
    write_audio(tmp_path / "a.wav", audio)
    back = read_audio(tmp_path / "a.wav")
    assert back.sample_rate == RATE
    assert np.array_equal(back.samples, audio.samples)
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.parametrize("name", ["a.flac", "A.FLAC", "a.wav"])
def test_24_bit_round_trip_is_within_one_step(tmp_path: Path, name: str) -> None:
    audio = noise()
    write_audio(tmp_path / name, audio, encoding="pcm24")
    assert soundfile.info(str(tmp_path / name)).subtype == "PCM_24"
    assert np.abs(read_audio(tmp_path / name).samples - audio.samples).max() <= 2.0**-23


def test_pieces_equal_the_whole(tmp_path: Path) -> None:
    audio = noise()
    with AudioWriter(tmp_path / "a.wav", RATE, 2) as writer:
        for start, stop in [(0, 1), (1, 1), (1, 300), (300, 800)]:
            writer.write(Audio(audio.samples[:, start:stop], RATE))
        assert "a.wav" not in names(tmp_path), "the target appears only when it is whole"
    assert writer.samples_written == 800
    assert np.array_equal(read_audio(tmp_path / "a.wav").samples, audio.samples)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_file_leaves_the_old_one_and_no_part(tmp_path: Path, error: type[BaseException]) -> None:
    old = noise(seed=1)
    write_audio(tmp_path / "a.wav", old)
    with pytest.raises(error), AudioWriter(tmp_path / "a.wav", RATE, 2) as writer:
        writer.write(noise(seed=2))
        raise error
    assert names(tmp_path) == ["a.wav"]
    assert np.array_equal(read_audio(tmp_path / "a.wav").samples, old.samples)


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    write_audio(tmp_path / "link.wav", noise())
    assert (tmp_path / "link.wav").is_symlink() and (tmp_path / "real.wav").is_file()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("a.mp3", "unknown suffix '.mp3'; use one of .wav, .flac"),
        ("a", "unknown suffix"),
        ("no/folder/a.wav", "does not exist"),
        ("file/a.wav", "is a file, not a folder"),
        ("folder.wav", "is a folder"),
    ],
)
def test_a_bad_target_is_found_on_construction(tmp_path: Path, target: str, words: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(LmdmError, match=words):
        AudioWriter(tmp_path / target, RATE, 2)
    assert names(tmp_path) == ["file", "folder.wav"]


def test_a_read_only_place_is_refused() -> None:
    with pytest.raises(LmdmError, match="Cannot write /proc/a.wav"):
        require_writable("/proc/a.wav")


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(LmdmError, match="no regular file"):
        write_json("/dev/null", {})


def test_a_disk_without_room_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="the disk has .* GB free"):
        AudioWriter(tmp_path / "a.wav", RATE, 2, expected_samples=10**18)


def test_a_disk_that_fills_up_is_a_sentence(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(LmdmError, match="Cannot write"), AudioWriter(tmp_path / "a.wav", RATE, 2) as writer:
            for _ in range(10):
                writer.write(noise(seconds=0.1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_never_written(tmp_path: Path, bad: float) -> None:
    audio = noise()
    audio.samples[0, 3] = bad
    with pytest.raises(LmdmError, match="NaN or infinity"):
        write_audio(tmp_path / "a.wav", audio)
    assert names(tmp_path) == []


def test_a_piece_of_another_rate_or_width_is_refused(tmp_path: Path) -> None:
    for piece in (noise(channels=1), Audio(noise().samples, RATE + 1)):
        with pytest.raises(LmdmError, match="convert it first"), AudioWriter(tmp_path / "a.wav", RATE, 2) as writer:
            writer.write(piece)
    assert names(tmp_path) == []


def test_bad_sound_files_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "zero.wav").touch()
    soundfile.write(str(tmp_path / "empty.wav"), np.zeros((0, 2), np.float32), RATE)
    soundfile.write(str(tmp_path / "nan.wav"), np.full((9, 2), np.nan, np.float32), RATE, subtype="FLOAT")
    cases = {
        "missing.wav": "There is no sound file",
        "text.wav": "cannot be read as sound",
        "zero.wav": "cannot be read as sound",
        "empty.wav": "holds no samples",
        "nan.wav": "holds NaN",
        ".": "is a folder",
    }
    for name, words in cases.items():
        with pytest.raises(LmdmError, match=words):
            read_audio(tmp_path / name)


def test_json_is_whole_or_absent(tmp_path: Path) -> None:
    write_json(tmp_path / "r.json", {"a": [1, 2.5, None]})
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": [1, 2.5, None]}
    with pytest.raises(ValueError):
        write_json(tmp_path / "r.json", {"a": float("nan")})
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": [1, 2.5, None]}
    assert names(tmp_path) == ["r.json"]


def fill(folder: Path, **files: str) -> None:
    """Write text files with the suffix .json."""
    for stem, text in files.items():
        (folder / f"{stem}.json").write_text(text)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "m"
    for number in ("1", "2"):
        with replacing_folder(require_new_folder(target, force=number == "2")) as part:
            fill(part, model_config=number)
    assert names(tmp_path) == ["m"] and (target / "model_config.json").read_text() == "2"


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "m"
    target.mkdir()
    fill(target, model_config="old")
    with pytest.raises(KeyboardInterrupt), replacing_folder(target) as part:
        fill(part, model_config="new")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["m"] and (target / "model_config.json").read_text() == "old"


def test_a_full_folder_is_kept_unless_forced_and_a_model(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="exists and is not empty"):
        fill(tmp_path, notes="x")
        require_new_folder(tmp_path)
    with pytest.raises(LmdmError, match="holds no model_config.json"):
        require_new_folder(tmp_path, force=True)
    with pytest.raises(LmdmError, match="is a file"):
        require_new_folder(tmp_path / "notes.json")
    assert names(tmp_path) == ["notes.json"]


def test_beyond_the_limit_of_wav_the_container_is_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmdm_adapter.io.files.WAV_LIMIT_BYTES", 1000)
    audio = noise()
    with AudioWriter(tmp_path / "a.wav", RATE, 2, expected_samples=audio.samples.shape[1]) as writer:
        writer.write(audio)
    assert soundfile.info(str(tmp_path / "a.wav")).format == "RF64"
    assert np.array_equal(read_audio(tmp_path / "a.wav").samples, audio.samples)
