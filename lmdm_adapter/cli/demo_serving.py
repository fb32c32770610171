"""From the options of `lmdm demo` to a page that answers: every refusal comes before the model is loaded."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmdm_adapter.cli.models import open_model, parse_device
from lmdm_adapter.errors import LmdmError

if TYPE_CHECKING:
    from lmdm_adapter.demo.app_plan import DemoPlan
    from lmdm_adapter.live import LiveModel

NEEDED = ("gradio", "fastapi", "uvicorn", "websockets")


@dataclass(frozen=True)
class DemoRequest:
    """The options as they were given."""

    model: str
    host: str
    port: int
    browser: bool
    auth: str | None
    max_sessions: int
    share: bool
    allow_models: bool
    device: str
    dtype: str
    threads: int | None


def require_demo() -> None:
    """Miss a package of the extra `[demo]` in a sentence. Raises LmdmError."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise LmdmError(f"The demo needs {', '.join(missing)}; install it: pip install 'lmdm-adapter[demo]'.")


def parse_auth(auth: str | None) -> tuple[str, str] | None:
    """USER:PASSWORD as a pair. Raises LmdmError for text without a colon, or with nothing on one of its sides."""
    if auth is None:
        return None
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise LmdmError("--auth needs a user and a password: --auth USER:PASSWORD.")
    return user, password


def serve_demo(request: DemoRequest, *, notice: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. Raises LmdmError for options, ports, packages and models that will not do."""
    require_demo()
    from lmdm_adapter.demo.app_plan import DemoPlan
    from lmdm_adapter.demo.server import bound

    plan = DemoPlan(request.host, request.port, request.max_sessions, parse_auth(request.auth), request.share,
                    allow_models=request.allow_models)  # fmt: skip
    parse_device(request.device)
    with bound(plan) as place:
        live = open_model(request.model, device=request.device, dtype=request.dtype, threads=request.threads)
        _serve(live, plan, place, request, notice)


def _serve(
    live: LiveModel, plan: DemoPlan, place: socket.socket, request: DemoRequest, notice: Callable[[str], None]
) -> None:
    # Seconds of imports: a refusal need not wait for them.
    from lmdm_adapter.demo.app import build
    from lmdm_adapter.demo.band import Band
    from lmdm_adapter.demo.chooser import Chooser
    from lmdm_adapter.demo.server import serve, show

    chooser = Chooser(Band(live, name=request.model))

    def opened(url: str) -> None:
        notice(f"The page is at {url} (Ctrl-C ends it).")
        if plan.share:
            notice(_shared(place))
        if request.browser:
            show(url)

    serve(build(chooser.voice, plan, chooser=chooser), place, opened=opened)


def _shared(place: socket.socket) -> str:
    """The line about the public link, or why there is none: the page goes on on this machine."""
    from lmdm_adapter.demo.server import public_address

    try:
        return f"For everyone with the password: {public_address(place)}"
    except LmdmError as error:
        return str(error)
