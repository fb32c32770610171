"""A session in real time, with threads: a second of it, and what happens when one of them fails."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.recorder import Recorder, Recording
from lmdm_adapter.session.session_log import read_log
from lmdm_adapter.session.threaded import ThreadedSession
from tests.models import tiny_live
from tests.session_makers import FACTS, NoiseMaker, noise_engine, played


def test_half_a_second_in_real_time_is_the_music_without_gaps() -> None:
    engine, writes = noise_engine(), []
    chunk, parts = 200, []
    with ThreadedSession(engine, write=lambda: writes.append(engine.noted())) as session:
        while engine.ready_seconds < 0.2:
            time.sleep(0.005)
        began = time.perf_counter()
        for index in range(20):
            engine.pull(out := np.zeros((chunk, 2), np.float32))
            parts.append(out)
            time.sleep(max(0.0, began + (index + 1) * chunk / FACTS.sample_rate - time.perf_counter()))
        assert session.running
        # The thread sleeps while the lead is full: blocks are made at the music's pace.
        assert engine.blocks <= 4000 / 640 + 0.2 * 8000 / 640 + 2
    assert not session.running and len(writes) >= 3
    joined = np.concatenate(parts)
    if engine.player.holds == 0:  # a machine under load may hold; what is played is still accounted for
        assert np.array_equal(joined, played(noise_engine(), len(joined)))
    engine.pull(out)
    engine.pull(out)
    assert not out.any(), "leaving the block fades out"


def test_what_a_thread_raises_reaches_the_owner() -> None:
    engine = noise_engine(NoiseMaker(broken_at=1))
    session = ThreadedSession(engine)
    with pytest.raises(LmdmError, match="ended at block 1: RuntimeError: the device is gone"), session:
        while session.running:
            time.sleep(0.005)
    assert engine.over


def test_a_full_disk_ends_the_recording_and_not_the_music() -> None:
    def write() -> None:
        raise LmdmError("Cannot write: no space left.")

    engine = noise_engine()
    with pytest.raises(LmdmError, match="no space left"), ThreadedSession(engine, write=write) as session:
        time.sleep(0.15)
        assert session.running and engine.blocks > 0


def test_the_example_of_the_docs_runs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (root / "docs" / "session.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(example, names := {"live": tiny_live()})
    log = read_log(Path("take-1", "log.jsonl"))
    assert log.header["seed"] == 7 and log.of("end") and not log.of("failure") and names["engine"].failure is None


def test_stamps_from_numpy_are_plain_numbers_in_the_log(tmp_path: Path) -> None:
    engine = noise_engine()
    engine.turn("gain_db", np.float32(-6.0), at=np.int64(30))
    engine.turn("prompt", "b", at=np.int32(40))
    with Recording(Recorder(tmp_path, FACTS), engine, seed=1):
        played(engine, 1000)
    events = read_log(tmp_path / "log.jsonl").of("event")
    assert sorted((event["stamp"], event["value"]) for event in events if event["name"] == "gain_db") == [(30, -6.0)]
    for bad in (1.5, np.float64(3.0), "3", None):
        with pytest.raises(LmdmError, match="a whole number, 0 or later, got"):
            engine.events.post("gain_db", -6.0, stamp=bad)


@pytest.mark.parametrize("error", [TypeError("of type int64"), ValueError("no float"), OSError("gone"), LmdmError("x")])
def test_whatever_the_recording_thread_raises_is_told_to_the_owner(error: Exception) -> None:
    def write() -> None:
        raise error

    engine = noise_engine()
    sentence = str(error) if isinstance(error, LmdmError) else f"Recording failed: {type(error).__name__}: {error}"
    with pytest.raises(LmdmError, match=sentence), ThreadedSession(engine, write=write) as session:
        session._threads[1].join(5.0)
        assert session.running and engine.blocks > 0, "the music goes on"


def test_whatever_the_making_thread_raises_is_told_to_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: object) -> float:
        raise ZeroDivisionError("no rate")

    engine = noise_engine()
    monkeypatch.setattr(type(engine), "idle_seconds", property(broken))
    session = ThreadedSession(engine)
    with pytest.raises(LmdmError, match="Making music failed: ZeroDivisionError: no rate"), session:
        session._threads[0].join(5.0)
