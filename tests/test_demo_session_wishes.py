"""What a session behind the page may be asked for; anything else is refused in a sentence."""

from __future__ import annotations

import pytest

from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.demo_session import DRAWING, voice_of
from tests.mode_models import FRAME, RATE
from tests.models import tiny_live


def test_a_live_sound_shows_no_more_than_it_has() -> None:
    voice = voice_of("jam", {"visibility_seconds": 0.5}, source=(RATE, 1))
    assert "At most -0." in voice._notice and voice.engine.mode.timing.visibility_frames < 0
    asked = voice_of("jam", {"visibility_seconds": -1.0}, source=(RATE, 1))
    assert asked._notice is None and asked.engine.mode.timing.visibility_frames == -RATE // FRAME


@pytest.mark.parametrize(
    ("mode", "values", "source", "says"),
    [("delay", {"beats": 0.5, "bpm": 120}, (RATE, 1), r"is too short .*shortest that works is .*beats at 120 BPM"),
     ("delay", {"beats": 4, "bpm": 7}, (RATE, 1), "from 20 to 400 BPM"),
     ("jam", {}, None, "needs a sound to hear"), ("sketch", {"sketch": "loud"}, None, "cannot be read"),
     ("sketch", {"sketch": {**DRAWING, "seconds": 0.0}}, None, "span more than 0"),
     ("sketch", {"sketch": {**DRAWING, "seconds": "x"}}, None, "cannot be read"),
     ("jam", {"seed": -1}, (RATE, 1), "seed must be"), ("jam", {"steps": 10**6}, (RATE, 1), "steps must be"),
     ("jam", {"mix": 2}, (RATE, 1), "from 0 to 1"), ("jam", {"ahead_seconds": 60}, (RATE, 1), "from 0.05 to 4 s"),
     ("jam", {"volume": 1}, (RATE, 1), "no parameter 'volume'"), ("jam", {}, (1, 1), "cannot be resampled"),
     ("jam", {"sound": "nowhere.wav"}, None, "no sound file")],
)  # fmt: skip
def test_wishes_that_cannot_be_are_refused_in_a_sentence(mode, values, source, says) -> None:
    with pytest.raises(LmdmError, match=says):
        voice_of(mode, values, source)


@pytest.mark.parametrize("mode", ["sketch", "jam", "delay"])
def test_a_model_without_the_controls_says_which_command_makes_one(mode: str) -> None:
    cure = "take the bundled tiny-controls, or `lmdm train finetune --controls"
    with pytest.raises(LmdmError, match=f"The mode {mode} needs .*which plain lacks; {cure}"):
        Band(tiny_live(), name="plain").voice(Wish(mode, {"sketch": DRAWING}))
