"""Above every tab: the switch that records what plays, and the files to download."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from lmdm_adapter.demo.downloads import address_of
from lmdm_adapter.demo.listener import QUIET, visitor_of
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.records import Shelf
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.errors import LmdmError

LOOK_SECONDS = 1.0
INFO = (
    "What plays, in any tab: the sound, what is heard of a file or your microphone, and a log of all that was turned "
    "and told since it began."
)
NOTHING = "Recording begins with the music."
NO_REPLAY = "lmdm replay cannot make it again"


def record_bar(visits: Visits) -> None:
    """Build it into the page that is being made. The list is looked at every second while the switch is on."""
    with gr.Row():
        switch = gr.Checkbox(False, label="Record", info=INFO, elem_id="record", min_width=200)
        shown = gr.HTML("", elem_id="recordings", min_width=200)
        clear = gr.Button("Delete recordings", elem_id="recordings-clear", min_width=160, scale=0, size="sm")
    look = gr.Timer(LOOK_SECONDS, active=False)
    parts, quiet = [switch, shown, look], {**QUIET, "queue": False}

    async def turned(request: gr.Request, on: bool) -> Any:
        try:
            shelf = visits.records.shelf(visitor_of(request))
        except LmdmError as error:
            return gr.Checkbox(value=False), _paragraph(str(error)), gr.Timer(active=False)
        shelf.switch(bool(on))
        return _state(shelf)

    async def looked(request: gr.Request) -> Any:
        return _state(visits.records.shelf(visitor_of(request)))

    async def cleared(request: gr.Request) -> Any:
        shelf = visits.records.shelf(visitor_of(request))
        shelf.clear()
        return _state(shelf)

    switch.input(turned, switch, parts, **quiet)
    look.tick(looked, None, parts, **quiet)
    clear.click(cleared, None, parts, **quiet)


def _state(shelf: Shelf) -> tuple[Any, str, Any]:
    switch = gr.skip() if shelf.wanted else gr.Checkbox(value=False)
    return switch, listed(shelf), gr.Timer(active=shelf.wanted)


def listed(shelf: Shelf) -> str:
    """The shelf as a piece of HTML: a line for each recording, with links where it is finished."""
    recordings = shelf.recordings
    lines = [f"<li>{_finished(shelf, r) if not r.open else _growing(r)}</li>" for r in recordings]
    waits = shelf.wanted and not any(r.open for r in recordings)
    said = _paragraph(shelf.notice or (NOTHING if waits else ""))
    return said + (f"<ul>{''.join(lines)}</ul>" if lines else "")


def _finished(shelf: Shelf, recording: Recording) -> str:
    links = [
        f'<a href="{escape(address_of(shelf.key, path.name))}" download="{escape(path.name)}">{word}</a>'
        for path, word in zip(recording.paths, ("sound", "events", "input"), strict=False)
    ]
    said = "" if recording.replays else f" ({NO_REPLAY})"
    return f"{escape(recording.name)}, {_time(recording.seconds)}: {', '.join(links)}{said}"


def _growing(recording: Recording) -> str:
    return f"{escape(recording.name)}: {_time(recording.seconds)}, recording"


def _time(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _paragraph(text: str) -> str:
    return f'<p role="status">{escape(text)}</p>' if text else ""
