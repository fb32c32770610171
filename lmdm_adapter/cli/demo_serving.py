"""From the options of `lmdm demo` to a page that answers: every refusal comes before the model is loaded."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmdm_adapter.cli.models import open_model, parse_device
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.extras import missing_packages

if TYPE_CHECKING:
    from lmdm_adapter.demo.app_plan import DemoPlan
    from lmdm_adapter.live import LiveModel

NEEDED = ("gradio", "fastapi", "uvicorn", "websockets")
OVER_HTTP = (
    "Browsers on other machines play sound only over https: put a proxy with a certificate before this server, or "
    "forward its port there by ssh; docs/demo.md says how."
)


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
    if (need := missing_packages(NEEDED, "The demo", extra_name="demo")) is not None:
        raise LmdmError(need)


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
    from lmdm_adapter.demo.server import serve

    chooser = Chooser(Band(live, name=request.model))
    app = build(chooser.voice, plan, chooser=chooser)
    serve(app, place, opened=lambda url: announce(url, plan, place, request, notice))


def announce(
    url: str, plan: DemoPlan, place: socket.socket, request: DemoRequest, notice: Callable[[str], None]
) -> None:
    """Say where the page is, open it, and make the public link. It runs beside the server, so it raises nothing."""
    from lmdm_adapter.demo.origins import is_loopback
    from lmdm_adapter.demo.server import public_address, show

    notice(f"The page is at {url} (Ctrl-C ends it).")
    if not is_loopback(plan.host):
        notice(OVER_HTTP)
    if request.browser:
        show(url)
    if plan.share:
        try:
            notice(f"For everyone with the password: {public_address(place)}")
        except LmdmError as error:
            notice(str(error))
