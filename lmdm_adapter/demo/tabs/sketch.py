"""Sketch: curves drawn over the coming bars, which the music follows."""

from __future__ import annotations

import asyncio
from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.assets import asset
from lmdm_adapter.demo.humming import curve_of_hum
from lmdm_adapter.demo.listener import Listener
from lmdm_adapter.demo.tabs.live_input import line_buttons, source_chooser
from lmdm_adapter.demo.tabs.session_knobs import session_knobs
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.demo.wording import BEATS_PER_BAR, CURVES, POINTS, checked_curves
from lmdm_adapter.errors import LmdmError

_COUNTS = f"const POINTS = {POINTS}, BEATS_PER_BAR = {BEATS_PER_BAR};\n"
FLAT: dict[str, list[float]] = {name: [] for name in CURVES}


def sketch_tab(listener: Listener, facts: Facts) -> None:
    """Build the tab into the page that is being made."""
    gr.Markdown("Draw how loud, how bright and how high the music shall be over the coming bars; it repeats. A curve "
                "that was not drawn is free.")  # fmt: skip
    curves = gr.HTML(FLAT, html_template=asset("sketch.html"), css_template=asset("sketch.css"),
                     js_on_load=_COUNTS + asset("sketch.js"), server_functions=[hum],
                     elem_id="sketch")  # fmt: skip
    with gr.Row():
        prompt = gr.Textbox("124 BPM house in A minor", label="Prompt", min_width=200, scale=2)
        bars = gr.Slider(1, 16, 4, step=1, label="Bars", min_width=200, info="How many the curves span.",
                         elem_id="sketch-bars")  # fmt: skip
        tempo = gr.Number(124, label="Tempo in BPM", minimum=20, maximum=400, min_width=110, elem_id="sketch-tempo")
        tightness = gr.Slider(0, 1, 0.7, step=0.01, label="Tightness", min_width=200, info="0 is free, 1 exact.")
    with gr.Row():
        start = gr.Button("Play", variant="primary", elem_id="sketch-start")
        stop = gr.Button("Stop", elem_id="sketch-stop")
    knobs = {"prompt": prompt, "tightness": tightness, **session_knobs(listener, facts)}

    def wish(drawn: Any, bars: float, tempo: float | None, *told: Any) -> Wish:
        sketch = checked_curves(drawn, bars=bars, tempo_bpm=tempo)
        values = {"sketch": sketch, **dict(zip(knobs, told, strict=True))}
        return Wish("sketch", values, lead_seconds=facts.lead_seconds)

    listener.play(start.click, stop.click, [curves, bars, tempo, *knobs.values()], wish)
    for event in (curves.change, bars.change, tempo.change):
        listener.on(event, "sketch", [curves, bars, tempo], lambda drawn, bars, tempo: checked_curves(
            drawn, bars=bars, tempo_bpm=tempo))  # fmt: skip
    for name, component in knobs.items():
        listener.on(component.change, name, [component], lambda value: value)
    with gr.Accordion("Follow your sound instead", open=False):
        gr.Markdown("The music goes as your sound goes: as loud, as bright, the same notes.")
        source = source_chooser()
        line_buttons(listener, "sketch", source, list(knobs.values()),
                     lambda *told: dict(zip(knobs, told, strict=True)), name="follow")  # fmt: skip


async def hum(told: Any) -> dict[str, Any]:
    """What the microphone heard as a curve of the melody, or why there is none; for the page's own code."""
    try:
        return {"curve": await asyncio.to_thread(curve_of_hum, told)}
    except LmdmError as error:
        return {"why": str(error)}
