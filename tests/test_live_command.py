"""`lmdm live`: a session on devices that are not there, what it refuses, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from rich.console import Console

from lmdm_adapter.cli import live_session
from lmdm_adapter.cli.live_view import View, level_bar, panel
from lmdm_adapter.io import reopening
from lmdm_adapter.session.budget import Budget
from lmdm_adapter.session.modes import StreamMode
from lmdm_adapter.session.parameters import PARAMETERS
from lmdm_adapter.session.session_log import read_log
from tests.cli import done, lmdm, save_live, sentence
from tests.models import SAMPLE_RATE, tiny_live
from tests.sound_library import LAPTOP, Cable, FakeSound, laptop_that_plays, waited

pytest.importorskip("pythonosc")
pytest.importorskip("mido")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    return save_live(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeSound:
    """A laptop's devices, which ask for sound by themselves."""
    return laptop_that_plays(monkeypatch)


def test_it_plays_records_and_reports(model: Path, library: FakeSound, tmp_path: Path) -> None:
    take, report = tmp_path / "take", tmp_path / "report.json"
    line = done("live", "house", "--model", model, "--minutes", 0.02, "--lead", 0.1, "--record", take, "--json", report,
                "--bpm", 120, "--osc-port", 0, "--seed", 3, "--steps", 2, "--output", "speakers")  # fmt: skip
    values = json.loads(report.read_text())
    assert "Played" in line and "OSC at 127.0.0.1, port" in line
    assert {"holds", "device_underflows", "start_rss_mib", "end_rss_mib", "rss_growth"} <= set(values)
    assert values["figures"]["real_time_factor_p99"] >= values["figures"]["real_time_factor_p95"]
    assert values["blocks"] > 0 and values["played_seconds"] > 0 and values["figures"]["real_time_factor_median"] > 0
    assert values["budget"]["parts_seconds"]["device"] == pytest.approx(0.02)
    log = read_log(take / "log.jsonl")
    assert log.header["model_values"]["tempo_bpm"] == 120.0 and log.header["seed"] == 3 and log.of("end")
    played, rate = soundfile.read(take / "played.wav", dtype="float32", always_2d=True)
    device = np.concatenate(library.streams[0].played)
    assert rate == SAMPLE_RATE and len(played) == log.of("end")[0]["sample"]
    assert played.any() and np.array_equal(device, np.repeat(played[: len(device)], 2, axis=1)), "to the bit"
    assert library.streams[0].closed


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as a terminal's programs know it: workers of a test run ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_fades_out_and_ends_well(
    model: Path, library: FakeSound, tmp_path: Path, interruptible: None
) -> None:
    def interrupt() -> None:
        if waited(lambda: bool(library.streams) and len(library.streams[0].played) > 30, seconds=30):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    result = lmdm("live", "--model", model, "--lead", 0.1, "--record", tmp_path / "take", "--steps", 1, "--minutes", 2)
    assert result.exit_code == 0, result.output
    log = read_log(tmp_path / "take" / "log.jsonl")
    assert log.of("fade_out") and log.of("end") and not log.of("failure")
    played, _ = soundfile.read(tmp_path / "take" / "played.wav")
    assert not played[-1].any(), "it ends in silence"


def test_a_device_that_is_unplugged_ends_it_and_the_recording_is_whole(
    model: Path, library: FakeSound, tmp_path: Path
) -> None:
    library.unplugged_after_chunks = 40
    take = tmp_path / "take"
    said = sentence("live", "--model", model, "--lead", 0.1, "--record", take, "--steps", 1, "--reopen-seconds", 0)
    assert "The sound device 'Built-in Speakers' is gone after" in said and "is whole until then" in said
    log = read_log(take / "log.jsonl")
    assert log.of("end")[0]["sample"] == 40 * 64
    assert soundfile.info(take / "played.wav").frames == 40 * 64


