"""Wherever a jam is made, models that declare harmony hear it, and no others; what that needs is said early."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.cli import live_session, session_rendering
from lmdm_adapter.cli.jam import jam_mode_of
from lmdm_adapter.cli.session_rendering import SessionRequest, Stage
from lmdm_adapter.controls.declared import HARMONY, HEARD
from lmdm_adapter.controls.harmony import HarmonyConfig, harmony_start
from lmdm_adapter.demo import session_wish
from lmdm_adapter.demo.session_settings import OWN
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.jam_material import JamPlan, jam_material
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import FrameControls
from lmdm_adapter.session.mode_choice import mode_named
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.needs import require_needs, unmet_need
from lmdm_adapter.session.restored import restored_mode
from lmdm_adapter.session.session_log import SessionLog
from tests.mode_models import FRAME, PLAN, RATE, listening_live
from tests.test_session_jam import FACTS, sound

MODELS = {harmony: listening_live(steps=1, harmony=harmony) for harmony in (True, False)}
SOUND = sound(60 * FRAME)
CURE = r"^Hearing harmony needs librosa; install it: pip install 'lmdm-adapter\[sketch\]'\.$"


def command_live(live: LiveModel) -> Mode:
    return jam_mode_of(Stage(live, FACTS, PLAN, Audio(SOUND.T, RATE)), None, lambda line: None)


def command_ahead(live: LiveModel) -> Mode:
    return jam_mode_of(Stage(live, FACTS, PLAN, Audio(SOUND.T, RATE)), 0.1, lambda line: None)


def devices(live: LiveModel) -> Mode:
    return mode_named("jam", live, FACTS, PLAN)


def replay(live: LiveModel) -> Mode:
    return restored_mode(live, SessionLog({"mode": "jam", "mode_settings": devices(live).settings()}, ()), {})


def page_live(live: LiveModel) -> Mode:
    own = {name: one.default for name, one in OWN.items()}
    return session_wish.MODES["jam"](session_wish.Stage(live, FACTS, PLAN, own, late_seconds=0.01))[0]


def page_ahead(live: LiveModel) -> Mode:
    own = {name: one.default for name, one in OWN.items()} | {"visibility_seconds": 0.1}
    return session_wish.MODES["jam"](session_wish.Stage(live, FACTS, PLAN, own, sound=LoopedSound(SOUND)))[0]


def told_of(mode: Mode) -> FrameControls:
    """What a block is told after some were played."""
    told: FrameControls | None = None
    for first in range(0, 54, 6):
        mode.hear(SOUND[first * FRAME : (first + 6) * FRAME])
        told = mode.frame_controls(first + 6, 6)
    assert told is not None and told[HEARD[0]].any(), "something was heard"
    return told


@pytest.mark.parametrize("made", [command_live, command_ahead, devices, replay, page_live, page_ahead])
def test_a_jam_hears_the_harmony_that_its_model_declares(made: Callable[[LiveModel], Mode]) -> None:
    assert told_of(made(MODELS[True]))[HARMONY].any()
    deaf = told_of(made(MODELS[False])).get(HARMONY)
    assert deaf is None or not deaf.size


def test_the_material_of_an_evaluation_has_the_harmony_that_its_model_declares() -> None:
    plan = JamPlan(songs=2, seconds=10.0, visibility_seconds=(0.0,), warm_up_seconds=0.0)
    for harmony, live in MODELS.items():
        heard = jam_material(live, plan, lambda *_: None).heard[0]
        assert bool(heard.harmony.any()) == harmony and np.isfinite(heard.harmony.numpy()).all()


def test_what_hearing_harmony_needs_is_said_of_jams_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(LmdmError, match=CURE):
        require_needs(MODELS[True].section, "jam")
    with pytest.raises(LmdmError, match=CURE):
        harmony_start(HarmonyConfig(FRAME, RATE))
    assert unmet_need(MODELS[False].section, "jam") is None and unmet_need(MODELS[True].section, "stream") is None


def test_nothing_is_imported_to_find_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "librosa", raising=False)
    assert unmet_need(MODELS[True].section, "jam") is None and "librosa" not in sys.modules


def test_commands_say_it_before_anything_is_heard_or_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*arguments: object, **settings: object) -> None:
        raise AssertionError("It was not said in time.")

    monkeypatch.setitem(sys.modules, "librosa", None)
    monkeypatch.setattr(live_session, "sound_library", lambda: None)
    monkeypatch.setattr(live_session, "chosen_ports", lambda request, library: (None, None))
    for module, late in ((session_rendering, "heard_sound"), (live_session, "_opened")):
        monkeypatch.setattr(module, "open_model", lambda *name, **place: MODELS[True])
        monkeypatch.setattr(module, late, too_late)
    request = SessionRequest("jam", tmp_path / "in.wav", tmp_path / "out.wav", "tiny", 0)
    with pytest.raises(LmdmError, match=CURE):
        session_rendering.play_file(request, too_late, notice=too_late)
    place = {"device": "cpu", "dtype": "float32", "threads": None}
    with pytest.raises(LmdmError, match=CURE):
        live_session.play_live(SimpleNamespace(mode="jam", model="tiny", osc_port=None, midi_map=None, **place))
