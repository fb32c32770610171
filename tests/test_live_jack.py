"""Real parts: a JACK server, PortAudio and the session. Full duplex is exact, and `lmdm live` plays on it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lmdm_adapter.session.session_log import read_log
from tests.jack_loop import CABLES, DELAY_FRAMES, FRAME_SAMPLES, FROM_OUTSIDE
from tests.jack_server import PERIOD, JackServer, jack_server
from tests.sound_library import waited

pytestmark = pytest.mark.audio_server
MAIN = "import sys; sys.argv[0] = 'lmdm'; from lmdm_adapter.cli import main; main()"
LONGEST_SECONDS = 180
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def server() -> Iterator[JackServer]:
    """A server of the test's own."""
    with jack_server() as running:
        yield running


@pytest.fixture
def lmdm(server: JackServer, root: Path) -> Iterator[Start]:
    """Starts `lmdm` as a client of the server; what still runs at the end of the test is ended, by its id."""
    started = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", MAIN, *map(str, arguments)]
        started.append(subprocess.Popen(
            command, cwd=root, env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL,
        ))  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and output of a process that must end by itself."""
    try:
        out, err = process.communicate(timeout=LONGEST_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
    return process.returncode, out, err


def test_full_duplex_is_late_by_the_delay_and_whole_periods(server: JackServer, root: Path, tmp_path: Path) -> None:
    """A burst goes out, through JACK and back in, and out again: the same samples, an exact distance later."""
    out = tmp_path / "played.npy"
    done = subprocess.run(
        [sys.executable, "-m", "tests.jack_loop", str(out)], cwd=root, env=server.environment, capture_output=True,
        text=True, timeout=LONGEST_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    extras = [distance - DELAY_FRAMES * FRAME_SAMPLES for distance in distances(np.load(out))]
    print(f"{len(extras)} frames came back, later than the delay by {Counter(extras)} samples; {done.stdout.strip()}")
    assert len(extras) > 5, "frames of the bursts came back to the last bit"
    assert min(extras) == PERIOD, "a cable from output to input is one period long"
    assert not any(extra % PERIOD for extra in extras), "periods that a busy machine misses are whole periods too"


def distances(played: np.ndarray) -> list[int]:
    """In samples, from each frame of noise to its first copy, bit for bit; JACK's periods are as long as frames."""
    seen: dict[bytes, int] = {}
    found = []
    for start in range(0, len(played) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        frame = played[start : start + FRAME_SAMPLES]
        if not frame.all():
            continue
        if (key := frame.tobytes()) in seen:
            found.append(start - seen.pop(key))
        else:
            seen[key] = start
    return found


def test_ten_seconds_of_the_bundled_model(lmdm: Start, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code, out, err = ended(lmdm(
        "live", "124 BPM house in A minor", "--minutes", 10 / 60, "--steps", 4, "--guidance", 1, "--lead",
        2, "--record", tmp_path / "take", "--json", report,
    ))  # fmt: skip
    assert code == 0, out + err
    values = json.loads(report.read_text())
    print(f"{out.strip()} {values['figures']}")
    assert values["played_seconds"] > 5 and (values["device_rate"], values["sample_rate"]) == (44100, 22050)
    played, rate = soundfile.read(tmp_path / "take" / "played.wav")
    assert rate == 22050 and abs(len(played) / rate - values["played_seconds"]) < 0.1 and np.abs(played).max() > 0.01


def test_a_calibration_over_a_cable_finds_whole_periods(server: JackServer, lmdm: Start, tmp_path: Path) -> None:
    """A cable from output to input is a period long, and longer by those that a busy machine misses."""
    process = lmdm("live", "--calibrate", "--json", tmp_path / "trip.json")
    assert waited(lambda: "PortAudio:out_1" in server.run("jack_lsp"), seconds=60)
    server.rewire(FROM_OUTSIDE[:1], CABLES[:1])
    code, out, err = ended(process)
    print(out.strip())
    assert code == 0, out + err
    found = json.loads((tmp_path / "trip.json").read_text())
    assert found["samples"] >= PERIOD and found["samples"] % PERIOD == 0 and found["likeness"] > 0.9


def test_ctrl_c_ends_it_with_code_0(server: JackServer, lmdm: Start, tmp_path: Path) -> None:
    process = lmdm("live", "--steps", 1, "--guidance", 1, "--record", tmp_path / "take")
    assert waited(lambda: (tmp_path / "take" / "log.jsonl").exists(), seconds=60)
    time.sleep(3.0)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 0 and "Played" in out and "Traceback" not in err, out + err
    assert read_log(tmp_path / "take" / "log.jsonl").of("end")
    assert server.process.poll() is None and "PortAudio" not in server.run("jack_lsp")


def test_a_server_that_goes_away_ends_it_with_a_sentence(server: JackServer, lmdm: Start, tmp_path: Path) -> None:
    take = tmp_path / "take"
    process = lmdm("live", "--steps", 1, "--guidance", 1, "--record", take)
    played = take / "played.wav"
    assert waited(lambda: played.exists() and played.stat().st_size > 40_000, seconds=60)
    server.end()
    code, out, err = ended(process)
    assert code == 1 and "error: The sound device 'system' is gone after" in err and "Traceback" not in err, out + err
    samples = read_log(take / "log.jsonl").of("end")[0]["sample"]
    assert soundfile.info(played).frames == samples > 0


def test_midi_comes_in_through_jack(server: JackServer, lmdm: Start, tmp_path: Path) -> None:
    """A knob is learnt, saved, and turns its parameter; the port is our own, as there is no other."""
    mapping, report = tmp_path / "map.json", tmp_path / "report.json"
    process = lmdm("live", "--steps", 1, "--guidance", 1, "--midi-in", "virtual", "--midi-learn",
                   "gain_db", "--midi-map", mapping, "--minutes", 0.3, "--json", report)  # fmt: skip
    assert waited(lambda: bool(midi_inputs(server)), seconds=120)
    (port,) = midi_inputs(server)
    assert port == "lmdm:lmdm"
    sender = subprocess.run(
        [sys.executable, "-c", SENDER, port], env=server.environment, capture_output=True, text=True
    )
    assert sender.returncode == 0, sender.stderr
    code, out, err = ended(process)
    assert code == 0, out + err
    assert json.loads(mapping.read_text())["bindings"][0]["parameter"] == "gain_db"
    assert json.loads(report.read_text())["turned"] == 1


def midi_inputs(server: JackServer) -> list[str]:
    """Names of ports that take MIDI, without the system's."""
    ports = server.run("jack_lsp", "-t", "-p").replace("\n\t", " ").splitlines()
    return [line.split(" properties")[0] for line in ports if "midi" in line and "properties: input" in line]


SENDER = """
import mido, sys, time
backend = mido.Backend("mido.backends.rtmidi", api="UNIX_JACK")
with backend.open_output(sys.argv[1]) as port:
    time.sleep(0.5)
    for value in (10, 64):
        port.send(mido.Message("control_change", control=21, value=value))
        time.sleep(0.3)
"""
