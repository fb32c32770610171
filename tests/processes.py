"""Real processes on the CPU that train together: started as a launcher starts them, bound to this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

LOCALHOST = "127.0.0.1"
LONGEST_SECONDS = 300  # a bound for machines that do much else at once


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return probe.getsockname()[1]


def start(arguments: Sequence[str], *, processes: int = 2) -> list[subprocess.Popen[str]]:
    """Start `python ARGUMENTS` as that many processes of one training, connected by gloo."""
    shared = {
        **os.environ, "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": LOCALHOST,
        "MASTER_PORT": str(free_port()), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    return [
        subprocess.Popen(
            [sys.executable, *arguments], env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(processes)
    ]  # fmt: skip


def launch(module: str, *arguments: str) -> subprocess.Popen[str]:
    """Start two processes of a module with `accelerate launch`; the config must ask for the CPU."""
    settings = ("--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no")
    command = ["-m", "accelerate.commands.launch", *settings, "--dynamo_backend", "no", "--main_process_port"]
    return subprocess.Popen(
        [sys.executable, *command, str(free_port()), "-m", module, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(started: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for all processes to end well; what each wrote to its standard error. None survives this call."""
    try:
        errors = [process.communicate(timeout=LONGEST_SECONDS)[1] for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
    assert [process.returncode for process in started] == [0] * len(started), errors
    return errors
