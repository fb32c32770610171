"""A hum becomes a curve, and sounds are named and never pointed at."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from lmdm_adapter.demo.humming import MOST_SECONDS, curve_of_hum
from lmdm_adapter.demo.session_words import sentences
from lmdm_adapter.demo.sounds import MOST_SOUNDS, Sounds
from lmdm_adapter.demo.wording import POINTS
from lmdm_adapter.errors import LmdmError

RATE = 16_000


def recording(*notes_hz: float, seconds: float = 0.6, rate: int = RATE) -> list[object]:
    """Notes one after the other, as the page sends them; 0 Hz is a breath."""
    time = np.arange(round(seconds * rate)) / rate
    parts = [0.3 * np.sin(2 * np.pi * hz * time) + 0.1 * np.sin(4 * np.pi * hz * time) for hz in notes_hz]
    samples = (32767 * np.concatenate(parts)).astype("<i2")
    return [rate, base64.b64encode(samples.tobytes()).decode()]


def test_a_hum_is_its_notes_and_a_breath_holds_the_last() -> None:
    curve = curve_of_hum(recording(220.0, 0.0, 330.0))
    assert len(curve) == POINTS and all(0.0 <= value <= 1.0 for value in curve)
    a3, e4 = (57 - 36) / 48, (64 - 36) / 48
    assert np.allclose([curve[10], curve[30], curve[54]], [a3, a3, e4], atol=0.011)


@pytest.mark.parametrize(
    ("told", "says"),
    [(None, "cannot be read"), ([RATE], "cannot be read"), ([RATE, "%%"], "cannot be read"), ([RATE, "AAAA"], "read"),
     ([1, "AAA="], "8000 to 192000 Hz"), ([True, ""], "Hz"), ([RATE, ""], "hum needs"),
     (recording(0.0), "No note was heard"), (recording(0.0, seconds=MOST_SECONDS + 1), "at the most")],
)  # fmt: skip
def test_what_is_no_hum(told, says) -> None:
    with pytest.raises(LmdmError, match=says):
        curve_of_hum(told)


def test_a_page_names_sounds_that_it_was_given_and_no_others() -> None:
    sounds = Sounds()
    name = sounds.named(Path("here.wav"))
    assert sounds.resolved({"sound": name, "mix": 1}) == {"sound": "here.wav", "mix": 1}
    assert sounds.resolved({"mix": 1}) == {"mix": 1}
    for other in ("/etc/passwd", "here.wav", None, ["a"], 3):
        with pytest.raises(LmdmError, match="not here any more"):
            sounds.resolved({"sound": other})
    for _ in range(MOST_SOUNDS):
        sounds.named(Path("other.wav"))
    with pytest.raises(LmdmError, match="not here any more"):
        sounds.resolved({"sound": name})


def test_what_happened_is_said_once_in_words() -> None:
    late = {"kind": "governor", "what": "steps", "before": 8, "after": 6, "why": ""}
    longer = {"kind": "governor", "what": "lead_seconds", "before": 1.0, "after": 1.5, "why": ""}
    gap = {"kind": "input", "what": "gap", "samples": 3}
    assert sentences([late]) == "The music comes late: 6 denoise steps a block instead of 8."
    assert sentences([longer]) == "The music comes late: it is made 1.50 s ahead from now on."
    assert "in time again" in sentences([{**late, "before": 6, "after": 8}])
    assert sentences([gap, gap, {"kind": "block"}]).count("got lost") == 1
    assert sentences([{"kind": "refused", "what": "tempo_bpm", "why": "No."}]) == "No."
    assert sentences([{"kind": "block"}, {"kind": "wait"}]) is None
