"""Jam: you play, and the model plays along."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.listener import Listener
from lmdm_adapter.demo.tabs.live_input import line_buttons, source_chooser
from lmdm_adapter.demo.tabs.session_knobs import session_knobs


def jam_tab(listener: Listener, facts: Facts) -> None:
    """Build the tab into the page that is being made."""
    gr.Markdown("Play something; the model joins in.")
    source = source_chooser()
    with gr.Row():
        prompt = gr.Textbox("jazz, upright bass, piano", label="Prompt", min_width=200, scale=2)
        listening = gr.Slider(0, 4, 1, step=0.05, label="Listening", min_width=200,
                              info="How much it follows you; 0 is deaf.")  # fmt: skip
        blend = gr.Slider(0, 1, 0.7, step=0.01, label="Mix", min_width=200, info="0 is you alone, 1 the model alone.")
        freeze = gr.Checkbox(False, label="Freeze", info="Keep what was heard last.", min_width=120)
    with gr.Row():
        visibility = gr.Slider(-4, 4, 0, step=0.1, label="Future visibility in seconds", min_width=220,
                               info="How much of your sound is known when a block begins. A file is known ahead; of "
                                    "what you play live, only what is past.")  # fmt: skip
    knobs = {"prompt": prompt, "accompaniment_gain": listening, "mix": blend, "freeze": freeze,
             "visibility_seconds": visibility, **session_knobs(listener, facts)}  # fmt: skip

    def values(*told: Any) -> dict[str, Any]:
        return dict(zip(knobs, told, strict=True))

    line_buttons(listener, "jam", source, list(knobs.values()), values)
    for name, component in knobs.items():
        listener.on(component.change, name, [component], lambda value: value)
