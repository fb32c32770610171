"""What happens to a listener, as the page is told: JSON, and packets beside it (socket) or within it (values)."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

from lmdm_adapter.demo.making import Made
from lmdm_adapter.demo.packets import pack
from lmdm_adapter.demo.visits import Event


def message(event: Event) -> dict[str, Any]:
    """The event without its sound, as a JSON object with a `kind`."""
    if isinstance(event, Made):
        return {"kind": "report", "report": event.report.to_json(), "ahead_seconds": round(event.ahead_seconds, 4)}
    return {"kind": type(event).__name__.lower(), **asdict(event)}


def value(event: Event, stream: str) -> str:
    """The event as a value of the player's component; sound is the packet's bytes in base64."""
    told = {"stream": stream, **message(event)}
    if isinstance(event, Made):
        told["packet"] = base64.b64encode(pack(event.packet)).decode("ascii")
    return json.dumps(told)
