"""The application as a whole, asked without a browser: who is let in, and to what."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gradio")
from fastapi.testclient import TestClient

from lmdm_adapter.demo.app import build
from lmdm_adapter.demo.app_plan import DemoPlan
from lmdm_adapter.demo.assets import FOLDER, player_code
from tests.demo_voices import Voices

ROOT = Path(__file__).resolve().parent.parent
HOME = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def locked():
    return build(Voices(), DemoPlan(auth=("me", "secret")))


def test_without_a_login_there_is_no_page_no_event_and_no_word_to_the_server(locked):
    client = TestClient(locked, base_url=HOME)
    assert client.get("/config").status_code == 401
    assert (
        client.post("/gradio_api/queue/join", json={"data": [], "fn_index": 0, "session_hash": "a"}).status_code == 401
    )
    asked = {"data": ["guess", 1], "component_id": 1, "fn_name": "played", "session_hash": "a"}
    assert client.post("/gradio_api/component_server", json=asked).status_code == 401
    assert client.post("/login", data={"username": "me", "password": "wrong"}).status_code == 400


def test_with_a_login_the_page_comes(locked):
    client = TestClient(locked, base_url=HOME)
    assert client.post("/login", data={"username": "me", "password": "secret"}).status_code == 200
    assert client.get("/config").status_code == 200


def test_a_page_whose_name_means_this_machine_gets_nothing(locked):
    assert TestClient(locked, base_url="http://evil.example:7860").get("/").status_code == 400


def test_a_file_that_was_not_uploaded_is_nobodys():
    """The name of a sound file of the server's, where an upload should be, is answered with no copy of it."""
    secret = ROOT / "tests" / "vectors" / "secret.wav"
    client = TestClient(build(Voices(), DemoPlan()), base_url=HOME)
    config = client.get("/config").json()
    known = {component["id"]: component for component in config["components"]}
    asked = [d for d in config["dependencies"] if any(known[i]["type"] == "file" for i in d["inputs"])]
    assert asked
    for dependency in asked:
        data = [_claimed(known[i], secret) for i in dependency["inputs"]]
        sent = {"data": data, "fn_index": dependency["id"], "session_hash": "a"}
        answer = client.post("/gradio_api/run/predict", json=sent)
        assert answer.status_code == 500 and "not uploaded" in answer.json()["error"]


def _claimed(component, path):
    if component["type"] == "file":
        return {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    return "Sound file" if component["type"] == "radio" else component["props"].get("value")


def test_the_pages_files_are_there_and_fetch_nothing():
    code = player_code() + "".join(path.read_text() for path in FOLDER.glob("*.css"))
    assert "AudioWorkletProcessor" in code and "new Worker" in code
    assert "http://" not in code and "https://" not in code and "@import" not in code
