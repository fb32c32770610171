"""Play's Freeze counts also when it is on before the music begins: then the music stays at its beginning."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gradio")
import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.live_voice import LiveVoice
from lmdm_adapter.demo.tabs.play import play_tab
from tests.models import tiny_live


def played(voice, blocks=3):
    return np.concatenate([voice.next_chunk().samples for _ in range(blocks)]).tobytes()


def test_music_that_begins_frozen_is_music_frozen_at_its_beginning():
    live = tiny_live()
    begun, turned, plain = (LiveVoice(live, values={"steps": 2, "freeze": frozen}) for frozen in (True, False, False))
    turned.set("freeze", True)
    frozen = played(begun)
    assert frozen == played(turned) != played(plain)
    begun.set("freeze", False), turned.set("freeze", False)
    assert played(begun) == played(turned)


@pytest.mark.parametrize("frozen", [True, False])
def test_play_begins_as_its_box_says(frozen):
    told = []
    listener = SimpleNamespace(
        play=lambda start, stop, inputs, wish: told.extend((inputs, wish)), on=lambda *event, **how: None,
        news=SimpleNamespace(about=lambda *what: None),
    )  # fmt: skip
    with gr.Blocks():
        play_tab(listener, Facts())
    inputs, wish = told
    (box,) = [index for index, component in enumerate(inputs) if component.label == "Freeze"]
    values = [component.value for component in inputs]
    assert wish(*values[:box], frozen, *values[box + 1 :]).values["freeze"] is frozen
