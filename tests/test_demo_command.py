"""`lmdm demo`: what it refuses, in one sentence and before it loads anything."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from lmdm_adapter.cli import demo_serving
from lmdm_adapter.cli.demo_serving import DemoRequest
from tests.cli import done, sentence
from tests.models import tiny_live


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch):
    def fail(*arguments, **named):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("lmdm_adapter.cli.demo_serving.open_model", fail)


@pytest.mark.parametrize("auth", ["me", ":secret", "me:", ":"])
def test_a_login_is_a_user_and_a_password(auth):
    assert "USER:PASSWORD" in sentence("demo", "--auth", auth, "--no-browser")


def test_sharing_needs_a_login():
    assert "--auth" in sentence("demo", "--share", "--no-browser")


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_ports_that_are_none(port):
    assert port in sentence("demo", "--port", port, "--no-browser")


def test_no_sessions_is_no_server():
    assert "--max-sessions 0" in sentence("demo", "--max-sessions", "0", "--no-browser")


def test_a_port_in_use():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"127.0.0.1:{port}" in sentence("demo", "--port", port, "--no-browser")


@pytest.mark.parametrize("host", ["192.0.2.1", "not a host"])
def test_an_address_of_another_machine(host):
    assert "--host" in sentence("demo", "--host", host, "--port", "0", "--no-browser")


def test_a_device_that_is_not_there():
    assert "--device cpu" in sentence("demo", "--device", "toaster", "--no-browser")


def test_a_missing_extra(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else found(name))
    assert "lmdm-adapter[demo]" in sentence("demo", "--no-browser")


def test_a_link_that_cannot_be_made_is_a_sentence_and_the_page_opens_all_the_same(monkeypatch):
    networking = pytest.importorskip("gradio.networking")

    def nowhere(*arguments):
        raise OSError("no route")

    told, served, request = [], [], DemoRequest("tiny", "127.0.0.1", 0, True, "me:secret", 1, True, False, "cpu",
                                                "float32", None)  # fmt: skip
    monkeypatch.setattr(networking, "setup_tunnel", nowhere)
    monkeypatch.setattr(demo_serving, "open_model", lambda *arguments, **named: tiny_live())
    monkeypatch.setattr("lmdm_adapter.demo.server.show", told.append)
    monkeypatch.setattr("lmdm_adapter.demo.server.serve", lambda app, place, opened: served.append(opened("URL")))
    demo_serving.serve_demo(request, notice=told.append)
    assert served and told[1] == "URL" and "No public link can be made (no route)" in told[2]


def test_help_names_every_option():
    shown = done("demo", "--help")
    for option in ("--model", "--host", "--port", "--no-browser", "--auth", "--max-sessions", "--share", "--device",
                   "--allow-models"):  # fmt: skip
        assert option in shown
