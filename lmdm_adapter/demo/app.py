"""The application: the page, the socket beside it, and what guards both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import gradio as gr
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lmdm_adapter.demo.app_plan import DemoPlan, Facts
from lmdm_adapter.demo.chooser import Chooser
from lmdm_adapter.demo.downloads import add_downloads
from lmdm_adapter.demo.model_bar import ModelDesk
from lmdm_adapter.demo.origins import hosts_of
from lmdm_adapter.demo.page import CSS, page, theme
from lmdm_adapter.demo.socket import add_socket
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import MakeVoice

MOST_SOUND_BYTES, MOST_MODEL_BYTES = 64 * 2**20, 4 * 2**30
END_SECONDS = 5.0


def build(
    make_voice: MakeVoice, plan: DemoPlan, *, facts: Facts | None = None, chooser: Chooser | None = None
) -> FastAPI:
    """The application for `plan`; its `state.visits` are those who listen.

    With a `chooser` whose `voice` is `make_voice`, the page can load other models, where the plan allows it.
    """
    visits = Visits(make_voice, most_sessions=plan.max_sessions)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        visits.leave_all()
        await visits.closed(seconds=END_SECONDS)
        visits.records.discard_all()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.visits = visits
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["*"] if plan.share else hosts_of(plan.host))
    add_downloads(app, visits.records)
    add_socket(app, visits, allowed_origins=plan.allowed_origins)
    desk = ModelDesk(chooser, plan) if chooser is not None else None
    fixed = facts or Facts()
    made = page(visits, lambda: fixed if chooser is None else chooser.facts, desk=desk)
    # Gradio only then refuses the names of files that were not uploaded.
    made.has_launched = True
    return gr.mount_gradio_app(
        app, made, "/", auth=plan.auth, max_file_size=_most_upload_bytes(desk), run_history=False,
        footer_links=[], theme=theme(), css=CSS, show_error=True, ssr_mode=False, enable_monitoring=False,
    )  # fmt: skip


def _most_upload_bytes(desk: ModelDesk | None) -> int:
    return MOST_MODEL_BYTES if desk is not None and desk.plan.may_choose_models else MOST_SOUND_BYTES
