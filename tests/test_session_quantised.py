"""What the model is told on a beat or a bar counts from the border that stands for it, whenever it is asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.accompaniment import MASK
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.grid import Quantum, TempoGrid
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import AheadJam
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.modes import StreamMode
from lmdm_adapter.session.pacing import Pacing
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.simulation import ComputeTimes, Device, Simulation, ToneMaker, ToneState
from lmdm_adapter.session.sketch_mode import SketchMode
from tests.mode_models import CONFIG, PLAN, RATE, listening_live, performed

LIVE = listening_live(steps=1)
TOY = facts_of(LIVE)
FACTS = Facts(sample_rate=8000, channels=1, frame_samples=372, block_frames=10)


def turned(quantum: Quantum, *, ahead_seconds: float = 0.0, lead_seconds: float = 1.0, **values: Any) -> list[float]:
    """How many frames off their beat or bar turns took effect that were asked for every 2.37 s."""
    records: list[dict[str, Any]] = []
    session = Simulation(
        ToneMaker(FACTS), FACTS, state=ToneState(), times=ComputeTimes(share=0.05, jitter=0.0), device=Device((160,)),
        plan=SessionPlan.listening(lead_seconds), values={"prompt": "a", **values},
        hear=lambda audio, noted: records.extend(noted),
    )  # fmt: skip

    def turn() -> None:
        at = session.engine.player.sample + int(ahead_seconds * FACTS.sample_rate)
        session.engine.turn("guidance", 2.0, at=at, quantum=quantum)
        session.clock.call_at(session.clock.now() + 2.37, turn)

    session.clock.call_at(3.1, turn)
    session.run(40)
    grid = session.engine.pacing.grid
    assert grid is not None
    unit = grid.beat_frames if quantum == "beat" else grid.bar_frames
    turns = [(record["frame"] - grid.origin_frames) / unit for record in records if record["kind"] == "event"]
    assert len(turns) >= 12
    return [(turn - round(turn)) * unit for turn in turns]


@pytest.mark.parametrize("bpm", [124.0, 97.3])
@pytest.mark.parametrize(("ahead_seconds", "lead_seconds"), [(0.0, 1.0), (0.0, 0.2), (6.0, 1.0)])
def test_bars_are_met_to_half_a_frame(bpm: float, ahead_seconds: float, lead_seconds: float) -> None:
    """The lead has been made already and lines fall between frames: neither may cost a beat."""
    off = turned("bar", ahead_seconds=ahead_seconds, lead_seconds=lead_seconds, tempo_bpm=bpm)
    assert max(map(abs, off)) <= 0.5 + 1e-6


def test_beats_are_met_and_bars_by_blocks_of_a_bar() -> None:
    assert max(map(abs, turned("beat", tempo_bpm=124.0))) <= 0.5 + 1e-6
    assert max(map(abs, turned("bar", tempo_bpm=124.0, block_beats=4.0))) <= 0.5 + 1e-6


def test_a_bar_that_no_border_meets_is_passed_at_the_next_one() -> None:
    """Blocks of 3 beats in bars of 4: a turn waits for one border after a bar line, never for ever."""
    beat_frames = 60 / 124 * FACTS.frame_rate_hz
    off = turned("bar", tempo_bpm=124.0, block_beats=3.0)
    assert all((late + 0.5 + 1e-6) % (4 * beat_frames) <= 3 * beat_frames + 1.0 for late in off)


def test_a_border_counts_only_lines_after_the_stamp_and_after_the_border_before() -> None:
    values = {"tempo_bpm": 120.0, "beats_per_bar": 4, "block_beats": None}
    pacing = Pacing(FACTS, values, longest_block_frames=100)
    assert pacing.crossed("bar", 0.0), "a bar begins where the grid does"
    bars = 0
    for _ in range(12):
        pacing.advance(pacing.next_frames())
        bars += pacing.crossed("bar", 0.0)
        assert pacing.crossed("now", math.inf) and pacing.crossed("beat", 0.0)
        assert not pacing.crossed("beat", pacing.border_frame + 2.0)
    assert bars == 3


def test_blocks_of_a_mode_that_listens_are_never_longer_than_it_hears() -> None:
    """100 BPM are 12.9 frames a beat: a stream plays beats, a jam of 12 frames halves, and says no to whole ones."""
    values = {"prompt": "a", "tempo_bpm": 100.0, "beats_per_bar": 4, "block_beats": None}
    facts = replace(FACTS, block_frames=12)
    lengths = {}
    for longest in (12, 100):
        pacing = Pacing(facts, values, longest_block_frames=longest)
        lengths[longest] = {pacing.next_frames()}
        for _ in range(30):
            pacing.advance(pacing.next_frames())
            lengths[longest].add(pacing.next_frames())
    assert lengths == {12: {6, 7}, 100: {12, 13}}
    with pytest.raises(LmdmError, match=r"1 beats at 100 BPM is 12.9 frames; it must lie between 1 and 11"):
        Pacing(facts, {**values, "block_beats": 1.0}, longest_block_frames=12)


@pytest.mark.parametrize(
    ("mode", "longest"), [("jam", 6), ("sketch", 6), ("delay", 6), ("ahead", None), ("known", None)]
)
def test_what_every_mode_hears_in_time(mode: str, longest: int | None) -> None:
    hearing, config = Listening(LIVE.codec), CONFIG
    known = hearing.whole(Audio(np.zeros((1, 640), np.float32), RATE))
    modes = {
        "jam": lambda: JamMode(hearing, JamTiming.live(hearing, TOY, PLAN)),
        "sketch": lambda: SketchMode.following(config, TOY, PLAN),
        "delay": lambda: DelayMode.of(config, TOY, PLAN, delay_seconds=0.6),
        "ahead": lambda: AheadJam.seeing(hearing, TOY, np.zeros((640, 1), np.float32)),
        "known": lambda: JamMode(hearing, JamTiming.ahead(hearing, TOY), known=known),
    }
    assert modes[mode]().longest_block_frames(6) == longest


def test_a_tempo_turned_in_a_jam_leaves_no_frame_unheard() -> None:
    """Every token of a block carries a frame that was heard, though the tempo asks for longer blocks."""
    hearing = Listening(LIVE.codec)
    mode, told = JamMode(hearing, JamTiming.live(hearing, TOY, PLAN)), []
    plain = mode.frame_controls
    mode.frame_controls = lambda first, frames: told.append(plain(first, frames)) or told[-1]
    engine = Engine(LIVE, TOY, mode, state=LIVE.start(3), plan=PLAN, source=(RATE, 1), values={"prompt": "a"})
    engine.turn("tempo_bpm", 268.0)  # a quarter is 7 frames, longer than blocks of 6
    performed(engine, np.ones((8000, 1), np.float32), chunk=64)
    assert {mask.shape[1] for mask in (one[MASK] for one in told)} <= {3, 4, 5, 6}
    whole = np.concatenate([one[MASK][0] for one in told])
    assert whole[np.flatnonzero(whole)[0] :].all()


class SeenOnce(Pacing):
    """Another thread makes the music; it clears the tempo right after the grid was looked at."""

    @property
    def grid(self) -> TempoGrid | None:
        return self.__dict__.pop("grid", None)


def test_a_tempo_that_is_cleared_while_something_is_turned_is_a_sentence_at_the_most() -> None:
    values = {"prompt": "a", "tempo_bpm": 120.0}
    engine = Engine(ToneMaker(FACTS), FACTS, StreamMode(), state=ToneState(), plan=SessionPlan(), values=values)
    engine.pacing.__class__ = SeenOnce
    assert engine.turn("gain_db", -6.0, at=100, quantum="beat").stamp == 4000
    with pytest.raises(LmdmError, match="set tempo_bpm first"):
        engine.turn("gain_db", -6.0, at=100, quantum="beat")
