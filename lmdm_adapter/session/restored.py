"""Modes made again from what a recording says of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmdm_adapter.controls.sketch import Sketch
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.jam_mode import JamMode, JamTiming
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.needs import require_needs, sketch_settings
from lmdm_adapter.session.recorder import MATERIAL_NAME
from lmdm_adapter.session.session_log import SessionLog
from lmdm_adapter.session.sketch_mode import SketchMode


def restored_mode(live: LiveModel, log: SessionLog, folder: str | os.PathLike[str]) -> Mode:
    """The mode of a recorded session, fresh, for `live`; what it knew ahead is read from the recording's folder.

    Raises LmdmError for a mode that is not known here, settings that fit none, or material that cannot be read.
    """
    name, settings = log.header["mode"], dict(log.header.get("mode_settings", {}))
    material = _material(Path(folder) / MATERIAL_NAME)
    try:
        if name == "stream":
            return StreamMode()
        if name == "sketch":
            sketch = Sketch.from_controls(material) if material else None
            return SketchMode(sketch_settings(live.section, name), sketch=sketch, **settings)
        if name == "delay":
            return DelayMode(sketch_settings(live.section, name), **settings)
        if name == "jam":
            return _jam(live, settings, material)
    except (TypeError, KeyError) as error:
        raise LmdmError(f"The settings of the mode {name!r} in this log are not those of a {name}: {error}.") from None
    raise LmdmError(f"A session of the mode {name!r} cannot be replayed here; there are stream, sketch, delay and jam.")


def _jam(live: LiveModel, settings: dict[str, Any], material: Mapping[str, np.ndarray]) -> JamMode:
    require_needs(live.section, "jam")
    timing = JamTiming(**settings["timing"])
    known = torch.from_numpy(material["latents"]) if timing.known else None
    return JamMode(live.codec, timing, known=known, loop_frames=settings["loop_frames"])


def _material(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError) as error:
        raise LmdmError(f"Cannot read {path}: {error}.") from None
