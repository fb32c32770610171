"""A replay is the recording, bit for bit, whatever the clock did; and it can be rendered finer."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.modes import EchoMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.recorder import Recorder
from lmdm_adapter.session.replay import Replay
from lmdm_adapter.session.session_log import SessionLog, read_log
from lmdm_adapter.session.simulation import ComputeTimes, Device, Simulation
from tests.models import tiny_live
from tests.session_makers import FACTS, PLAN, NoiseMaker, NoiseState

STALLED = ComputeTimes(share=0.3, stall_every_blocks=14, stall_seconds=0.6)
TURNS = ((0.5, "prompt", "techno"), (0.6, "gain_db", -9.0), (0.9, "feedback", 0.4), (1.0, "delay_seconds", 0.03),
         (1.2, "policy", "recache"), (1.3, "prompt", [("house", 1.0), ("drums", 2.0)]), (1.5, "forget_blocks", 1),
         (1.8, "rewind_blocks", 2), (2.0, "tempo_bpm", 150.0), (2.2, "guidance", 2.0))  # fmt: skip


def recorded(
    folder: Path, maker: Any, facts: Facts, state: Any, *, seconds: float = 2.4, stop: bool = True,
    more: tuple[tuple[float, str, Any], ...] = (), **settings: Any,
) -> tuple[np.ndarray, SessionLog]:  # fmt: skip
    """A simulated session with stalls and turns, and `more` of them, recorded: what was played, and its log."""
    recorder = Recorder(folder, facts, with_input="device" in settings)
    settings = {"times": STALLED, "device": Device((100, 1, 37)), "plan": PLAN, **settings}
    simulation = Simulation(
        maker, facts, state=state, values={"prompt": "house"}, tap=recorder.tap,
        hear=lambda samples, records: recorder.write(records), **settings,
    )  # fmt: skip
    recorder.begin(simulation.engine, seed=5)
    for at, name, value in (*TURNS, *more):
        simulation.turn_at(at, name, value)
    simulation.run(seconds)
    if stop:
        simulation.engine.stop()
        simulation.run(0.2)
    recorder.close(simulation.engine)
    return soundfile.read(folder / "played.wav", dtype="float32", always_2d=True)[0], read_log(folder / "log.jsonl")


def replayed(log: SessionLog, maker: Any, facts: Facts, state: Any, **settings: Any) -> np.ndarray:
    return np.concatenate(list(Replay(maker, facts, log, state=state, **settings).played()))


def toy() -> tuple[LiveModel, Facts]:
    live = tiny_live()
    return live, facts_of(live)


TOY_PLAN = SessionPlan(GovernorPlan(lead_seconds=0.2, most_lead_seconds=0.8, calm_blocks=3), history_seconds=1.0)


def test_a_model_with_stalls_replays_bit_for_bit_and_faster(tmp_path: Path) -> None:
    live, facts = toy()
    played, log = recorded(tmp_path / "take", live, facts, live.start(5), plan=TOY_PLAN)
    assert len(log.of("hold")) >= 2 and len(log.of("governor")) >= 1 and len(log.of("event")) == len(TURNS)
    assert len({cue.steps for cue in log.cues}) > 1, "the governor's steps are in the log"
    again = replayed(log, live, facts, live.start(5))
    assert np.abs(played).max() > 0.01 and np.array_equal(played.view(np.uint32), again.view(np.uint32))
    other = np.concatenate(list(islice(Replay(live, facts, log, state=live.start(6)).played(), 8)))
    assert other.any() and not np.array_equal(played[: len(other)], other), "another seed is another music"


def test_a_replay_at_more_steps_is_the_same_session_rendered_finer(tmp_path: Path) -> None:
    live, facts = toy()
    played, log = recorded(tmp_path / "take", live, facts, live.start(5), plan=TOY_PLAN, seconds=1.0)
    finer = replayed(log, live, facts, live.start(5), steps=6)
    assert finer.shape == played.shape and not np.array_equal(finer, played)


def test_a_session_that_was_cut_off_replays_as_far_as_it_was_written(tmp_path: Path) -> None:
    played, log = recorded(tmp_path / "take", NoiseMaker(), FACTS, NoiseState(), stop=False)
    cut = SessionLog(log.header, tuple(record for record in log.records if record["kind"] != "end"))
    again = replayed(cut, NoiseMaker(), FACTS, NoiseState())
    assert np.array_equal(again[: len(played)], played[: len(again)]) and len(again) > len(played) // 2


def test_a_session_with_live_input_replays_from_its_recording(tmp_path: Path) -> None:
    def hears(first: int, count: int) -> np.ndarray | None:
        """Stands still for a while, and then goes on."""
        return None if 9_000 < first < 12_000 else np.random.default_rng(first).uniform(-1, 1, (count, 2)).astype("f4")

    def echo() -> EchoMode:
        return EchoMode(channels=2, frame_samples=FACTS.frame_samples, delay_frames=40)

    played, log = recorded(
        tmp_path / "take", NoiseMaker(), FACTS, NoiseState(), mode=echo(),
        device=Device((100, 1, 37), hears=hears, source=(FACTS.sample_rate, 2)),
    )  # fmt: skip
    heard, dry = (soundfile.read(tmp_path / "take" / f"{name}.wav", dtype="float32")[0] for name in ("input", "dry"))
    again = replayed(log, NoiseMaker(), FACTS, NoiseState(), mode=echo(), heard=heard, dry=dry)
    assert np.array_equal(played, again) and played.any()
    with pytest.raises(LmdmError, match="give the recorded input.wav"):
        replayed(log, NoiseMaker(), FACTS, NoiseState(), mode=echo(), dry=dry)
    with pytest.raises(LmdmError, match="of the mode 'echo', not 'stream'"):
        replayed(log, NoiseMaker(), FACTS, NoiseState())


def test_another_model_is_refused(tmp_path: Path) -> None:
    live, facts = toy()
    _, log = recorded(tmp_path / "take", live, facts, live.start(5), plan=TOY_PLAN, seconds=0.5)
    with pytest.raises(LmdmError, match=r"another model \(model differ\)"):
        Replay(live, replace(facts, model="another"), log, state=live.start(5))
