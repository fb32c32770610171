"""The modes by name: the one place that makes them for a session on devices."""

from __future__ import annotations

from typing import Literal

from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.needs import require_needs, sketch_settings
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.sketch_mode import SketchMode
from lmdm_adapter.spec import require_choice

ModeName = Literal["stream", "sketch", "jam", "delay"]

HEARING: tuple[ModeName, ...] = ("sketch", "jam", "delay")
"""Modes that listen to the live input."""


def mode_named(
    name: str, live: LiveModel, facts: Facts, plan: SessionPlan, *, delay_seconds: float | None = None,
    bpm: float | None = None, device_samples: int = 0, resampling_samples: int = 0,
) -> Mode:  # fmt: skip
    """The mode called `name` for a session of `live`, played by `plan`.

    `delay_seconds` and `bpm` are the delay's; `device_samples` is the round trip of the device, from what is played to
    what is heard, and `resampling_samples` what resamplers hold on that way. Raises LmdmError for a name that is none,
    a model without the controls that a mode plays with, or a delay that is not given or too short.
    """
    require_choice("mode", name, ModeName)
    if name == "stream":
        return StreamMode()
    require_needs(live.section, name)
    late = {"device_samples": device_samples, "resampling_samples": resampling_samples}
    if name == "jam":
        listening = Listening.of(live.codec, live.section.frame_controls)
        return JamMode(listening, JamTiming.live(listening, facts, plan, **late))
    config = sketch_settings(live.section, name)
    if name == "sketch":
        return SketchMode.following(config, facts, plan, **late)
    if delay_seconds is None:
        raise LmdmError("The mode delay needs a delay: give its length in beats and the tempo.")
    return DelayMode.of(config, facts, plan, delay_seconds=delay_seconds, bpm=bpm, **late)
