"""What is done while nobody else's music may be made: the model's own work, and nothing that takes its time."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("gradio")
from lmdm_adapter.demo import session_wish
from lmdm_adapter.demo.voice import Wish
from tests.mode_models import listening_live


@pytest.mark.parametrize("mode", ["sketch", "delay"])
def test_the_ears_are_made_while_others_play(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    computing, made, held = threading.Lock(), session_wish.MODES[mode], []
    monkeypatch.setitem(session_wish.MODES, mode, lambda stage: (held.append(computing.locked()), made(stage))[1])
    values = {"beats": 8, "bpm": 100.0} if mode == "delay" else {}
    wish = Wish(mode, values, lead_seconds=0.1, source=(8000, 1))
    session_wish.session_voice(listening_live(steps=1), wish, name="toy", computing=computing).close()
    assert held == [False] and not computing.locked()
