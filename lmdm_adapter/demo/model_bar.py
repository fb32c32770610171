"""Below the tabs: which model plays, and, where that is allowed, another one in its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import DemoPlan
from lmdm_adapter.demo.chooser import Chooser
from lmdm_adapter.demo.listener import QUIET, Listener, visitor_of
from lmdm_adapter.demo.model_choice import DTYPES, ModelChoice, devices
from lmdm_adapter.demo.origins import same_origin
from lmdm_adapter.errors import LmdmError

LOOK_SECONDS = 0.25
NAME_INFO = "A folder of this machine, a hub id (owner/name), `tiny-controls` or `tiny`."
FILES_LABEL = "Or model_config.json, model.safetensors, adapter.safetensors"
HINT = "It is loaded beside the music. Whoever plays goes on with the old model until Play or Start is pressed again."
CLOSED = "Who runs this server lets nobody else choose the model (`--allow-models`)."


@dataclass(frozen=True)
class ModelDesk:
    """Where models are chosen, and whether this page may."""

    chooser: Chooser
    plan: DemoPlan


def model_bar(listener: Listener, desk: ModelDesk) -> None:
    """Build it into the page that is being made. Where choosing is not allowed there is nothing that could be sent."""
    facts = desk.chooser.facts
    with gr.Accordion("Model", open=False, elem_id="model"):
        if not desk.plan.may_choose_models:
            gr.Markdown(f"{facts.sentence} {CLOSED}")
            return
        gr.Markdown(HINT)
        with gr.Row():
            name = gr.Textbox(facts.name, label="Model", info=NAME_INFO, min_width=200, scale=2, elem_id="model-name")
            device = gr.Dropdown(list(devices()), value=facts.device, label="Device", min_width=110)
            dtype = gr.Dropdown(list(DTYPES), value=facts.dtype, label="Precision", min_width=120,
                                info="Half needs half the memory; on a CPU it is slower.")  # fmt: skip
        files = gr.File(label=FILES_LABEL, file_count="multiple", height=140, elem_id="model-files")
        load = gr.Button("Load", elem_id="model-load", min_width=120)
        said = gr.HTML(_paragraph(facts.sentence), elem_id="model-said")
    loading = load.click(_load(desk), [name, device, dtype, files], said, concurrency_limit=None, **QUIET)
    news, visits = listener.news, listener.visits
    for component, read in ((device, lambda facts: facts.device), (dtype, lambda facts: facts.dtype),
                            (said, lambda facts: _paragraph(facts.sentence))):  # fmt: skip
        news.about(component, read)
    news.now(loading.then, unless=lambda request: visits.block_seconds(visitor_of(request)) is not None)


def _load(desk: ModelDesk) -> Any:
    async def load(
        request: gr.Request, name: str | None, device: str, dtype: str, files: list[str] | None
    ) -> AsyncIterator[str]:
        chooser = desk.chooser
        try:
            _require_own_page(request, desk.plan)
            chooser.choose(ModelChoice(name or "", device, dtype, tuple(map(Path, files or ()))))
        except LmdmError as error:
            yield _paragraph(str(error))
            return
        told = None
        while (now := chooser.progress) != told or now.busy:
            if now != told:
                yield _paragraph(now.sentence)
            told = now
            await asyncio.sleep(LOOK_SECONDS)

    return load


def _require_own_page(request: gr.Request, plan: DemoPlan) -> None:
    """A foreign page in the same browser must not choose for its visitor. Raises LmdmError for one."""
    headers = request.headers
    if not same_origin(headers.get("origin"), headers.get("host"), allowed=plan.allowed_origins):
        raise LmdmError("Models are chosen on the server's own page.")


def _paragraph(text: str) -> str:
    return f'<p role="status">{escape(text)}</p>'
