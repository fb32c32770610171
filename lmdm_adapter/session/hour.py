"""The simulated hour: a session with stalls, jitter and turned knobs, checked to the last sample.

`python -m lmdm_adapter.session.hour --json FILE [--seconds 3600]`
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import time
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.simulation import ComputeTimes, Device, Simulation, ToneMaker, ToneState

log = logging.getLogger(__name__)

FACTS = Facts(sample_rate=44100, channels=2, frame_samples=2048, block_frames=10)
LARGEST_GROWTH_BYTES = 64 * 1024
MEASURES = 10


@dataclass(frozen=True)
class HourPlan:
    """How long, on what device and machine. The stalls are longer than the lead; the load comes and goes.

    Raises LmdmError for a length that is not positive.
    """

    seconds: float = 3600.0
    chunk_samples: tuple[int, ...] = (512, 441, 64, 1, 1024)
    times: ComputeTimes = ComputeTimes(share=0.45, jitter=1.0, stall_every_blocks=97, stall_seconds=3.0)
    turn_every_seconds: float = 7.0

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < float("inf") or self.turn_every_seconds <= 0:
            raise LmdmError(f"A simulation takes a positive time, got {self.seconds} s.")


def simulated_hour(plan: HourPlan | None = None) -> dict[str, Any]:
    """Run it; the figures as a JSON object: the verdict, counts of log records, memory, and whether all is well."""
    plan = plan or HourPlan()
    counts: Counter[str] = Counter()

    def count(samples: np.ndarray, records: list[dict[str, Any]]) -> None:
        counts.update(_name(record) for record in records)

    simulation = Simulation(
        ToneMaker(FACTS), FACTS, state=ToneState(), times=plan.times, device=Device(plan.chunk_samples), hear=count,
        values={"prompt": "a", "tempo_bpm": 124.0},
    )  # fmt: skip
    _plan_turns(simulation, plan)
    began, memory = time.perf_counter(), _run(simulation, plan.seconds)
    player, verdict = simulation.engine.player, simulation.verifier.verdict
    growth = max(memory[2:]) - memory[1] if len(memory) > 2 else 0
    return {
        "plan": asdict(plan), "facts": asdict(FACTS), "verdict": verdict.to_json(),
        "records": dict(sorted(counts.items())),
        "played_seconds": player.sample / FACTS.sample_rate, "held_seconds": player.held_samples / FACTS.sample_rate,
        "blocks": simulation.engine.blocks, "memory_bytes": memory, "memory_growth_bytes": growth,
        "wall_seconds": time.perf_counter() - began, "passed": verdict.passed and growth <= LARGEST_GROWTH_BYTES,
    }  # fmt: skip


def _plan_turns(simulation: Simulation, plan: HourPlan) -> None:
    """Knobs of every kind in turn, each time planning the next, so that the plan itself takes no memory."""
    turns = (("prompt", "b"), ("guidance", 3.0), ("tempo_bpm", 97.3), ("block_beats", 0.5), ("beats_per_bar", 3),
             ("prompt", "c"), ("tempo_bpm", 131.7), ("beats_per_bar", 4), ("steps", 6), ("block_beats", 1.0),
             ("steps", 8), ("tempo_bpm", 124.0))  # fmt: skip

    def turn(number: int) -> None:
        name, value = turns[number % len(turns)]
        simulation.engine.turn(name, value)
        simulation.clock.call_at((number + 2) * plan.turn_every_seconds, lambda: turn(number + 1))

    simulation.clock.call_at(plan.turn_every_seconds, lambda: turn(0))


def _run(simulation: Simulation, seconds: float) -> list[int]:
    """Let the time pass; the memory that Python and numpy hold after each tenth of it."""
    tracemalloc.start()
    memory = []
    try:
        for _ in range(MEASURES):
            simulation.run(seconds / MEASURES)
            gc.collect()
            memory.append(tracemalloc.get_traced_memory()[0])
            log.info("%.0f s played, %.2f MiB held", simulation.clock.now(), memory[-1] / 2**20)
    finally:
        tracemalloc.stop()
    return memory


def _name(record: dict[str, Any]) -> str:
    if record["kind"] != "governor":
        return str(record["kind"])
    return f"governor: {'less' if record['after'] < record['before'] else 'more'} {record['what']}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the hour and write its figures; 0 when all is well."""
    parser = argparse.ArgumentParser(description="Simulate a session with stalls and check every sample.")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    parser.add_argument("--seconds", type=float, default=3600.0, help="how much music, in virtual time")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        figures = simulated_hour(HourPlan(seconds=given.seconds))
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except (LmdmError, OSError) as error:
        parser.exit(2, f"{error}\n")
    log.info("%s", "passed" if figures["passed"] else "FAILED")
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
