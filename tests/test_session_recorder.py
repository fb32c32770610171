"""Recordings that survive: a killed process leaves a file that plays and a log that reads."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session import recorder as recorder_module
from lmdm_adapter.session.recorder import Recorder, Recording
from lmdm_adapter.session.session_log import read_log
from lmdm_adapter.session.wav import HEADER_BYTES, CrashSafeWav, wav_header
from tests.session_makers import FACTS, noise_engine, played

KILLED = """
import sys
from tests.session_makers import FACTS, noise_engine, played
from lmdm_adapter.session.recorder import Recorder, Recording
recorder = Recorder(sys.argv[1], FACTS)
engine = noise_engine(tap=recorder.tap)
recording = Recording(recorder, engine, seed=3)
while True:
    played(engine, 500)
    recording.write()
    print(engine.player.sample, flush=True)
"""


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(samples).uniform(-2, 2, (samples, 2)).astype(np.float32)


def test_the_file_is_whole_after_every_write(tmp_path: Path) -> None:
    sound = noise(500)
    with CrashSafeWav(tmp_path / "a.wav", channels=2, sample_rate=8000) as wav:
        for until in (0, 1, 77, 500):
            wav.write(sound[wav.samples_written : until])
            read, rate = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
            assert rate == 8000 and np.array_equal(read, sound[:until])
    assert soundfile.info(tmp_path / "a.wav").subtype == "FLOAT"


def test_between_data_and_header_the_file_plays_what_the_header_knows(tmp_path: Path) -> None:
    """The one moment in which a kill can come: the samples are there, the header does not count them yet."""
    path, sound = tmp_path / "a.wav", noise(100)
    with CrashSafeWav(path, channels=2, sample_rate=8000) as wav:
        wav.write(sound)
    path.write_bytes(path.read_bytes() + sound.tobytes()[:333])
    assert np.array_equal(soundfile.read(path, dtype="float32")[0], sound)


def test_beyond_four_gigabytes_the_header_is_rf64(tmp_path: Path) -> None:
    path, samples = tmp_path / "long.wav", 800_000_000
    path.write_bytes(wav_header(samples, channels=2, sample_rate=44100))
    assert len(wav_header(0, channels=2, sample_rate=1)) == HEADER_BYTES == path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(HEADER_BYTES + samples * 8)
    info = soundfile.info(path)
    assert (info.format, info.frames, info.samplerate, info.subtype) == ("RF64", samples, 44100, "FLOAT")


def test_a_killed_session_leaves_a_file_that_plays_and_a_log_that_reads(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "take")]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        counts = [int(process.stdout.readline()) for _ in range(5)]
        time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    sound, _ = soundfile.read(tmp_path / "take" / "played.wav", dtype="float32", always_2d=True)
    assert len(sound) >= counts[-1]
    assert np.array_equal(sound, played(noise_engine(), len(sound)))
    log = read_log(tmp_path / "take" / "log.jsonl")
    assert log.header["seed"] == 3 and len(log.cues) * 640 >= len(sound) and not log.of("end")


def test_the_log_keeps_all_that_a_replay_needs(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "take", FACTS)
    engine = noise_engine(tap=recorder.tap)
    with Recording(recorder, engine, seed=3) as recording:
        engine.turn("prompt", "b", at=2000)
        engine.turn("mix", 0.5, at=2100)
        out = played(engine, 3000)
        recording.write()
        lines = (tmp_path / "take" / "log.jsonl").read_text().splitlines()
        assert all(json.loads(line) for line in lines), "flushed while it plays"
    log = read_log(tmp_path / "take" / "log.jsonl")
    assert set(log.header["versions"]) >= {"lmdm_adapter", "torch", "numpy"} and log.facts == FACTS
    times = {event["name"]: (event["stamp"], event["effect"]) for event in log.of("event")}
    assert times == {"mix": (2100, 2100), "prompt": (2000, 2560)}
    assert [cue.event.controls.prompts[0][0] for cue in log.cues[:5]] == ["a", "a", "a", "a", "b"]
    assert all(cue.frames == 10 and cue.steps == 8 for cue in log.cues)
    assert log.of("end")[0] == {"kind": "end", "sample": 3000, "blocks": engine.blocks}
    assert np.array_equal(soundfile.read(tmp_path / "take" / "played.wav", dtype="float32")[0], out)


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"kind":"session","format":1}\n{"kind":"silence","start":3}\n{"kind":"blo')
    assert [record["kind"] for record in read_log(path).records] == ["silence"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no session log"), ('{"kind":"silence"}\n', "is no session log"),
        ("nonsense\n", "is no session log"), ('{"kind"\n', "Line 1 of .* is no JSON"),
        ("RIFF\0\0\nWAVE\n", "is no session log"),
        ('{"kind":"session","format":99}\n', "of format 99; this version reads 1"),
        ('{"kind":"session","format":1}\n{"kind":"tune"}\n', "Line 2 of .* is no record"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(LmdmError, match=sentence):
        read_log(path)
    with pytest.raises(LmdmError, match="Cannot read"):
        read_log(tmp_path / "none.jsonl")


def test_places_where_nothing_can_be_recorded_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LmdmError, match="Cannot record into"):
        Recorder(tmp_path / "file", FACTS)
    Recorder(tmp_path / "take", FACTS)
    with pytest.raises(LmdmError, match="holds a session already"):
        Recorder(tmp_path / "take", FACTS)
    with pytest.raises(LmdmError, match="Cannot write"):
        CrashSafeWav(tmp_path / "none" / "a.wav", channels=1, sample_rate=8000)


def test_what_the_disk_was_too_slow_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "KEPT_SECONDS", 0.1)
    recorder = Recorder(tmp_path / "take", FACTS)
    recorder.tap("played", noise(1000))
    recorder.write([])
    lost = json.loads((tmp_path / "take" / "log.jsonl").read_text())
    assert lost == {"kind": "recording", "what": "played", "lost_samples": 200}
