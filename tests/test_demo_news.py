"""What the page shows of the model is that of the one that would play, whichever tab's button is pressed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("gradio")
from fastapi.testclient import TestClient

from lmdm_adapter.demo.app import build
from lmdm_adapter.demo.app_plan import DemoPlan, Facts
from lmdm_adapter.spec import Sampling
from tests.demo_voices import Voices

HOME = "http://127.0.0.1:7860"
STARTS = ("play-start", "sketch-start", "follow-start", "jam-start", "jam-check", "delay-start")
OTHER = Facts("another", Sampling(steps=3, guidance=4.0))


class Chosen:
    """Facts that change, as a chooser's do, and no voices."""

    def __init__(self) -> None:
        self.facts, self.voice = Facts(), Voices()


@pytest.fixture(scope="module")
def chosen() -> Chosen:
    return Chosen()


@pytest.fixture(scope="module")
def client(chosen: Chosen) -> TestClient:
    return TestClient(build(chosen.voice, DemoPlan(), chooser=chosen), base_url=HOME)


@pytest.fixture(scope="module")
def config(client: TestClient) -> dict[str, Any]:
    return client.get("/config").json()


def first_of(config: dict[str, Any], elem_id: str) -> dict[str, Any]:
    """What a click on that button does at once."""
    button = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == elem_id)
    (made,) = [one for one in config["dependencies"] if [button, "click"] in one["targets"]]
    return made


def pressed(client: TestClient, dependency: dict[str, Any], visitor: str) -> list[Any]:
    """What a press of a button puts into the parts of the page, in the order of the event's outputs."""
    data = [None] * len(dependency["inputs"])
    asked = {"data": data, "fn_index": dependency["id"], "session_hash": visitor}
    answer = client.post("/gradio_api/run/predict", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.parametrize("elem_id", STARTS)
def test_every_button_that_begins_music_shows_the_model_that_will_play(client, config, chosen, elem_id) -> None:
    dependency = first_of(config, elem_id)
    chosen.facts = Facts()
    assert "another" not in str(pressed(client, dependency, elem_id)), "nothing has changed yet"
    chosen.facts = OTHER
    told = dict(zip(dependency["outputs"], pressed(client, dependency, elem_id), strict=True))
    labels = {part["id"]: part["props"].get("label") for part in config["components"]}
    steps = [value["value"] for part, value in told.items() if labels.get(part) == "Steps"]
    assert steps == [3] * 4, "of Play, Sketch, Jam and Generative delay"
    assert "`another`" in str(told)
    chosen.facts = replace(OTHER, name="a third")
    assert "a third" in str(pressed(client, dependency, elem_id)), "each time"


@pytest.mark.parametrize("elem_id", STARTS)
def test_the_music_follows_the_news(config, elem_id) -> None:
    """What begins the music waits for what brings the page up to date, and reads the knobs after it."""
    first = first_of(config, elem_id)
    after = [one for one in config["dependencies"] if one["trigger_after"] == first["id"]]
    assert len(after) == 1 and len(after[0]["inputs"]) > 1
