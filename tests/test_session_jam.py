"""Jamming: law 2 through the session, the same samples for any chunking, latency as promised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.controls.accompaniment import Heard, accompaniment
from lmdm_adapter.controls.frames import packed_controls
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.samplers import noise
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.restored import restored_mode
from lmdm_adapter.session.simulation import Device
from lmdm_adapter.spec import Sampling
from tests.mode_models import PLAN, RATE, SPEC, listening_live, performed
from tests.test_session_replay import recorded, replayed

LIVE = listening_live(steps=1)
FACTS = facts_of(LIVE)
HEARING = Listening(LIVE.codec)


def sound(samples: int = 4500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, 1)).astype(np.float32)


def engine_of(timing: JamTiming, *, known: Heard | None = None, live: LiveModel = LIVE, **values: Any) -> Engine:
    mode = JamMode(Listening.of(live.codec, live.section.frame_controls), timing, known=known)
    return Engine(live, FACTS, mode, state=live.start(3), plan=PLAN, source=(RATE, 1),
                  values={"prompt": "house", **values})  # fmt: skip


def parallel(engine: Engine, heard: np.ndarray, live: LiveModel = LIVE) -> tuple[torch.Tensor, torch.Tensor]:
    """What the session played as latents `1 c n`, and the same from one parallel forward over the shifted whole."""
    state, timing = engine.performer.state, engine.mode.timing
    blocks = (*state.history, *state.blocks, *state.pending)
    clean = torch.cat([block.latents for block in blocks], dim=-1)
    frames, lengths = clean.shape[-1], tuple(block.frames for block in blocks)
    whole = engine.mode.listening.whole(Audio(heard.T, RATE))
    given = accompaniment(whole, 0, frames, lag_frames=timing.lag_frames, frame_rate_hz=FACTS.frame_rate_hz)
    controls = packed_controls(given, live.network.dit.config.further_controls, rows=1, frames=frames)
    drawn = [noise(3, block, 0, "denoise", shape=(clean.shape[1], n)) for block, n in enumerate(lengths)]
    start = torch.cat(drawn, dim=-1)[None]
    told = condition(live.network, Controls.of("house"), window_seconds=live.window_seconds, device=live.device)
    with torch.inference_mode():
        velocity = parallel_velocity(
            live.network.dit, clean, start, torch.ones(1, len(lengths)), lengths_frames=lengths,
            context_blocks=SPEC.context_blocks, prefix_distance=SPEC.prefix_distance, controls=controls,
            cross=told.cross, global_cond=told.global_cond,
        )  # fmt: skip
    return clean, start - velocity


@pytest.mark.parametrize("hop_frames", [1, 3, 6])
def test_law_2_through_the_session(hop_frames: int) -> None:
    """Blocks that were played live, the input encoded as it came, equal one parallel forward; another lag does not."""
    widest = JamTiming.live(HEARING, FACTS, PLAN)
    visible = widest.visibility_frames + widest.hop_frames - hop_frames
    timing = JamTiming.live(HEARING, FACTS, PLAN, visibility_seconds=visible / FACTS.frame_rate_hz)
    assert timing.hop_frames == hop_frames and timing.visibility_frames == visible
    engine, heard = engine_of(timing), sound()
    performed(engine, heard, chunk=61, hear_chunk=17)
    played, together = parallel(engine, heard)
    assert (played - together).abs().max() < 1e-5 * together.abs().max()
    engine.mode.timing = replace(timing, visibility_frames=visible + 1)
    other = parallel(engine, heard)[1]
    assert (played - other).abs().max() > 1e-3


@pytest.mark.parametrize("device_samples", [0, 100])
def test_any_chunking_gives_the_same_samples(device_samples: int) -> None:
    heard = sound()
    timing = JamTiming.live(HEARING, FACTS, PLAN, device_samples=device_samples)
    whole = performed(engine_of(timing), heard, chunk=400)
    for chunk, hear_chunk in ((64, 64), (250, 13)):
        assert np.array_equal(performed(engine_of(timing), heard, chunk=chunk, hear_chunk=hear_chunk), whole)
    assert not np.array_equal(performed(engine_of(timing), sound(seed=1), chunk=400), whole)


def test_the_reaction_comes_within_the_budget_and_not_before_the_lag() -> None:
    timing = JamTiming.live(HEARING, FACTS, PLAN)
    heard, changed = sound(), sound()
    changed[2000:] = sound(seed=1)[2000:]
    one, other = (performed(engine_of(timing), each, chunk=50) for each in (heard, changed))
    first = int(np.flatnonzero((one != other).any(axis=1))[0])
    budget = engine_of(timing).budget()
    lag_samples = timing.lag_frames * FACTS.frame_samples
    assert budget.total_seconds == pytest.approx(lag_samples / RATE)
    # A block hears its tokens as a whole, and the codec's own reach on both sides lies around the place; all of that is
    # less than the lag, so nothing answers a sound that was not played yet.
    reach = (FACTS.hold_back_frames + timing.look_ahead_frames + SPEC.block_frames) * FACTS.frame_samples
    assert 2000 < 2000 + lag_samples - reach <= first <= 2000 + lag_samples
    assert [name for name, _ in budget.parts] == [
        "device", "encoder look-ahead", "slack", "up to one block", "decoder hold-back",
    ]  # fmt: skip


def test_what_is_known_ahead_is_seen_ahead() -> None:
    heard, changed = sound(), sound()
    changed[3500:] = sound(seed=1)[3500:]
    timing = JamTiming.ahead(HEARING, FACTS, visibility_seconds=0.2)
    assert timing.visibility_frames == 25 and timing.lag_frames == 0
    one, other = (
        performed(engine_of(timing, known=HEARING.whole(Audio(each.T, RATE))), heard, chunk=50)
        for each in (heard, changed)
    )
    first = int(np.flatnonzero((one != other).any(axis=1))[0])
    assert first < 3500 - 10 * FACTS.frame_samples, "what is going to be played is heard before"
    engine = engine_of(timing, known=HEARING.whole(Audio(heard.T, RATE)))
    performed(engine, heard, chunk=100)
    played, together = parallel(engine, heard)
    assert (played - together).abs().max() < 1e-5 * together.abs().max()


def test_gain_zero_is_alone_and_freeze_hears_nothing_new() -> None:
    timing, heard = JamTiming.live(HEARING, FACTS, PLAN), sound()
    alone = Engine(LIVE, FACTS, JamMode(HEARING, timing), state=LIVE.start(3), plan=PLAN, source=(RATE, 1),
                   values={"prompt": "house"})  # fmt: skip
    deaf = performed(engine_of(timing, accompaniment_gain=0.0), heard, chunk=100)
    assert np.array_equal(deaf, performed(alone, heard * 0, chunk=100)) is False, "silence is heard, too"
    assert np.array_equal(deaf, performed(engine_of(timing, accompaniment_gain=0.0), sound(seed=1), chunk=100))
    changed = np.concatenate([heard[:3000], sound(seed=1)[3000:]])
    frozen = []
    for each in (heard, changed):
        engine = engine_of(timing)
        engine.turn("freeze", True, at=3000)
        frozen.append(performed(engine, each, chunk=100))
    plain = performed(engine_of(timing), heard, chunk=100)
    assert np.array_equal(*frozen) and not np.array_equal(frozen[0], plain)


def test_more_than_a_live_input_can_show_is_refused() -> None:
    with pytest.raises(LmdmError, match=r"Of a live input 0 s cannot be known .* the most is -0\.\d+ s"):
        JamTiming.live(HEARING, FACTS, PLAN, visibility_seconds=0.0)
    with pytest.raises(LmdmError, match="its timing says which"):
        JamMode(HEARING, JamTiming.ahead(HEARING, FACTS))
    with pytest.raises(LmdmError, match="hops of 1 frame or more"):
        JamTiming(6, 0, 0, 0)


def test_without_an_accompaniment_the_model_plays_alone() -> None:
    """The sampling of the model is that of the session; nothing is heard before anything was played."""
    timing = JamTiming.live(HEARING, FACTS, PLAN)
    engine = Engine(LIVE, FACTS, JamMode(HEARING, timing), state=LIVE.start(3), plan=PLAN, values={"prompt": "house"})
    out = performed(engine, sound(1500), chunk=100)
    alone = np.concatenate(
        [piece.samples.T for piece in LIVE.stream("house", 1500 / RATE, seed=3, sampling=Sampling(1, "euler"))]
    )
    assert np.array_equal(out, alone)


def test_a_jam_with_stalls_and_turns_replays_bit_for_bit_from_its_recording(tmp_path: Path) -> None:
    def hears(first: int, count: int) -> np.ndarray | None:
        """A player who is not there for a while: longer than a gap, so that silence is counted in."""
        return None if 6000 < first < 12_000 else np.random.default_rng(first).uniform(-1, 1, (count, 1)).astype("f4")

    timing = JamTiming.live(HEARING, FACTS, PLAN, longest_block_frames=SPEC.block_frames + 1)
    played, log = recorded(
        tmp_path / "take", LIVE, FACTS, LIVE.start(5), mode=JamMode(HEARING, timing), plan=PLAN,
        device=Device((100, 1, 37), hears=hears, source=(RATE, 1)),
    )  # fmt: skip
    assert log.of("hold") and any(record["what"] == "stopped" for record in log.of("input"))
    heard, dry = (soundfile.read(tmp_path / "take" / f"{name}.wav", dtype="float32", always_2d=True)[0]
                  for name in ("input", "dry"))  # fmt: skip
    again = replayed(log, LIVE, FACTS, LIVE.start(5), mode=restored_mode(LIVE, log, {}), heard=heard,
                     dry=dry)  # fmt: skip
    assert np.array_equal(played, again) and played.any()
    deaf = replayed(log, LIVE, FACTS, LIVE.start(5), mode=restored_mode(LIVE, log, {}),
                    heard=heard[::-1].copy(), dry=dry)  # fmt: skip
    assert not np.array_equal(played, deaf)


def test_a_jam_without_settings_stays_within_what_models_are_trained_for() -> None:
    """48 frames of Stable Audio Open at once would be known 3.5 s before the block; hops are shorter instead."""
    facts = Facts(44_100, 2, 2048, block_frames=48, hold_back_frames=8)
    timing = JamTiming.live(HEARING, facts, SessionPlan.listening(), look_ahead_frames=8)
    assert timing.hop_frames == 16 and -2.0 <= timing.visibility_frames / facts.frame_rate_hz < -1.95
    slow = JamTiming.live(HEARING, facts, SessionPlan.listening(2.0), look_ahead_frames=8)
    assert slow.hop_frames == 1 and slow.visibility_frames / facts.frame_rate_hz < -2.0, "as near as it can be"
