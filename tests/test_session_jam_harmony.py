"""A jam that hears harmony: law 2 and any chunking with it, its gain, what is known ahead, and its replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.declared import HARMONY
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import AheadJam
from lmdm_adapter.session.restored import recorded_material, restored_mode
from lmdm_adapter.session.simulation import Device
from tests.mode_models import FRAME, PLAN, RATE, SPEC, listening_live, performed
from tests.test_session_jam import FACTS, engine_of, parallel, sound
from tests.test_session_replay import recorded, replayed

LIVE = listening_live(steps=1, harmony=True)
HEARING = Listening.of(LIVE.codec, LIVE.section.frame_controls)


@pytest.mark.parametrize("hop_frames", [1, 6])
def test_law_2_through_the_session(hop_frames: int) -> None:
    widest = JamTiming.live(HEARING, FACTS, PLAN)
    visible = widest.visibility_frames + widest.hop_frames - hop_frames
    timing = JamTiming.live(HEARING, FACTS, PLAN, visibility_seconds=visible / FACTS.frame_rate_hz)
    engine, heard = engine_of(timing, live=LIVE), sound()
    performed(engine, heard, chunk=61, hear_chunk=17)
    played, together = parallel(engine, heard, LIVE)
    assert (played - together).abs().max() < 1e-5 * together.abs().max()
    engine.mode.listening = replace(HEARING, harmony=None)
    other = parallel(engine, heard, LIVE)[1]
    assert (played - other).abs().max() > 1e-3, "harmony was heard"


def test_any_chunking_gives_the_same_samples() -> None:
    timing, heard = JamTiming.live(HEARING, FACTS, PLAN), sound()
    whole = performed(engine_of(timing, live=LIVE), heard, chunk=400)
    assert np.array_equal(performed(engine_of(timing, live=LIVE), heard, chunk=250, hear_chunk=13), whole)


def test_the_gain_of_harmony_is_its_own() -> None:
    mode = JamMode(HEARING, JamTiming.ahead(HEARING, FACTS), known=HEARING.whole(Audio(sound().T, RATE)))
    plain = mode.frame_controls(6, 6)
    mode.turn("harmony_gain", 0.5)
    softer = mode.frame_controls(6, 6)
    mode.turn("accompaniment_gain", 0.5)
    softest = mode.frame_controls(6, 6)
    assert plain[HARMONY].any()
    for name, values in plain.items():
        of_harmony = 0.5 if name == HARMONY else 1.0
        assert np.array_equal(softer[name], values * np.float32(of_harmony))
        assert np.array_equal(softest[name], values * np.float32(0.5 * of_harmony))


def test_a_sound_is_heard_ahead_as_in_one_go() -> None:
    heard = sound(40 * FRAME)
    mode = AheadJam.seeing(HEARING, FACTS, heard)
    whole = JamMode(
        HEARING, JamTiming.ahead(HEARING, FACTS), known=HEARING.whole(Audio(np.tile(heard, (2, 1)).T, RATE))
    )
    for first in range(0, 48, 6):
        told, expected = (each.frame_controls(first, 6) for each in (mode, whole))
        assert np.array_equal(told[HARMONY], expected[HARMONY])


@pytest.mark.parametrize("known", [False, True])
def test_replays_bit_for_bit_from_its_recording(tmp_path: Path, known: bool) -> None:
    def hears(first: int, count: int) -> np.ndarray:
        return np.random.default_rng(first).uniform(-1, 1, (count, 1)).astype("f4")

    if known:
        mode = JamMode(HEARING, JamTiming.ahead(HEARING, FACTS), known=HEARING.whole(Audio(sound(20_000).T, RATE)))
    else:
        mode = JamMode(HEARING, JamTiming.live(HEARING, FACTS, PLAN, longest_block_frames=SPEC.block_frames + 1))
    played, log = recorded(
        tmp_path / "take", LIVE, FACTS, LIVE.start(5), mode=mode, plan=PLAN,
        device=Device((100, 1, 37), hears=hears, source=(RATE, 1)),
    )  # fmt: skip
    heard, dry = (soundfile.read(tmp_path / "take" / f"{name}.wav", dtype="float32", always_2d=True)[0]
                  for name in ("input", "dry"))  # fmt: skip
    again = restored_mode(LIVE, log, recorded_material(tmp_path / "take"))
    assert np.array_equal(played, replayed(log, LIVE, FACTS, LIVE.start(5), mode=again, heard=heard, dry=dry))
    if known:
        assert torch.equal(again.heard.harmony, mode.heard.harmony) and again.heard.harmony.any()