def test_a_device_that_comes_back_plays_on(
    model: Path, library: FakeSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session stood still meanwhile: what was recorded has no hole, and the log and the report know the gap."""
    monkeypatch.setattr(reopening, "RETRY_SECONDS", 0.1)
    library.unplugged_after_chunks, library.back_after_scans = 40, 3
    take, report = tmp_path / "take", tmp_path / "report.json"
    line = done("live", "--model", model, "--lead", 0.1, "--record", take, "--steps", 1, "--minutes", 0.03, "--json",
                report)  # fmt: skip
    assert "(gaps: 1)" in line
    values = json.loads(report.read_text())
    lost, back = read_log(take / "log.jsonl").of("device")
    assert (lost["what"], back["what"]) == ("lost", "back") and lost["sample"] == back["sample"] == 40 * 64
    assert values["device_gaps"] == 1 and values["gap_seconds"] == back["gap_seconds"] > 0.2
    first, second = library.streams
    assert first.closed and second.settings["device"] == first.settings["device"]
    played, _ = soundfile.read(take / "played.wav", dtype="float32", always_2d=True)
    assert np.array_equal(np.concatenate(first.played), np.repeat(played[: 40 * 64], 2, axis=1))
    again = np.concatenate(second.played)[:, 0]
    rest = played[40 * 64 : 40 * 64 + len(again), 0]
    fade = SAMPLE_RATE // 2
    assert np.abs(again[:8]).max() < 0.05 * np.abs(rest[:8]).max(), "it fades in"
    assert np.array_equal(again[fade : len(rest)], rest[fade:]) and rest[fade:].any(), "and goes on to the bit"


def test_a_device_that_stays_away_ends_it_after_the_time(
    model: Path, library: FakeSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "RETRY_SECONDS", 0.1)
    library.unplugged_after_chunks, library.back_after_scans = 10, 10_000
    began = time.monotonic()
    said = sentence("live", "--model", model, "--lead", 0.1, "--steps", 1, "--reopen-seconds", 0.5)
    assert "The sound device 'Built-in Speakers' is gone after" in said and "its stream ended; connect it" in said
    assert library.scans is not None and library.scans > 2 and time.monotonic() - began > 0.5


def test_a_full_disk_is_told_and_the_music_goes_on(
    model: Path, library: FakeSound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmdm_adapter.errors import LmdmError
    from lmdm_adapter.session.recorder import Recorder

    def full(recorder: Recorder, records: Any) -> None:
        raise LmdmError("Cannot write played.wav: No space left on device.")

    monkeypatch.setattr(Recorder, "write", full)
    said = sentence("live", "--model", model, "--lead", 0.1, "--record", tmp_path / "take", "--minutes", 0.01,
                    "--steps", 1)  # fmt: skip
    assert "No space left" in said and len(library.streams[0].played) > 20


def test_the_input_is_heard_dry(model: Path, library: FakeSound, tmp_path: Path) -> None:
    done("live", "--model", model, "--input", "usb interface", "--lead", 0.1, "--minutes", 0.003, "--record",
         tmp_path / "take", "--steps", 1)  # fmt: skip
    (stream,) = library.streams
    assert stream.settings["device"] == (2, 1) and stream.settings["channels"] == (tiny_live().codec.channels, 2)
    assert {"input.wav", "dry.wav"} <= {path.name for path in (tmp_path / "take").iterdir()}


def test_a_calibration_tells_the_round_trip_and_the_option_that_uses_it(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cable = Cable(LAPTOP, rates=(SAMPLE_RATE,), chunk_samples=SAMPLE_RATE // 10, chunk_seconds=0.0, delay_samples=333)
    monkeypatch.setitem(sys.modules, "sounddevice", cable)  # type: ignore[arg-type]
    said = done("live", "--model", model, "--calibrate", "--json", tmp_path / "trip.json")
    milliseconds = 1000.0 * 333 / SAMPLE_RATE
    assert f"Round trip {milliseconds:.3f} ms (333 samples at {SAMPLE_RATE} Hz); the device claims 30.0 ms" in said
    assert f"--round-trip-ms {milliseconds:.3f}" in said and "5 of 5 pings agree" in said
    assert json.loads((tmp_path / "trip.json").read_text())["samples"] == 333
    assert all(stream.closed for stream in cable.streams)


@pytest.mark.parametrize("given", [None, 125.0])
def test_a_measured_round_trip_takes_the_place_of_the_devices_claim(
    given: float | None, model: Path, library: FakeSound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def mode(name: str, *parts: Any, device_samples: int, **rest: Any) -> StreamMode:
        asked.append(device_samples)
        return StreamMode()

    monkeypatch.setattr(live_session, "mode_named", mode)
    monkeypatch.setattr(live_session, "require_needs", lambda *section, **model: None)  # a model that has no need of it
    options = () if given is None else ("--round-trip-ms", given)
    done("live", "--model", model, "--mode", "jam", "--lead", 0.1, "--minutes", 0.002, "--steps", 1, *options, "--json",
         tmp_path / "report.json")  # fmt: skip
    seconds = 0.03 if given is None else 0.125
    assert asked == [round(seconds * SAMPLE_RATE)]
    budget = json.loads((tmp_path / "report.json").read_text())["budget"]
    assert budget["parts_seconds"]["device"] == pytest.approx(seconds)


def test_devices_are_listed(library: FakeSound) -> None:
    text = done("live", "--list-devices")
    assert all(one["name"].split()[0] in text for one in LAPTOP) and "44100" in text
    library.devices.clear()
    assert "no sound device here" in done("live", "--list-devices")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "gramophone"], "'gramophone' is no sound output"),
        (["--input", "usb"], "fits several sound inputs"),
        (["--osc-port", 70000], "--osc-port must lie between 0 and 65535, got 70000"),
        (["--bpm", 5], "tempo_bpm must be a number from 20 to 400 BPM, got 5.0"),
        (["--guidance", -1], "guidance must be"),
        (["--latency", -1], "--latency must lie between 0 and 10 s"),
        (["--lead", 0], "--lead must lie between 0.05 and 30 s"),
        (["--minutes", 0], "--minutes must be positive"),
        (["--round-trip-ms", 20], "--round-trip-ms is for the modes that listen: sketch, jam, delay; not stream"),
        (["--mode", "jam", "--round-trip-ms", 3000], "--round-trip-ms must lie between 0 and 2000, got 3000"),
        (["--reopen-seconds", -1], "--reopen-seconds must lie between 0 and 3600, got -1"),
        (["--beats", 4], "--beats is a positive number of beats with a --bpm"),
        (["--midi-learn", "mix"], "give --midi-in"),
        (["--midi-in", "x", "--midi-learn", "prompt"], "prompt cannot be turned by a MIDI knob"),
        (["--json", "missing/report.json"], "does not exist"),
        (["--model", "missing"], "missing"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(arguments: list[Any], words: str, library: FakeSound) -> None:
    assert words in sentence("live", *arguments) and not library.streams


def test_a_port_in_use_is_refused_before_anything_is_loaded(library: FakeSound) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 is in use" in sentence("live", "--model", "missing", "--osc-port", port)


def test_a_missing_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for arguments in ([], ["--list-devices"]):
        assert "pip install 'lmdm-adapter[live]'" in sentence("live", *arguments)


def test_a_machine_without_sound_is_refused(library: FakeSound) -> None:
    library.devices.clear()
    assert "There is no sound output here" in sentence("live")


def test_a_mode_without_an_input_is_refused(library: FakeSound) -> None:
    library.devices = [one for one in LAPTOP if not one["max_input_channels"]]
    assert "There is no sound input here" in sentence("live", "--mode", "jam")


def a_view(**changes: Any) -> View:
    """A view of a quiet session."""
    values = {one.name: one.default for one in PARAMETERS}
    plain = {
        "title": "lmdm live", "seconds": 61.5, "doing": "playing", "output_db": (-6.0, -90.0), "source_db": (),
        "real_time_factor": 0.5, "ready_seconds": 0.9, "lead_seconds": 1.0, "holds": 0, "held_seconds": 0.0,
        "device_misses": 0, "steps": None, "values": values, "budget": Budget("stream", (("device", 0.01),)),
    }  # fmt: skip
    return View(**{**plain, **changes})


def shown(view: View) -> str:
    """The panel as text."""
    console = Console(width=110, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(panel(view))
    return console.export_text()


def test_the_panel_shows_every_instrument() -> None:
    text = shown(a_view(beat=2.4, holds=3, device_misses=7, steps=4, source_db=(-20.0,), memory_mib=812.4,
                        doors="OSC 127.0.0.1:9000", last="steps: 8 to 4"))  # fmt: skip
    for word in ("out 1", "out 2", "in 1", "1:01.5", "real-time factor", "0.50", "0.90 s of a lead of 1.00 s",
                 "3 (0.0 s", "device 7", "at most 4 steps", "812 MiB", "3 of the bar", "guidance",
                 "Latency of stream", "0.010 s", "OSC 127.0.0.1:9000", "steps: 8 to 4", "Ctrl-C"):  # fmt: skip
        assert word in text, word
    calm = shown(a_view())
    assert "no tempo" in calm and "as asked" in calm and "in 1" not in calm


def test_markup_in_a_prompt_is_shown_as_it_is() -> None:
    values = {one.name: one.default for one in PARAMETERS} | {"prompt": (("[red]house[/]", 1.0), ("piano", 0.5))}
    assert "[red]house[/] + 0.5 piano" in shown(a_view(values=values, title="[b]x"))


@pytest.mark.parametrize(("level", "cells"), [(-90.0, 0), (-60.0, 0), (-30.0, 15), (0.0, 30), (6.0, 30)])
def test_a_meter_is_as_long_as_it_is_loud(level: float, cells: int) -> None:
    assert level_bar(level).plain.count("█") == cells


def test_the_view_reads_a_session_that_plays(model: Path, library: FakeSound, monkeypatch: pytest.MonkeyPatch) -> None:
    views = []
    monkeypatch.setattr(live_session, "_require_device", lambda desk: views.append(live_session.view_of(desk)))
    done("live", "house", "--model", model, "--lead", 0.1, "--minutes", 0.01, "--bpm", 120, "--osc-port", 0)
    assert views[-1].beat is not None and views[-1].values["tempo_bpm"] == 120.0 and "OSC" in views[-1].doors
    assert views[-1].seconds > 0 and views[-1].memory_mib > 50 and len(views[-1].output_db) == 2 and shown(views[-1])
