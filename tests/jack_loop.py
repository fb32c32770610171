"""A program: a session on JACK whose output is its own input; what was played goes into a file.

It plays bursts of noise, and between them what it hears, `DELAY_FRAMES` late. python -m tests.jack_loop OUT.npy
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np

from lmdm_adapter.io.devices import chosen, planned, sound_library, sound_ports
from lmdm_adapter.io.sound_device import SoundDevice
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.modes import EchoMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.threaded import ThreadedSession
from tests.session_makers import NoiseMaker, NoiseState

FRAME_SAMPLES, BLOCK_FRAMES, DELAY_FRAMES = 512, 8, 96
# Blocks of noise; their echoes, twelve blocks and a little later, fall between them.
FIRST_BURST_BLOCK, BURST_EVERY_BLOCKS = 8, 5
FACTS = Facts(sample_rate=44100, channels=2, frame_samples=FRAME_SAMPLES, block_frames=BLOCK_FRAMES)
PLAYED_SECONDS = 6.0
CABLES = tuple((f"PortAudio:out_{index}", f"PortAudio:in_{index}") for index in range(2))
FROM_OUTSIDE = tuple((f"system:capture_{index + 1}", f"PortAudio:in_{index}") for index in range(2))


class BurstThenEcho(NoiseMaker):
    """Blocks of noise, and between them the echo of what is heard."""

    def step(self, state: NoiseState, prompt: Any, **rest: Any) -> Any:
        """The next block."""
        since = state.block - FIRST_BURST_BLOCK
        if since >= 0 and since % BURST_EVERY_BLOCKS == 0:
            rest = {**rest, "frame_controls": None}
        return super().step(state, prompt, **rest)


def main(out: str) -> None:
    """Play, and save what was played."""
    library = sound_library()
    port = chosen(sound_ports(library), None, "output")
    plan = planned(library, port, port, sample_rate=FACTS.sample_rate, channels=2)
    played: list[np.ndarray] = []
    engine = Engine(
        BurstThenEcho(FACTS), FACTS, EchoMode(channels=2, frame_samples=FRAME_SAMPLES, delay_frames=DELAY_FRAMES),
        state=NoiseState(), plan=SessionPlan(GovernorPlan(lead_seconds=0.5, most_lead_seconds=0.5)),
        source=plan.engine_source, tap=lambda name, part: played.append(part.copy()) if name == "played" else None,
    )  # fmt: skip
    with ThreadedSession(engine), SoundDevice(engine, plan, library) as device:
        for cable in FROM_OUTSIDE:
            subprocess.run(["jack_disconnect", *cable], check=True, stdout=subprocess.DEVNULL)
        for cable in CABLES:
            subprocess.run(["jack_connect", *cable], check=True, stdout=subprocess.DEVNULL)
        while engine.player.sample < PLAYED_SECONDS * FACTS.sample_rate and device.lost is None:
            time.sleep(0.05)
        print(f"latency {device.latency_seconds:.4f} holds {engine.player.holds} underflows {device.underflows}")
    np.save(out, np.concatenate(played))


if __name__ == "__main__":
    main(sys.argv[1])
