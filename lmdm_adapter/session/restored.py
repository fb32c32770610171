"""Modes made again from what a recording says of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmdm_adapter.controls.accompaniment import Heard
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.controls.sketch import Sketch
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.curves import Curves
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.known_ahead import BY_CURVES, BY_SOUND, FOLLOWS, AheadJam, AheadSketch, DrawnMode
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.needs import require_needs, sketch_settings
from lmdm_adapter.session.recorder import MATERIAL_NAME
from lmdm_adapter.session.session_log import SessionLog
from lmdm_adapter.session.sketch_mode import SketchMode


def restored_mode(live: LiveModel, log: SessionLog, material: Mapping[str, np.ndarray]) -> Mode:
    """The mode of a recorded session, fresh, for `live`; `material` is what it knew ahead.

    Raises LmdmError for a mode that is not known here, settings that fit none, or material that is not there.
    """
    name, settings = log.header["mode"], dict(log.header.get("mode_settings", {}))
    try:
        if name == "stream":
            return StreamMode()
        if name == "sketch":
            return _sketch(live, settings, material)
        if name == "delay":
            return DelayMode(sketch_settings(live.section, name), **settings)
        if name == "jam":
            return _jam(live, settings, material)
    except (TypeError, KeyError) as error:
        raise LmdmError(f"The settings of the mode {name!r} in this log are not those of a {name}: {error}.") from None
    raise LmdmError(f"A session of the mode {name!r} cannot be replayed here; there are stream, sketch, delay and jam.")


def _sketch(live: LiveModel, settings: dict[str, Any], material: Mapping[str, np.ndarray]) -> Mode:
    config, follows = sketch_settings(live.section, "sketch"), settings.pop(FOLLOWS, None)
    if follows == BY_CURVES:
        return DrawnMode(config, Curves.from_json(settings.pop("curves")), **settings)
    if follows == BY_SOUND:
        return AheadSketch(config, _sound(material), **settings)
    return SketchMode(config, sketch=Sketch.from_controls(material) if material else None, **settings)


def _jam(live: LiveModel, settings: dict[str, Any], material: Mapping[str, np.ndarray]) -> JamMode:
    require_needs(live.section, "jam")
    timing, listening = JamTiming(**settings["timing"]), Listening.of(live.codec, live.section.frame_controls)
    if settings.get(FOLLOWS) == BY_SOUND:
        return AheadJam(listening, timing, _sound(material), loop_frames=settings["loop_frames"])
    known = _known(listening, material) if timing.known else None
    return JamMode(listening, timing, known=known, loop_frames=settings["loop_frames"])


def _known(listening: Listening, material: Mapping[str, np.ndarray]) -> Heard:
    latents = torch.from_numpy(material["latents"])
    silent = np.zeros((listening.harmony_channels, latents.shape[-1]), np.float32)
    return Heard(latents, harmony=torch.from_numpy(material.get("harmony", silent)))


def _sound(material: Mapping[str, np.ndarray]) -> np.ndarray:
    if BY_SOUND not in material:
        raise LmdmError("This session followed a sound that is not there; keep it beside the log, as it was recorded.")
    return material[BY_SOUND]


def recorded_material(folder: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """What a recording's folder holds of what its mode knew ahead. Raises LmdmError for a file that cannot be read."""
    path = Path(folder) / MATERIAL_NAME
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise LmdmError(f"Cannot read {path}: {error}.") from None
