"""How far music was played is told by its own page alone: the name of its stream is a secret."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("gradio")
import httpx

from tests.demo_browser import served
from tests.demo_voices import RATE, Voices

GUESSES = (["guess", 10**9], ["guess"], "guess", None, [["a"], 1], [{"a": 1}, 1], ["", 10**9])


@pytest.fixture
def demo():
    """A running demo, its voices, and a client of it."""
    voices = Voices()
    with served(voices, max_sessions=1) as made, httpx.Client(base_url=made.url, timeout=120) as client:
        yield client, voices


def begin(client, config, player):
    """Play, as the page's button does."""
    (play, *_) = [one for one in config["dependencies"] if one["outputs"] == [player] and one["types"]["generator"]]
    known = {component["id"]: component["props"].get("value") for component in config["components"]}
    told = {"data": [known[i] for i in play["inputs"]], "fn_index": play["id"], "session_hash": "a"}
    assert client.post("gradio_api/queue/join", json=told).status_code == 200


def stream_of(lines):
    """The secret name in the first value for the player."""
    for line in lines:
        message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
        if message.get("msg") == "process_generating":
            return json.loads(message["output"]["data"][0])["stream"]
    raise AssertionError("no music")


def steady(voice):
    """How many blocks were made, once no more are."""
    before = -1
    while before != voice.blocks:
        before = voice.blocks
        time.sleep(1.0)
    return before


def test_a_word_about_a_stream_of_somebody_else_moves_nothing_and_its_own_does(demo):
    client, voices = demo
    config = client.get("config").json()
    player = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == "player")
    begin(client, config, player)

    def say(told):
        asked = {"data": told, "component_id": player, "fn_name": "played", "session_hash": "b"}
        assert client.post("gradio_api/component_server", json=asked).status_code == 200

    with client.stream("GET", "gradio_api/queue/data", params={"session_hash": "a"}) as answer:
        lines = answer.iter_lines()  # kept: the page is closed when nobody reads on
        stream = stream_of(lines)
        lead = steady(voices.made[-1])
        for guess in GUESSES:
            say(guess)
        assert steady(voices.made[-1]) == lead
        say([stream, RATE])
        assert steady(voices.made[-1]) > lead
