"""OSC: every parameter under its address, 1000 messages in order, and nonsense that changes nothing."""

from __future__ import annotations

import logging
import math
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.board import Board
from lmdm_adapter.io.osc import LOCALHOST, MOST_REFUSALS_TOLD, Allowance, OscServer, require_free_port
from lmdm_adapter.io.osc_packets import well_formed
from lmdm_adapter.io.osc_routes import ERROR, HELP, LEARN, Routes, address_of, value_from
from lmdm_adapter.session import events
from lmdm_adapter.session.parameters import BY_NAME, PARAMETERS, Parameter
from tests.session_makers import noise_engine
from tests.sound_library import waited

osc_message = pytest.importorskip("pythonosc.osc_message_builder")
udp_client = pytest.importorskip("pythonosc.udp_client")


class Listener:
    """A session that only remembers what it was told."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, Any, str]] = []
        self.beats: list[Any] = []

    def turn(self, name: str, value: Any, *, at: int | None = None, quantum: str = "now") -> None:
        """Remember it."""
        self.turns.append((name, value, quantum))

    def follow(self, beat: Any) -> None:
        """Remember it."""
        self.beats.append(beat)


@pytest.fixture
def session() -> Listener:
    """A session that remembers."""
    return Listener()


@pytest.fixture
def server(session: Listener) -> Iterator[OscServer]:
    """A server of that session at a free port."""
    with OscServer(Routes(Board(session)), port=0) as listening:
        yield listening


@pytest.fixture
def client(server: OscServer) -> Iterator[Any]:
    """A client of that server."""
    with udp_client.SimpleUDPClient(LOCALHOST, server.port, timeout=2.0) as sender:
        yield sender


def answer(client: Any) -> tuple[str, list[Any]]:
    """The next reply."""
    message = next(client.get_messages(2.0))
    return message.address, list(message)


def sample_arguments(parameter: Parameter) -> tuple[tuple[Any, ...], Any]:
    """Arguments as a sender would give them, and the value they mean."""
    if parameter.kind in ("number", "whole"):
        value = max(parameter.low, -6.0) + 1
        return (np.float32(value).item(),), (int(value) if parameter.kind == "whole" else value)
    return {
        "switch": ((1,), True), "choice": ((parameter.choices[-1:] or ("",))[0:1], (parameter.choices or ("",))[-1]),
        "text": (("drums",), "drums"), "prompts": (("house", 2.0, "piano", 1), (("house", 2.0), ("piano", 1.0))),
    }[parameter.kind]  # fmt: skip


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_parameter_has_an_address_that_turns_it(parameter: Parameter, session: Listener) -> None:
    arguments, value = sample_arguments(parameter)
    if parameter.kind == "number" and not parameter.low <= value <= parameter.high:
        arguments, value = (parameter.high,), parameter.high
    routes = Routes(Board(session))
    assert routes.answer(address_of(parameter), arguments) == []
    assert session.turns == [(parameter.name, pytest.approx(value) if parameter.kind == "number" else value, "now")]
    (reply,) = routes.answer(address_of(parameter), ())
    shown = parameter.default if parameter.momentary else value
    flat = tuple(part for pair in shown for part in pair) if parameter.kind == "prompts" else (shown,)
    assert reply.address == address_of(parameter)
    assert all(a == b or math.isclose(a, b, rel_tol=1e-6) for a, b in zip(reply.arguments, flat, strict=True))


def test_one_address_describes_all_others(server: OscServer, client: Any) -> None:
    client.send_message(HELP, [])
    rows = {}
    while not rows or HELP not in rows:
        address, (name, takes, unit, text) = answer(client)
        assert address == HELP and text
        rows[name] = (takes, unit)
    for parameter in PARAMETERS:
        takes, unit = rows[address_of(parameter)]
        assert unit == parameter.unit
        if parameter.kind in ("number", "whole"):
            assert f"from {parameter.low:g} to {parameter.high:g}" in takes
        assert ("/none" in takes) == parameter.optional
    assert {"/lmdm/tap", "/lmdm/NAME/bar", "/lmdm/NAME/beat"} <= set(rows) and LEARN not in rows


def test_a_thousand_messages_arrive_in_order(server: OscServer, session: Listener, client: Any) -> None:
    for index in range(1000):
        client.send_message("/lmdm/forget_blocks", index)
        if index % 50 == 49:  # a hand that turns knobs breathes too; the kernel's buffer takes a few hundred packets
            assert waited(lambda count=index + 1: server.taken == count)
    assert [value for _, value, _ in session.turns] == list(range(1000)) and server.refused == 0


def test_turns_wait_for_a_beat_or_a_bar_and_none_clears(session: Listener) -> None:
    routes = Routes(Board(session))
    routes.answer("/lmdm/prompt/bar", ("techno",))
    routes.answer("/lmdm/gain_db/beat", (-3,))
    routes.answer("/lmdm/tempo_bpm/none", ())
    assert session.turns == [
        ("prompt", (("techno", 1.0),), "bar"),
        ("gain_db", -3.0, "beat"),
        ("tempo_bpm", None, "now"),
    ]


def test_taps_make_a_tempo(session: Listener) -> None:
    times = iter((10.0, 10.5, 11.0))
    routes = Routes(Board(session, seconds_now=lambda: next(times)))
    for _ in range(3):
        routes.answer("/lmdm/tap", ())
    assert [beat.bpm for beat in session.beats] == pytest.approx([120.0, 120.0])


@pytest.mark.parametrize("name", ["feedback", "delay_seconds", "tightness"])
def test_a_bound_in_32_bits_is_the_bound(name: str) -> None:
    parameter = BY_NAME[name]
    for bound in (parameter.low, parameter.high):
        assert value_from(parameter, (np.float32(bound).item(),)) == bound
    with pytest.raises(LmdmError):
        value_from(parameter, (parameter.high * 1.001,))


BAD = [
    ("/lmdm/gain_db", ["loud"], "gain_db must be a number from -120 to 12 dB, got 'loud'"),
    ("/lmdm/gain_db", [13.0], "got 13.0"),
    ("/lmdm/gain_db", [math.nan], "got nan"),
    ("/lmdm/gain_db", [1.0, 2.0], "takes one argument"),
    ("/lmdm/steps", [2.5], "steps must be a whole number"),
    ("/lmdm/freeze", [2], "freeze must be true or false"),
    ("/lmdm/policy", ["forget"], "policy must be one of keep, recache"),
    ("/lmdm/prompt", ["house", 1.0, "piano"], "got 3 arguments"),
    ("/lmdm/prompt", [1, 2], "prompt"),
    ("/lmdm/prompt", [5], "prompt must be text"),
    ("/lmdm/gain_db/none", [], "gain_db must be"),
    ("/lmdm/volume", [1], "There is no address '/lmdm/volume'; /lmdm/help lists all."),
    ("/lmdm/gain_db/soon", [1], "There is no address"),
    ("/somewhere", [], "There is no address"),
    (LEARN, ["gain_db"], "start lmdm live with --midi-in"),
]


def test_what_does_not_fit_is_answered_with_a_sentence_and_changes_nothing(
    server: OscServer, session: Listener, client: Any
) -> None:
    for address, arguments, words in BAD:
        client.send_message(address, arguments)
        replied, (about, sentence) = answer(client)
        assert replied == ERROR and about == address and words in sentence
    assert session.turns == [] and server.refused == len(BAD)


def test_a_beat_without_a_tempo_is_refused_by_the_session() -> None:
    with pytest.raises(LmdmError, match="set tempo_bpm first"):
        Routes(Board(noise_engine())).answer("/lmdm/prompt/bar", ("techno",))


GOOD = osc_message.build_msg("/lmdm/gain_db", [-1.0]).dgram
BUNDLE = b"#bundle\0" + b"\0" * 7 + b"\1"
# fmt: off
BROKEN = (
    b"", b"x", b"/lmdm/gain_db", b"/lmdm/gain_db\0\0\0,f\0\0", GOOD[:-1], GOOD + b"\0", GOOD[:-4],
    b"/lmdm/gain_db\0\0\0,x\0\0", b"/\xff\xfe\0,\0\0\0", b"/a\0\0,s\0\0\xff\0\0\0", b"\0" * 9000, BUNDLE + b"\xff" * 40,
    BUNDLE + b"\0\0\0\4abcd", BUNDLE[:12], BUNDLE + b"\0\0\0\x40" + GOOD, BUNDLE + b"\0\0\0\0",
)
# fmt: on


def in_bundle(packet: bytes, times: int = 1) -> bytes:
    """A bundle of a bundle of a packet."""
    return packet if times == 0 else BUNDLE + len(inner := in_bundle(packet, times - 1)).to_bytes(4, "big") + inner


def test_only_whole_packets_are_read() -> None:
    assert all(map(well_formed, (GOOD, BUNDLE, in_bundle(GOOD, 3)))) and not any(map(well_formed, BROKEN))
    assert not well_formed(in_bundle(GOOD, 6)), "bundles of bundles without end"
    for values in ([], ["text"], ["four"], [1, 2.5, True, None, "a", 2**40]):
        assert well_formed(osc_message.build_msg("/lmdm/prompt", values).dgram)


def test_broken_packets_are_passed_over(
    server: OscServer, session: Listener, client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for packet in BROKEN:
            sender.sendto(packet, (LOCALHOST, server.port))
    client.send_message("/lmdm/gain_db", -1.0)
    assert waited(lambda: session.turns == [("gain_db", -1.0, "now")])
    assert server.refused >= len(BROKEN) - 1, "the empty packet may never arrive"
    shown = capfd.readouterr().err
    assert "Traceback" not in shown and "root" not in shown


def test_a_bundle_of_the_far_future_stops_nobody(server: OscServer, session: Listener, client: Any) -> None:
    from pythonosc.osc_bundle_builder import OscBundleBuilder

    bundle = OscBundleBuilder(time.time() + 3600.0)
    bundle.add_content(osc_message.build_msg("/lmdm/mix", [0.5]))
    client.send(bundle.build())
    client.send_message("/lmdm/mix", 0.25)
    assert waited(lambda: ("mix", 0.25, "now") in session.turns)


def test_a_flood_of_turns_is_bounded_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_WAITING", 50)
    engine = noise_engine()
    board = Board(engine)
    with OscServer(Routes(board), port=0) as server:
        with udp_client.SimpleUDPClient(LOCALHOST, server.port, timeout=2.0) as client:
            for index in range(200):
                client.send_message("/lmdm/gain_db", -index / 10)
                if index % 50 == 49:
                    assert waited(lambda count=index + 1: server.taken + server.refused == count)
            assert "50 events wait already" in answer(client)[1][1]
    assert (server.taken, server.refused, board.turned) == (50, 150, 50)
    assert board.value("gain_db") == pytest.approx(-4.9), "what was refused is not what was set last"
    engine.pull(np.zeros((64, 2), np.float32))
    board.turn("gain_db", -1.0)


def test_a_flood_of_nonsense_is_answered_a_few_times_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    allowance = Allowance(MOST_REFUSALS_TOLD, lambda: now[0])
    assert sum(allowance.spend() for _ in range(1000)) == MOST_REFUSALS_TOLD
    now[0] = 1.0
    assert allowance.spend()
    with OscServer(Routes(Board(Listener())), port=0) as server, caplog.at_level(logging.WARNING):
        server._allowance = Allowance(3, lambda: 0.0)
        for _ in range(100):
            server._handle((LOCALHOST, 9), "/lmdm/nothing" * 50)
    assert server.refused == 100 and len(caplog.records) == 3
    assert all(len(record.getMessage()) < 500 for record in caplog.records)


def test_a_port_in_use_is_a_sentence(server: OscServer) -> None:
    for opening in (
        lambda: require_free_port(server.port),
        lambda: OscServer(Routes(Board(Listener())), port=server.port),
    ):
        with pytest.raises(
            LmdmError, match=f"Port {server.port} of 127.0.0.1 is in use; choose another with --osc-port"
        ):
            opening()


def test_an_address_that_is_not_ours_is_a_sentence() -> None:
    with pytest.raises(LmdmError, match="Cannot listen for OSC at 203.0.113.7, port 9000"):
        require_free_port(9000, host="203.0.113.7")


def test_the_server_listens_at_this_machine_alone(server: OscServer) -> None:
    assert server.host == "127.0.0.1"


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythonosc.osc_server", None)
    with pytest.raises(LmdmError, match=r"OSC needs the package pythonosc .*lmdm-adapter\[live\]"):
        OscServer(Routes(Board(Listener())), port=0)
