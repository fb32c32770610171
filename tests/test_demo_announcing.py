"""What `lmdm demo` says once it serves: where the page is, what others need, the public link or why there is none."""

from __future__ import annotations

import socket

import pytest

pytest.importorskip("gradio")
from lmdm_adapter.cli.demo_serving import OVER_HTTP, DemoRequest, announce
from lmdm_adapter.demo import server
from lmdm_adapter.demo.app_plan import DemoPlan

URL = "http://127.0.0.1:7860/"
REQUEST = DemoRequest(model="tiny", host="127.0.0.1", port=7860, browser=True, auth=None, max_sessions=1, share=False,
                      allow_models=False, device="cpu", dtype="float32", threads=None)  # fmt: skip
SHARED = DemoPlan(share=True, auth=("me", "secret"))


@pytest.fixture
def place():
    with server.bound(DemoPlan(port=0)) as made:
        yield made


@pytest.fixture
def opened(monkeypatch):
    """The pages that were opened in the reader's browser."""
    pages: list[str] = []
    monkeypatch.setattr("webbrowser.open", pages.append)
    return pages


def said(plan: DemoPlan, place: socket.socket) -> list[str]:
    """Every line for the reader."""
    lines: list[str] = []
    announce(URL, plan, place, REQUEST, lines.append)
    return lines


def test_a_public_link_leads_to_this_server(place, opened, monkeypatch):
    asked = []
    monkeypatch.setattr("gradio.networking.setup_tunnel", lambda *told: asked.append(told) or "https://x.gradio.live")
    assert said(SHARED, place)[-1] == "For everyone with the password: https://x.gradio.live"
    assert asked[0][:2] == ("127.0.0.1", place.getsockname()[1]) and opened == [URL]


@pytest.mark.parametrize("why", ["Could not get share link from Gradio API Server.", "Missing file.\n\nGet it.", ""])
def test_without_a_tunnel_the_page_is_opened_and_a_sentence_says_why(place, opened, monkeypatch, why):
    def no_tunnel(*told):
        raise RuntimeError(why)

    monkeypatch.setattr("gradio.networking.setup_tunnel", no_tunnel)
    first, last = said(SHARED, place)
    reason = why.split(".")[0] or "RuntimeError"
    assert URL in first and last == f"No public link can be made ({reason}); the page goes on working on this machine."
    assert opened == [URL]


def test_others_need_https_and_are_told_so(place, opened):
    assert said(DemoPlan(host="0.0.0.0"), place)[1:] == [OVER_HTTP]
    assert len(said(DemoPlan(), place)) == 1
