"""The modes by name: the one place that makes them for a session on devices."""

from __future__ import annotations

from typing import Any, Literal

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.spec import require_choice

ModeName = Literal["stream", "sketch", "jam", "delay"]

HEARING: tuple[ModeName, ...] = ("sketch", "jam", "delay")
"""Modes that listen to the live input."""


def mode_named(
    name: str, live: Any, facts: Facts, plan: SessionPlan, *, delay_seconds: float | None = None,
    bpm: float | None = None, device_samples: int = 0,
) -> Mode:  # fmt: skip
    """The mode called `name` for a session of `live`, played by `plan`.

    `delay_seconds` and `bpm` are the delay's; `device_samples` is the round trip of the device, from what is played to
    what is heard. Raises LmdmError for a name that is none, or a mode that is not there.
    """
    require_choice("mode", name, ModeName)
    if name == "stream":
        return StreamMode()
    raise LmdmError(f"The mode {name} cannot be played live yet; --mode stream can.")
