"""What Jam and Delay share: where the sound comes from, and the socket's start and stop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from lmdm_adapter.demo.backing import STYLES, backing_track
from lmdm_adapter.demo.listener import QUIET, Listener, visitor_of
from lmdm_adapter.demo.making import Notice
from lmdm_adapter.demo.messages import value
from lmdm_adapter.demo.sounds import KEY
from lmdm_adapter.demo.uploads import require_sound
from lmdm_adapter.demo.voice import Mode
from lmdm_adapter.errors import LmdmError

MICROPHONE, FILE, BACKING = "Microphone", "Sound file", "Backing track"
SOUND_TYPES = [".wav", ".flac", ".ogg", ".mp3"]
LEAD_SECONDS, CHECK_LEAD_SECONDS = 0.2, 0.03
HINT = (
    "*Check the line* plays your sound back, without a model. *Measure loopback* plays a ping and listens for it: "
    "hold the microphone to the speaker, once, and your sound is put where you played it."
)
START = "(hello, file) => { if (hello) window.lmdm.start({ ...hello, source: file ? file.url : null }); }"
STOP = "() => { window.lmdm.stop(); }"


@dataclass(frozen=True)
class Source:
    """The components that say where the sound comes from."""

    kind: gr.Radio
    style: gr.Dropdown
    file: gr.File

    def path(self, kind: str, style: str, file: str | None) -> Path | None:
        """The sound file that is meant, or None for the microphone. Raises LmdmError for files that will not do."""
        if kind == MICROPHONE:
            return None
        return require_sound(file) if kind == FILE else backing_track(style)


def source_chooser() -> Source:
    """Build the chooser into the page."""
    with gr.Row():
        kind = gr.Radio([MICROPHONE, FILE, BACKING], value=MICROPHONE, label="Your sound", min_width=220,
                        info="Use headphones with a microphone, or it hears the answer too.")  # fmt: skip
        style = gr.Dropdown(STYLES, value=STYLES[0], label="Backing track", min_width=140)
        file = gr.File(label="Sound file", file_types=SOUND_TYPES, height=140, min_width=200)
    return Source(kind, style, file)


def line_buttons(
    listener: Listener, mode: Mode, source: Source, inputs: list[Any], values: Callable[..., dict[str, Any]], *,
    name: str | None = None,
) -> None:  # fmt: skip
    """Start, stop, and a check of the line without a model. `values` makes parameters of what the inputs hold.

    `name` is what the buttons are called in the page, the mode unless it is given.
    """
    name = name or mode
    with gr.Row():
        start = gr.Button("Start", variant="primary", elem_id=f"{name}-start", min_width=120)
        check = gr.Button("Check the line", elem_id=f"{name}-check", min_width=120)
        stop = gr.Button("Stop", elem_id=f"{name}-stop", min_width=120)
        measure = gr.Button("Measure loopback", elem_id=f"{name}-loopback", min_width=120)
    gr.Markdown(HINT)
    hello, file = gr.JSON(visible=False), gr.File(visible=False)
    where = [source.kind, source.style, source.file]
    for button, asked in ((start, mode), (check, "echo")):
        issue = _issue(listener, asked, source, values)

        def wire(follow: Any, issue: Any = issue) -> None:
            issued = follow(issue, [*where, *inputs], [hello, file, listener.player], queue=False, **QUIET)
            issued.then(None, [hello, file], None, js=START, **QUIET)

        listener.news.before(button.click, wire)
    stop.click(None, None, None, js=STOP, **QUIET)
    stop.click(listener.stopped, None, listener.player, queue=False, **QUIET)
    measure.click(None, None, None, js="() => { window.lmdm.calibrate(); }", **QUIET)


def _issue(listener: Listener, mode: Mode, source: Source, values: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    async def issue(
        request: gr.Request, kind: str, style: str, file: str | None, *rest: Any
    ) -> tuple[dict[str, Any] | None, str | None, Any]:
        try:
            told = values(*rest)
            # Reading a file or making a backing track takes seconds, and everybody's music passes through this loop.
            path = await asyncio.to_thread(source.path, kind, style, file)
        except LmdmError as error:
            # The name differs each time, so that the same sentence is shown again.
            return None, None, value(Notice(str(error)), secrets.token_urlsafe(6))
        token = listener.visits.tokens.issue(visitor_of(request))
        if mode == "echo":
            wish = {"mode": mode, "values": {}, "lead_seconds": CHECK_LEAD_SECONDS}
            return {"token": token, **wish}, None if path is None else str(path), gr.skip()
        # The server plays the file to the session itself, so it never goes to the page and back.
        sound = {} if path is None else {KEY: listener.visits.sounds.named(path)}
        wish = {"mode": mode, "values": {**told, **sound}, "lead_seconds": LEAD_SECONDS}
        return {"token": token, **wish}, None, gr.skip()

    return issue
