"""The socket: pages of this server with a fresh token come in, and nothing else does any harm."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from lmdm_adapter.demo import server as serving
from lmdm_adapter.demo.app_plan import DemoPlan
from lmdm_adapter.demo.origins import hosts_of, same_origin
from lmdm_adapter.demo.packets import Packet, pack, unpack
from lmdm_adapter.demo.rates import Allowance
from lmdm_adapter.demo.socket import MOST_MESSAGE_BYTES, PATH, add_socket
from lmdm_adapter.demo.visits import Visits
from tests.demo_voices import BLOCK_SAMPLES, Voices, tone

SOURCE = [8000, 1]


class Rig:
    """A real server on a port of its own, with the socket and nothing else."""

    def __init__(self, place, app, loop_of):
        self.port, self.app, self._loop_of = place.getsockname()[1], app, loop_of
        self.visits, self.origin = app.state.visits, f"http://127.0.0.1:{self.port}"

    def line(self, origin: str | None = "own"):
        return connect(f"ws://127.0.0.1:{self.port}{PATH}", origin=self.origin if origin == "own" else origin)

    def hello(self, line, token=None, **wish):
        token = self.visits.tokens.issue("one") if token is None else token
        wish = {"mode": "jam", "lead_seconds": 0.3, "source": SOURCE, **wish}
        line.send(json.dumps({"kind": "hello", "token": token, "wish": wish}))

    def opened(self, line):
        self.hello(line)
        assert json.loads(line.recv(timeout=2))["kind"] == "opened"
        return line

    def closed_with(self, line) -> int:
        """Read on until the server closes; the code."""
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(2000):
                line.recv(timeout=3)
        return closed.value.rcvd.code

    def free(self) -> bool:
        asked = asyncio.run_coroutine_threadsafe(self.visits.closed(seconds=1.0), self._loop_of())
        return asked.result(3) and self.visits.seats.taken == 0


@contextmanager
def rig_of(voices):
    app, loops = FastAPI(), []
    app.state.visits = Visits(voices, most_sessions=1)
    add_socket(app, app.state.visits)
    place = serving.bound(DemoPlan(port=0))
    server = serving.server_of(app)

    async def run():
        loops.append(asyncio.get_running_loop())
        await server.serve(sockets=[place])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield Rig(place, app, lambda: loops[0])
    finally:
        server.should_exit = True
        thread.join(5)
        place.close()


@pytest.fixture(scope="module")
def voices():
    return Voices()


@pytest.fixture(scope="module")
def rig(voices):
    with rig_of(voices) as made:
        yield made


def test_a_line_that_is_left_for_another_ends_nothing_of_it(rig):
    """Start is pressed again while it plays: the old line closes when the new one plays already."""
    with rig.line() as old, rig.line() as new:
        rig.opened(old)
        rig.opened(new)
        old.close()
        packets = 0
        while packets < 5:
            new.send(json.dumps({"kind": "played", "samples": packets * BLOCK_SAMPLES}))
            got = new.recv(timeout=2)
            assert not isinstance(got, str) or json.loads(got)["kind"] == "report"
            packets += not isinstance(got, str)
    assert rig.free()


def test_music_out_and_sound_in(rig, voices):
    with rig.line() as line:
        rig.opened(line)
        packets = []
        line.send(pack(Packet(0, np.zeros((1024, 1), np.float32))))
        line.send(pack(Packet(1024, np.zeros((1024, 1), np.float32))))
        line.send(json.dumps({"kind": "turn", "name": "guidance", "value": 2}))
        while len(packets) < 5:
            line.send(json.dumps({"kind": "played", "samples": len(packets) * BLOCK_SAMPLES}))
            while isinstance(got := line.recv(timeout=2), str):
                assert json.loads(got)["kind"] == "report"
            packets.append(unpack(got, channels=2))
    played = np.concatenate([packet.samples for packet in packets])
    assert played.tobytes() == tone(0, 5 * BLOCK_SAMPLES).tobytes()
    assert voices.made[-1].heard == [(0, 1024), (1024, 1024)]
    assert voices.made[-1].turns == [("guidance", 2)]
    assert rig.free() and voices.made[-1].closed.is_set()


@pytest.mark.parametrize("origin", ["https://example.com", "null", None, "http://127.0.0.1:1"])
def test_a_foreign_page_is_not_let_in(rig, origin):
    with pytest.raises(InvalidStatus) as refused:
        rig.line(origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("token", ["", "guess", 7, None, ["a"]])
def test_without_a_good_token_nothing_plays(rig, voices, token):
    made = len(voices.made)
    with rig.line() as line:
        line.send(json.dumps({"kind": "hello", "token": token, "wish": {"source": SOURCE}}))
        assert rig.closed_with(line) == 4401
    assert len(voices.made) == made


def test_a_stolen_token_is_worth_nothing_once_it_was_used(rig):
    token = rig.visits.tokens.issue("one")
    with rig.line() as line, rig.line() as thief:
        rig.hello(line, token)
        assert json.loads(line.recv(timeout=2))["kind"] == "opened"
        rig.hello(thief, token)
        assert rig.closed_with(thief) == 4401
        assert rig.visits.seats.taken == 1, "the owner plays on"
    assert rig.free()


@pytest.mark.parametrize(
    "wish", [{"mode": "sing"}, {"source": [8000]}, {"source": "x"}, {"lead_seconds": -1}, {"values": 3},
             {"source": [10**9, 1]}, {"source": [8000, 9]}],
)  # fmt: skip
def test_wishes_that_cannot_be_are_refused(rig, wish):
    with rig.line() as line:
        rig.hello(line, **wish)
        assert rig.closed_with(line) == 4400


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "[" * 100_000, b"RIFFxxxx", pack(Packet(0, np.zeros((4, 2), np.float32))),
     pack(Packet(0, np.zeros((1, 1), np.float32)))[:-4] + struct.pack("<f", float("nan")),
     json.dumps({"kind": "played", "samples": "all"}),
     json.dumps({"kind": "turn", "name": "lead_seconds", "value": 1e9})],
)  # fmt: skip
def test_what_is_no_message_closes_the_line_and_frees_the_seat(rig, content):
    with rig.line() as line:
        rig.opened(line)
        line.send(content)
        assert rig.closed_with(line) == 4400
    assert rig.free()


def test_a_message_that_is_too_large(rig):
    with rig.line() as line:
        rig.opened(line)
        line.send(bytes(MOST_MESSAGE_BYTES + 1))
        assert rig.closed_with(line) == 1009
    assert rig.free()


def test_a_flood_of_messages(rig):
    with rig.line() as line:
        rig.opened(line)
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(50_000):
                line.send('{"kind": "played", "samples": 0}')
        assert closed.value.rcvd.code == 4429
    assert rig.free()


def test_more_sound_than_there_is_time(rig):
    with rig.line() as line:
        rig.opened(line)
        with pytest.raises(ConnectionClosed) as closed:
            for index in range(500):
                line.send(pack(Packet(index * 8000, np.zeros((8000, 1), np.float32))))
        assert closed.value.rcvd.code == 4429
    assert rig.free()


def test_a_second_page_waits_and_a_page_that_vanishes_frees_its_seat(rig):
    with rig.line() as first, rig.line() as second:
        rig.opened(first)
        rig.hello(second, rig.visits.tokens.issue("two"))
        assert json.loads(second.recv(timeout=2)) == {"kind": "waiting", "place": 1}
        first.socket.shutdown(socket.SHUT_RDWR)
        assert json.loads(second.recv(timeout=2))["kind"] == "opened"
    assert rig.free()


def test_a_page_that_says_nothing_is_let_go(rig, monkeypatch):
    monkeypatch.setattr("lmdm_adapter.demo.socket.HELLO_SECONDS", 0.1)
    with rig.line() as line:
        assert rig.closed_with(line) == 4408
    with rig.line() as line:
        line.send(b"bytes first")
        assert rig.closed_with(line) == 4408


def test_allowances_fill_up_steadily():
    clock = [0.0]
    allowance = Allowance(10.0, 5.0, now=lambda: clock[0])
    assert [allowance.spend() for _ in range(6)] == [True] * 5 + [False]
    clock[0] += 0.1
    assert [allowance.spend() for _ in range(2)] == [True, False]
    clock[0] += 1e6
    assert [allowance.spend() for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("origin", "host", "good"),
    [
        ("http://127.0.0.1:7860", "127.0.0.1:7860", True),
        ("https://Demo.example", "demo.example", True),
        ("http://127.0.0.1:7861", "127.0.0.1:7860", False),
        ("file://127.0.0.1:7860", "127.0.0.1:7860", False),
        ("null", "null", False),
        (None, "a", False),
        ("http://a", None, False),
    ],
)
def test_origins(origin, host, good):
    assert same_origin(origin, host) is good


def test_only_a_server_for_others_answers_to_other_names():
    assert "*" not in hosts_of("127.0.0.1") and "*" not in hosts_of("localhost")
    assert hosts_of("0.0.0.0") == ["*"]
