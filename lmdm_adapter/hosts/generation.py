"""Generations of stable-audio-tools: only one has the networks that this package knows."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from lmdm_adapter.errors import LmdmError

PACKAGE = "stable_audio_tools"
SUPPORTED = (0, 0, 19)


def refuse_other_generations(host: object) -> None:
    """Raise LmdmError for an object of an installed stable-audio-tools other than 0.0.19, by its name.

    Objects from elsewhere (a checkout, a fork) carry no version and are judged by their attributes.
    """
    if type(host).__module__.partition(".")[0] != PACKAGE:
        return
    try:
        found = version(PACKAGE.replace("_", "-"))
    except PackageNotFoundError:
        return
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:3])
    if numbers < SUPPORTED:
        raise LmdmError(f"stable-audio-tools {found} is too old to convert; pip install stable-audio-tools==0.0.19.")
    if numbers > SUPPORTED:
        raise LmdmError(
            f"stable-audio-tools {found} has networks that are not supported yet (the generation of Stable Audio 3);"
            " pip install stable-audio-tools==0.0.19, or convert the checkpoint's folder."
        )
