"""A log that says what each block was told needs no sound to play again, and says it to the bit."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session import told_again
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.modes import EchoMode
from lmdm_adapter.session.simulation import Device
from lmdm_adapter.session.told_again import TOLD, ToldAgain, controls_of, told_in, told_of
from tests.session_makers import FACTS, NoiseMaker, NoiseState
from tests.test_session_replay import recorded, replayed

ODD = np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45]], np.float32)


def echo() -> EchoMode:
    return EchoMode(channels=2, frame_samples=FACTS.frame_samples, delay_frames=40)


def noise(first: int, count: int) -> np.ndarray:
    return np.random.default_rng(first).uniform(-1, 1, (count, 2)).astype(np.float32)


class Telling(Engine):
    """An engine that keeps what it told."""

    def __init__(self, *arguments, **settings) -> None:
        super().__init__(*arguments, **settings, keeps_told=True)


def test_a_session_plays_again_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device((100, 1, 37), hears=noise, source=(FACTS.sample_rate, 2))
    _, plain = recorded(tmp_path / "a", NoiseMaker(), FACTS, NoiseState(), mode=echo(), device=device)
    assert not any(TOLD in block for block in plain.of("block")), "only where it is asked for"
    monkeypatch.setattr("lmdm_adapter.session.simulation.Engine", Telling)
    played, log = recorded(tmp_path / "b", NoiseMaker(), FACTS, NoiseState(), mode=echo(), device=device)
    assert log.of("hold") and any(cue.rewind_blocks for cue in log.cues)
    assert np.array_equal(played, replayed(log, NoiseMaker(), FACTS, NoiseState(), mode=echo())) and played.any()
    deaf = [{**block, TOLD: None} for block in log.records if block["kind"] == "block"]
    others = (record for record in log.records if record["kind"] != "block")
    silent = replayed(type(log)(log.header, (*deaf, *others)), NoiseMaker(), FACTS, NoiseState(), mode=echo())
    assert not np.array_equal(played, silent), "what was told is what makes the music"


def test_blocks_of_any_length_are_told_of_again() -> None:
    mode = ToldAgain(echo(), [told_of({"a": ODD})])
    assert mode.longest_block_frames(FACTS.block_frames) is None, "they were as long as the log says"
    assert mode.frame_controls(0, 6)["a"].tobytes() == ODD.tobytes()


def test_controls_come_back_to_the_bit() -> None:
    controls = {"a": ODD, "b": np.zeros((0, 6), np.float32), "c": np.arange(12, dtype=np.float32).reshape(6, 2).T}
    back = controls_of(told_of(controls), frames=6)
    assert back is not None and list(back) == list(controls)
    for name, values in controls.items():
        assert back[name].dtype == np.float32 and back[name].shape == values.shape
        assert back[name].tobytes() == np.ascontiguousarray(values).tobytes()
    assert told_of(None) is None and controls_of(None, frames=6) is None


def test_what_is_no_control_of_this_block_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    told = told_of({"a": ODD})
    monkeypatch.setattr(told_again, "MOST_BYTES", 1 << 10)
    bomb = base64.b64encode(zlib.compress(bytes(1 << 20))).decode()
    for damaged, frames in ((told, 5), ({"a": bomb}, 1), ({"a": "no"}, 6), ({"a": told["a"][:-8]}, 6), ({"a": 3}, 6),
                            ([1], 6)):  # fmt: skip
        with pytest.raises(LmdmError, match="damaged"):
            controls_of(damaged, frames=frames)
    with pytest.raises(LmdmError, match="1 of 2 blocks"):
        told_in([{TOLD: None}, {}])
    assert told_in([{}, {}]) is None and told_in([]) is None and told_in([{TOLD: None}]) == [None]
