"""A JACK server of a test's own that plays to nobody: started by name, ended by its process."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.sound_library import waited

RATE, PERIOD = 44100, 512


class JackServer:
    """One running server; `run` calls JACK's tools for it."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self.process, self.name = process, name

    @property
    def environment(self) -> dict[str, str]:
        """What its clients need."""
        return {**os.environ, "JACK_DEFAULT_SERVER": self.name, "OMP_NUM_THREADS": "1"}

    def run(self, *command: str) -> str:
        """Run one of JACK's tools; its output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rewire(self, cut: Sequence[tuple[str, str]], joined: Sequence[tuple[str, str]]) -> None:
        """Take out and put in cables between ports."""
        for pair in cut:
            self.run("jack_disconnect", *pair)
        for pair in joined:
            self.run("jack_connect", *pair)

    def end(self) -> None:
        """End it, by its id."""
        self.process.terminate()
        self.process.wait(20)


@contextmanager
def jack_server(*, rate: int = RATE, period: int = PERIOD) -> Iterator[JackServer]:
    """A server with two dummy inputs and outputs."""
    jackd = shutil.which("jackd")
    assert jackd, "the marker audio_server needs jackd: apt-get install jackd2 libportaudio2"
    name = f"lmdm-{os.getpid()}"
    command = [jackd, "--no-realtime", "-n", name, "-d", "dummy", "-r", str(rate), "-p", str(period)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = JackServer(process, name)
    try:
        wait = [shutil.which("jack_wait") or "jack_wait", "-w", "-t", "10", "-s", name]
        assert waited(lambda: process.poll() is not None or subprocess.call(
            wait, env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) == 0, seconds=20) and process.poll() is None, "jackd did not start"  # fmt: skip
        yield server
    finally:
        server.end()
