"""Generative delay: echoes of what you play that the model plays anew."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.listener import Listener
from lmdm_adapter.demo.tabs.live_input import line_buttons, source_chooser
from lmdm_adapter.demo.tabs.session_knobs import session_knobs
from lmdm_adapter.demo.wording import delay_seconds


def delay_tab(listener: Listener, facts: Facts) -> None:
    """Build the tab into the page that is being made."""
    gr.Markdown("Play something; it comes back later, played by the model. A delay that is too short for the model is "
                "answered with the shortest that works.")  # fmt: skip
    source = source_chooser()
    with gr.Row():
        tempo = gr.Number(100, label="Tempo in BPM", minimum=20, maximum=400, min_width=110)
        beats = gr.Slider(0.25, 16, 4, step=0.25, label="Delay in beats", min_width=150)
        feedback = gr.Slider(
            0, 0.98, 0.4, step=0.01, label="Feedback", min_width=200, info="How much comes back again."
        )
    with gr.Row():
        prompt = gr.Textbox("", label="Prompt", min_width=200, scale=2, info="Empty: whatever it hears.")
        tightness = gr.Slider(0, 1, 0.7, step=0.01, label="Tightness", min_width=200, info="0 is free, 1 exact.")
        blend = gr.Slider(0, 1, 0.5, step=0.01, label="Mix", min_width=200, info="0 is you alone, 1 the echo alone.")
        freeze = gr.Checkbox(False, label="Freeze", info="Repeat what is in the delay.", min_width=120)
    knobs = {"prompt": prompt, "feedback": feedback, "tightness": tightness, "mix": blend, "freeze": freeze,
             **session_knobs(listener, facts)}  # fmt: skip

    def values(tempo_bpm: float | None, beat_count: float, *told: Any) -> dict[str, Any]:
        delay_seconds(beat_count, tempo_bpm)
        return {"beats": beat_count, "bpm": tempo_bpm, **dict(zip(knobs, told, strict=True))}

    line_buttons(listener, "delay", source, [tempo, beats, *knobs.values()], values)
    for name, component in {"beats": beats, "bpm": tempo}.items():
        listener.on(component.change, name, [component], lambda value: value)
    for name, component in knobs.items():
        listener.on(component.change, name, [component], lambda value: value)
