"""Sketch: curves drawn over the coming bars, which the music follows."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lmdm_adapter.demo.assets import asset
from lmdm_adapter.demo.listener import Listener
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.demo.wording import CURVES, POINTS, checked_curves

FLAT: dict[str, list[float]] = {name: [] for name in CURVES}


def sketch_tab(listener: Listener) -> None:
    """Build the tab into the page that is being made."""
    gr.Markdown("Draw how loud, how bright and how high the music shall be over the coming bars; it repeats. A curve "
                "that was not drawn is free.")  # fmt: skip
    curves = gr.HTML(FLAT, html_template=asset("sketch.html"), css_template=asset("sketch.css"),
                     js_on_load=f"const POINTS = {POINTS};\n" + asset("sketch.js"), elem_id="sketch")  # fmt: skip
    with gr.Row():
        prompt = gr.Textbox("124 BPM house in A minor", label="Prompt", min_width=200, scale=2)
        bars = gr.Slider(1, 16, 4, step=1, label="Bars", min_width=200, info="How many the curves span.")
        tempo = gr.Number(124, label="Tempo in BPM", minimum=20, maximum=400, min_width=110)
        tightness = gr.Slider(0, 1, 0.7, step=0.01, label="Tightness", min_width=200, info="0 is free, 1 exact.")
    with gr.Row():
        start = gr.Button("Play", variant="primary", elem_id="sketch-start")
        stop = gr.Button("Stop", elem_id="sketch-stop")

    def wish(drawn: Any, prompt: str, bars: float, tempo: float | None, tightness: float) -> Wish:
        told = {"prompt": prompt, "sketch": checked_curves(drawn, bars=bars, tempo_bpm=tempo), "tightness": tightness}
        return Wish("sketch", told)

    listener.play(start.click, stop.click, [curves, prompt, bars, tempo, tightness], wish)
    for event in (curves.change, bars.change, tempo.change):
        listener.on(event, "sketch", [curves, bars, tempo], lambda drawn, bars, tempo: checked_curves(
            drawn, bars=bars, tempo_bpm=tempo))  # fmt: skip
    listener.on(prompt.change, "prompt", [prompt], lambda value: value)
    listener.on(tightness.change, "tightness", [tightness], lambda value: value)
