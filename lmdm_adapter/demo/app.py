"""The application: the page, the socket beside it, and what guards both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import gradio as gr
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lmdm_adapter.demo.origins import hosts_of
from lmdm_adapter.demo.page import CSS, Facts, page, theme
from lmdm_adapter.demo.socket import add_socket
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import MakeVoice
from lmdm_adapter.errors import LmdmError

MOST_UPLOAD_BYTES = 64 * 2**20
END_SECONDS = 5.0


@dataclass(frozen=True)
class DemoPlan:
    """How the demo is served: where, to how many at a time, and to whom (`auth`: user and password, or everyone).

    Raises LmdmError for a port or number of sessions that cannot be, and for sharing without a password.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    max_sessions: int = 2
    auth: tuple[str, str] | None = None
    share: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise LmdmError(f"A port is a number from 0 to 65535, got {self.port}.")
        if self.max_sessions < 1:
            raise LmdmError(f"At least one session is needed, got --max-sessions {self.max_sessions}.")
        if self.auth is not None and not all(self.auth):
            raise LmdmError("--auth needs a user and a password: --auth USER:PASSWORD.")
        if self.share and self.auth is None:
            raise LmdmError("--share puts the page on the internet, so it needs --auth USER:PASSWORD.")


def build(make_voice: MakeVoice, plan: DemoPlan, *, facts: Facts | None = None) -> FastAPI:
    """The application for `plan`; its `state.visits` are those who listen."""
    visits = Visits(make_voice, most_sessions=plan.max_sessions)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        visits.leave_all()
        await visits.closed(seconds=END_SECONDS)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.visits = visits
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["*"] if plan.share else hosts_of(plan.host))
    add_socket(app, visits)
    return gr.mount_gradio_app(
        app, page(visits, facts or Facts()), "/", auth=plan.auth, max_file_size=MOST_UPLOAD_BYTES, run_history=False,
        footer_links=[], theme=theme(), css=CSS, show_error=True, ssr_mode=False, enable_monitoring=False,
    )  # fmt: skip
