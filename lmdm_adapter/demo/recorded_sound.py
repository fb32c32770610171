"""Sound that the page recorded for a moment, as it sends it: a rate, and 16-bit samples in base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError

LOWEST_HZ, HIGHEST_HZ = 8000, 192_000


def recorded_sound(rate: Any, text: Any, *, name: str, most_seconds: float) -> Audio:
    """One channel; `name` is what the sentences call it. Raises LmdmError for what is no recording, and a long one."""
    try:
        samples = np.frombuffer(base64.b64decode(text, validate=True), "<i2").astype(np.float32) / 32767.0
    except (TypeError, ValueError, binascii.Error):
        raise LmdmError(f"This {name} cannot be read; record it again.") from None
    if isinstance(rate, bool) or not isinstance(rate, int) or not LOWEST_HZ <= rate <= HIGHEST_HZ:
        raise LmdmError(f"A {name} comes at {LOWEST_HZ} to {HIGHEST_HZ} Hz, got {rate!r}.")
    if len(samples) > most_seconds * rate:
        raise LmdmError(f"A {name} takes {most_seconds:g} s at the most, got {len(samples) / rate:.1f} s.")
    return Audio(samples[None], rate)
