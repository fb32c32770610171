"""Serving the application: the port, the browser, the way out."""

from __future__ import annotations

import socket
import threading
import time
import webbrowser
from collections.abc import Callable
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from lmdm_adapter.demo.app_plan import DemoPlan
from lmdm_adapter.demo.socket import MOST_MESSAGE_BYTES
from lmdm_adapter.errors import LmdmError

WAITING_CONNECTIONS = 128


def bound(plan: DemoPlan) -> socket.socket:
    """A socket on the plan's address. Raises LmdmError when the port is in use or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    place = socket.socket(family, socket.SOCK_STREAM)
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        place.bind((plan.host, plan.port))
        # Only listening tells on every system that somebody else is there.
        place.listen(WAITING_CONNECTIONS)
    except OSError as error:
        place.close()
        reason = error.strerror or error
        raise LmdmError(
            f"Cannot listen on {plan.host}:{plan.port} ({reason}); choose another with --port or --host."
        ) from None
    return place


def address(place: socket.socket) -> str:
    """The page's URL on this machine."""
    host, port = place.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def server_of(app: FastAPI) -> uvicorn.Server:
    """A server with the demo's limits; `run(sockets=[...])` serves until it is told to stop."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws_max_size=MOST_MESSAGE_BYTES, ws_max_queue=16,
        timeout_graceful_shutdown=2, server_header=False,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(app: FastAPI, place: socket.socket, *, opened: Callable[[str], None] | None = None) -> None:
    """Serve `app` on a bound socket until Ctrl-C; `opened` is told the URL as soon as it answers."""
    server = server_of(app)
    if opened is not None:
        threading.Thread(target=_tell, args=(server, address(place), opened), daemon=True).start()
    server.run(sockets=[place])


def _tell(server: uvicorn.Server, url: str, opened: Callable[[str], None]) -> None:
    while not server.started and not server.should_exit:
        time.sleep(0.02)
    if server.started:
        opened(url)


def show(url: str) -> None:
    """Open the page in the reader's browser, if there is one."""
    webbrowser.open(url)


def public_address(place: socket.socket) -> str:
    """A public URL through Gradio's tunnel, which fetches its client the first time.

    Raises LmdmError when there is no way to it.
    """
    import secrets

    from gradio.networking import setup_tunnel

    here = urlsplit(address(place))
    try:
        return setup_tunnel(here.hostname, here.port, secrets.token_urlsafe(32), None, None)
    except Exception as error:
        # Gradio's own say in several lines what to do by hand; the first tells what is wrong.
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise LmdmError(f"No public link can be made ({reason}); the page goes on working on this machine.") from error
