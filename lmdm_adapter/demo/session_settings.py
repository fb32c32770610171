"""What the page may say to a session besides its parameters, and where it takes less than a session would."""

from __future__ import annotations

import math
from typing import Any

from lmdm_adapter.demo.live_voice import checked
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.parameters import LEAST_BPM, MOST_BPM, SILENCE_DB, Parameter
from lmdm_adapter.session.plan import LISTENING_LEAD_SECONDS

LONGEST_LEAD_SECONDS = 4.0
NARROWER = ("prompt", "negative_prompt", "steps")
"""Parameters that are bounded for visitors."""

# fmt: off
OWN = {one.name: one for one in (
    Parameter("seed", "model", "whole", 0, "Same seed, same settings: same music.", 0, 2**31 - 1),
    Parameter("ahead_seconds", "model", "number", LISTENING_LEAD_SECONDS, "How far ahead the music is made.", 0.05,
              LONGEST_LEAD_SECONDS, "s"),
    Parameter("device_seconds", "model", "number", 0.0, "How late what is played is heard again.", 0, 1, "s"),
    Parameter("visibility_seconds", "model", "number", None, "How much of your sound is known when a block is begun.",
              -10, 10, "s", optional=True),
    Parameter("beats", "model", "number", 4.0, "The delay.", 1 / 16, 64, "beats"),
    Parameter("bpm", "model", "number", 120.0, "The delay's tempo.", LEAST_BPM, MOST_BPM, "BPM"),
)}
# fmt: on
"""What counts from the start alone."""


def narrowed(name: str, value: Any) -> Any:
    """The value as the page takes it: prompts and steps are bounded for visitors. Raises LmdmError beyond that."""
    return checked(name, value) if name in NARROWER else value


def decibels(share: float) -> float:
    """A share of loudness from 0 to 1 in dB. Raises LmdmError for one that is none."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.0 <= share <= 1.0:
        raise LmdmError(f"mix must be a number from 0 to 1, got {share!r}.")
    return max(SILENCE_DB, 20.0 * math.log10(share)) if share > 0.0 else SILENCE_DB
