"""MIDI: learning, knobs, buttons, a clock, and the file of it all, without a MIDI device."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.board import Board
from lmdm_adapter.io.midi import MidiInput, port_named
from lmdm_adapter.io.midi_hand import ClockFollower, MidiHand
from lmdm_adapter.io.midi_map import NO_KNOB, Binding, MidiMap, read_map, require_knob
from lmdm_adapter.io.osc_routes import LEARN, Routes
from lmdm_adapter.session.parameters import BY_NAME, PARAMETERS
from lmdm_adapter.session.tempo import Beat
from tests.session_makers import noise_engine

mido = pytest.importorskip("mido")


def knob(control: int, value: int, channel: int = 0) -> Any:
    """A control change."""
    return mido.Message("control_change", channel=channel, control=control, value=value)


def hand(*bindings: Binding, **settings: Any) -> tuple[MidiHand, Board]:
    """A hand on a session of noise."""
    board = Board(noise_engine(), **settings)
    return MidiHand(board, MidiMap(bindings)), board


@pytest.mark.parametrize(("position", "value"), [(0, 0.0), (127, 1.0), (64, 64 / 127)])
def test_a_knob_goes_over_the_parameters_range(position: int, value: float) -> None:
    midi, board = hand(Binding(0, 7, "mix"))
    midi.take(knob(7, position))
    assert board.value("mix") == pytest.approx(value) and board.turned == 1
    midi.take(knob(8, 1))
    midi.take(knob(7, 1, channel=3))
    midi.take(mido.Message("note_on", note=60))
    assert board.turned == 1 and midi.taken == 4


@pytest.mark.parametrize("parameter", [one for one in PARAMETERS if one.name not in NO_KNOB], ids=lambda one: one.name)
def test_every_position_of_every_knob_fits_its_parameter(parameter: Any) -> None:
    values = [Binding(0, 1, parameter.name).value(position) for position in range(128)]
    assert all(parameter.checked(value) == value for value in values)
    assert len(set(values)) > 1 or parameter.name in ("rewind_blocks", "forget_blocks")
    if parameter.kind in ("number", "whole"):
        assert values == sorted(values)


def test_a_range_of_ones_own_may_run_backwards() -> None:
    binding = Binding(0, 1, "gain_db", low=0.0, high=-40.0)
    assert (binding.value(0), binding.value(127)) == (0.0, -40.0)


def test_learning_binds_the_next_control_and_saves_it(tmp_path: Path) -> None:
    path, board = tmp_path / "map.json", Board(noise_engine())
    midi = MidiHand(board, MidiMap(), path=path)
    (reply,) = Routes(board, learn=midi.learn).answer(LEARN, ("gain_db",))
    assert "Move the MIDI control for gain_db." in reply.arguments and midi.learning == "gain_db"
    midi.learn("mix")
    midi.take(mido.Message("note_on", note=60))
    midi.take(knob(21, 50))
    assert midi.learning == "mix" and board.turned == 0, "the learning turn itself changes nothing"
    midi.take(knob(22, 50))
    midi.take(knob(21, 127))
    assert midi.learning is None and board.value("gain_db") == 6.0
    assert read_map(path) == midi.mapping == MidiMap((Binding(0, 21, "gain_db"), Binding(0, 22, "mix")))


def test_learning_anew_takes_the_place_of_what_was() -> None:
    mapping = MidiMap((Binding(0, 1, "mix"), Binding(0, 2, "gain_db")))
    assert mapping.learnt(0, 2, "mix").bindings == (Binding(0, 2, "mix"),)
    assert mapping.learnt(1, 1, "steps").bound(0, 1) == Binding(0, 1, "mix")


def test_a_button_acts_once_when_it_goes_down() -> None:
    midi, board = hand(Binding(0, 3, "recache"), Binding(0, 4, "rewind_blocks"), Binding(0, 5, "freeze"))
    for position in (127, 127, 0, 70, 10):
        midi.take(knob(3, position))
    assert board.turned == 2
    midi.take(knob(4, 127))
    assert board.turned == 3
    midi.take(knob(5, 127))
    assert board.value("freeze") is True
    midi.take(knob(5, 0))
    assert board.value("freeze") is False


@pytest.mark.parametrize("name", [*NO_KNOB, "volume"])
def test_what_no_knob_can_turn_is_refused(name: str) -> None:
    with pytest.raises(LmdmError, match="use OSC for it" if name in BY_NAME else "There is no parameter 'volume'"):
        require_knob(name)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channel": 16}, "channels 0 to 15"),
        ({"control": 128}, "controls 0 to 127"),
        ({"parameter": "prompt"}, "cannot be turned by a MIDI knob"),
        ({"high": 13.0}, "gain_db must be a number from -120 to 12 dB, got 13.0"),
    ],
)
def test_a_binding_that_cannot_be_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(LmdmError, match=words):
        Binding(**{"channel": 0, "control": 1, "parameter": "gain_db", **settings})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Cannot read the MIDI map"),
        ("[]", "needs a list of bindings"),
        (json.dumps({"bindings": [{"channel": 0}]}), "misses"),
        (json.dumps({"bindings": [{"channel": 0, "control": 1, "parameter": "gain_db", "colour": 1}]}), "colour"),
    ],
)
def test_a_file_that_is_no_map_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(LmdmError, match=words):
        read_map(tmp_path / "map.json")


def test_a_map_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert read_map(tmp_path / "map.json") == MidiMap()


def test_what_the_session_refuses_is_logged_and_the_hand_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        def turn(self, name: str, value: Any, **rest: Any) -> None:
            raise LmdmError("10000 events wait already.")

    midi = MidiHand(Board(Full()), MidiMap((Binding(0, 7, "mix"),)))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        midi.take(knob(7, 1))
    assert "10000 events wait already" in caplog.text


def pulses(follower: ClockFollower, bpm: float, first: float, count: int) -> None:
    """An even clock."""
    for index in range(count):
        follower.pulse(first + index * 60.0 / bpm / 24)


def test_an_even_clock_is_followed_once() -> None:
    beats: list[Beat] = []
    follower = ClockFollower(beats.append)
    follower.start()
    pulses(follower, 120.0, 5.0, 20 * 24)
    (beat,) = beats
    assert beat.bpm == pytest.approx(120.0) and (beat.beat_at_seconds - 5.0) % 0.5 == pytest.approx(0.0, abs=1e-6)


def test_a_clock_that_changes_is_followed_a_beat_at_a_time() -> None:
    beats: list[Beat] = []
    follower = ClockFollower(beats.append)
    pulses(follower, 120.0, 0.0, 96)
    pulses(follower, 126.0, 2.0, 20 * 24)
    assert beats[-1].bpm == pytest.approx(126.0, abs=0.2) and 1 < len(beats) < 20
    follower.start()
    pulses(follower, 100.0, 30.0, 48)
    assert beats[-1].bpm == pytest.approx(100.0)


def test_the_hand_gives_the_clock_the_sessions_time() -> None:
    times = iter(10.0 + index * 60.0 / 90.0 / 24 for index in range(1000))
    engine = noise_engine()
    midi = MidiHand(Board(engine, seconds_now=lambda: next(times)), MidiMap())
    midi.take(mido.Message("start"))
    for _ in range(48):
        midi.take(mido.Message("clock"))
    turns = [engine.events.due("model", 10**9) for _ in range(2)]
    assert [turn.name for turn in turns if turn] == ["tempo_bpm", "beat_at_seconds"]
    assert turns[0].value == pytest.approx(90.0)


NAMES = ("Midi Through:Port-0 14:0", "nanoKONTROL2 20:0", "nanoKEY 24:0")


def test_a_port_is_found_by_a_part_of_its_name() -> None:
    assert port_named("kontrol", NAMES) == NAMES[1] and port_named(NAMES[0], NAMES) == NAMES[0]


@pytest.mark.parametrize(
    ("wanted", "names", "words"),
    [
        ("nano", NAMES, "fits several MIDI inputs; there are 'nanoKONTROL2 20:0', 'nanoKEY 24:0'"),
        ("piano", NAMES, "'piano' is no MIDI input"),
        ("piano", (), "or open a port with 'virtual'"),
    ],
)
def test_a_port_that_is_not_there_is_refused(wanted: str, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(LmdmError, match=words):
        port_named(wanted, names)


class Backend:
    """A MIDI system with some ports; `broken` ones do not open."""

    def __init__(self, *names: str, broken: bool = False) -> None:
        self.names, self.broken, self.opened = names, broken, []

    def get_input_names(self) -> tuple[str, ...]:
        """All inputs."""
        return self.names

    def open_input(self, name: str, *, virtual: bool, callback: Any, client_name: str | None = None) -> Any:
        """Open one."""
        if self.broken:
            raise OSError("device busy.")
        self.opened.append((name, virtual, callback))
        return SimpleNamespace(close=lambda: self.opened.append("closed"))


def test_a_port_is_opened_and_closed() -> None:
    backend = Backend(*NAMES)
    with MidiInput("kontrol", print, backend=backend):
        assert backend.opened == [(NAMES[1], False, print)]
    with MidiInput("virtual", print, backend=backend):
        assert backend.opened[2] == ("lmdm", True, print)
    assert backend.opened[-1] == "closed"


def test_a_port_that_does_not_open_is_a_sentence() -> None:
    with pytest.raises(LmdmError, match="Cannot open the MIDI input 'nanoKEY 24:0': device busy."):
        MidiInput("key", print, backend=Backend(*NAMES, broken=True)).__enter__()
