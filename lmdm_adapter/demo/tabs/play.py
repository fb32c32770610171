"""Play: prompts that can be changed while the music goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.assets import asset
from lmdm_adapter.demo.listener import Listener
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.demo.wording import blocks_back, corner_weights, prompt_of

PROMPTS = ("house, four-on-the-floor drums, sub bass", "jazz, upright bass, piano", "punk drums, power guitar",
           "ambient, warm pad, airy bell")  # fmt: skip
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
KEYS = ("any", *(f"{tonic} {mode}" for mode in ("minor", "major") for tonic in TONICS))


@dataclass(frozen=True)
class PlayKnobs:
    """The components of the tab that say what is played, in the order in which handlers get their values."""

    texts: list[gr.Textbox]
    weights: list[gr.Slider]
    tempo: gr.Number
    key: gr.Dropdown
    negative: gr.Textbox
    policy: gr.Radio
    steps: gr.Slider
    guidance: gr.Slider
    seed: gr.Number
    lead: gr.Slider

    @property
    def words(self) -> list[Any]:
        """What the prompt is made of."""
        return [*self.texts, *self.weights, self.tempo, self.key]

    @property
    def rest(self) -> list[Any]:
        """Everything else."""
        return [self.negative, self.policy, self.steps, self.guidance, self.seed, self.lead]


def play_tab(listener: Listener, facts: Facts) -> None:
    """Build the tab into the page that is being made."""
    with gr.Row():
        start = gr.Button("Play", variant="primary", elem_id="play-start")
        stop = gr.Button("Stop", elem_id="play-stop")
    with gr.Row():
        with gr.Column(min_width=280, scale=2):
            texts, weights = _prompt_boxes()
        with gr.Column(min_width=220):
            pad = _pad()
    knobs = _knobs(texts, weights, facts)
    freeze = _moments(listener, knobs)
    listener.news.about(knobs.steps, lambda facts: facts.sampling.steps)
    listener.news.about(knobs.guidance, lambda facts: facts.sampling.guidance)
    _wire(listener, knobs, freeze, start, stop)
    pad.change(corner_weights, pad, weights, queue=False, show_progress="hidden")


def _prompt_boxes() -> tuple[list[gr.Textbox], list[gr.Slider]]:
    texts, weights = [], []
    for index, text in enumerate(PROMPTS):
        with gr.Row(equal_height=True):
            texts.append(gr.Textbox(text, label=f"Prompt {index + 1}", scale=3, min_width=200, lines=1,
                                    elem_id=f"prompt-{index + 1}"))  # fmt: skip
            weights.append(gr.Slider(0, 1, float(index == 0), step=0.01, label="Weight", min_width=170))
    return texts, weights


def _pad() -> gr.HTML:
    return gr.HTML(
        {"x": 0.0, "y": 0.0}, html_template=asset("pad.html"), css_template=asset("pad.css"),
        js_on_load=asset("pad.js"), elem_id="pad",
    )  # fmt: skip


def _knobs(texts: list[gr.Textbox], weights: list[gr.Slider], facts: Facts) -> PlayKnobs:
    with gr.Row():
        tempo = gr.Number(124, label="Tempo in BPM", info="Said in every prompt; empty says nothing.", min_width=140)
        key = gr.Dropdown(KEYS, value="A minor", label="Key", info="Said in every prompt.", min_width=140)
        policy = gr.Radio(["keep", "recache"], value="keep", label="On a new prompt", min_width=200,
                          info="keep: grow out of what was played. recache: turn sharper.")  # fmt: skip
    with gr.Accordion("More", open=False):
        with gr.Row():
            steps = gr.Slider(1, 50, facts.sampling.steps, step=1, label="Steps", min_width=160,
                              info="Denoise steps a block: more is finer and slower.")  # fmt: skip
            guidance = gr.Slider(0, 10, facts.sampling.guidance, step=0.1, label="Guidance", min_width=160,
                                 info="How hard to follow the prompt; 1 is plain, and twice as fast.")  # fmt: skip
            lead = gr.Slider(0.1, 4, facts.lead_seconds, step=0.1, label="Lead in seconds", min_width=160,
                             info="How far ahead to make music: more is safer, and answers later.")  # fmt: skip
        with gr.Row():
            negative = gr.Textbox("", label="Negative prompt", info="What guidance leads away from.", min_width=160)
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=120,
                             info="Same seed, same settings: same music.")  # fmt: skip
    return PlayKnobs(texts, weights, tempo, key, negative, policy, steps, guidance, seed, lead)


def _moments(listener: Listener, knobs: PlayKnobs) -> gr.Checkbox:
    """Buttons for moments of the music; the box that stays at one."""
    with gr.Row():
        count = gr.Number(4, label="Go back", precision=0, minimum=1, min_width=90)
        unit = gr.Radio(["blocks", "bars"], value="blocks", label="by", min_width=140)
        back = gr.Button("Rewind", min_width=90)
        freeze = gr.Checkbox(False, label="Freeze", info="Stay at this moment of the music.", min_width=140)
    with gr.Row():
        for moment in ("A", "B"):
            keep = gr.Button(f"Keep as {moment}", min_width=110)
            recall = gr.Button(f"Go to {moment}", min_width=110)
            listener.on(keep.click, "keep", [], lambda moment=moment: moment)
            listener.on(recall.click, "recall", [], lambda moment=moment: moment)
    listener.on(back.click, "rewind_blocks", [count, unit, knobs.tempo], blocks_back, in_blocks=True)
    listener.on(freeze.change, "freeze", [freeze], bool)
    return freeze


def _wire(listener: Listener, knobs: PlayKnobs, freeze: gr.Checkbox, start: gr.Button, stop: gr.Button) -> None:
    def wish(*values: Any) -> Wish:
        count = len(knobs.words)
        negative, policy, steps, guidance, seed, lead, frozen = values[count:]
        return Wish("play", {
            "prompt": prompt_of(*values[:count]), "negative_prompt": negative, "policy": policy, "steps": steps,
            "guidance": guidance, "seed": seed or 0, "freeze": bool(frozen),
        }, lead_seconds=lead)  # fmt: skip

    listener.play(start.click, stop.click, [*knobs.words, *knobs.rest, freeze], wish)
    for component in knobs.words:
        listener.on(component.change, "prompt", knobs.words, prompt_of)
    for name, component in (("negative_prompt", knobs.negative), ("policy", knobs.policy), ("steps", knobs.steps),
                            ("guidance", knobs.guidance), ("lead_seconds", knobs.lead)):  # fmt: skip
        listener.on(component.change, name, [component], lambda value: value)
    listener.on(knobs.seed.change, "seed", [knobs.seed], lambda value: int(value or 0))
