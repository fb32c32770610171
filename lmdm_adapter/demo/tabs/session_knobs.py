"""What every session has: steps, how far ahead it is made, and the seed it begins with."""

from __future__ import annotations

from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.listener import Listener
from lmdm_adapter.demo.session_settings import OWN

MOST_SHOWN_STEPS = 50


def session_knobs(listener: Listener, facts: Facts) -> dict[str, Any]:
    """Build the knobs into the page; the components by the names of what they turn. Steps are the model's own."""
    ahead, seed = OWN["ahead_seconds"], OWN["seed"]
    with gr.Accordion("More", open=False), gr.Row():
        steps = gr.Slider(1, MOST_SHOWN_STEPS, facts.sampling.steps, step=1, label="Steps", min_width=180,
                          info="Fewer are faster and rougher.")  # fmt: skip
        lead = gr.Slider(ahead.low, ahead.high, ahead.default, step=0.05, label="Lead in seconds", min_width=180,
                         info="Time to make a block in: more is safer, and answers later.")  # fmt: skip
        number = gr.Number(seed.default, label="Seed", precision=0, minimum=0, min_width=120, info=seed.help)
    listener.news.about(steps, lambda facts: facts.sampling.steps)
    return {"steps": steps, "ahead_seconds": lead, "seed": number}
