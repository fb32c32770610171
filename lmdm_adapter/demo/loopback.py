"""How late what the page plays comes back to its microphone: a ping is played, and found in what was recorded."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from lmdm_adapter.demo.recorded_sound import HIGHEST_HZ, LOWEST_HZ, recorded_sound
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.loopback import found_ping, ping

MOST_SECONDS = 4.0
MOST_LOOPBACK_SECONDS = 1.0
"""As much as a session allows for (`device_seconds`)."""


async def loopback_ping(rate: Any) -> str | None:
    """The ping as float32 in base64, for the page's own code; nothing for rates that no page has."""
    if isinstance(rate, bool) or not isinstance(rate, int) or not LOWEST_HZ <= rate <= HIGHEST_HZ:
        return None
    return base64.b64encode(ping(rate).astype("<f4").tobytes()).decode("ascii")


async def loopback_found(told: Any) -> dict[str, Any]:
    """From `[rate, samples in base64, sample at which the ping was played]` to `seconds`, or `why` there are none."""
    try:
        return {"seconds": await asyncio.to_thread(loopback_seconds, told)}
    except LmdmError as error:
        return {"why": str(error)}


def loopback_seconds(told: Any) -> float:
    """The same. Raises LmdmError for what is no recording, holds no ping, or one that came back too late."""
    rate, text, played_at = told if isinstance(told, list) and len(told) == 3 else (None, None, None)
    heard = recorded_sound(rate, text, name="loopback", most_seconds=MOST_SECONDS)
    if isinstance(played_at, bool) or not isinstance(played_at, int) or not 0 <= played_at < heard.samples.shape[1]:
        raise LmdmError("This loopback does not say when its ping was played; measure it again.")
    seconds = found_ping(heard.samples[0], sample_rate=heard.sample_rate, played_at=played_at).samples / rate
    if seconds > MOST_LOOPBACK_SECONDS:
        raise LmdmError(f"The ping came back after {seconds:.2f} s; at most {MOST_LOOPBACK_SECONDS:g} s can be.")
    return seconds
