"""Playing a recording of `lmdm demo` again into a file, from its log of events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.cli.opened_again import opened_again
from lmdm_adapter.cli.screen import counting
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.record_log import read_record_log, replayed
from lmdm_adapter.demo.record_session import replayed_session
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.files import AudioWriter

if TYPE_CHECKING:
    from lmdm_adapter.cli.replaying import ReplayRequest


def is_recording(path: Path) -> bool:
    """Whether a file begins as a log of the demo does, not as a session's."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline(64).startswith('{"kind":"recording"')
    except (OSError, UnicodeDecodeError):
        return False


def replay_recording(request: ReplayRequest, path: Path, *, notice: Callable[[str], None]) -> float:
    """Write the recording again; its length in seconds. Raises LmdmError for whatever the user can mend."""
    log = read_record_log(path)
    name = request.model or log.header["origin"].get("model")
    if name is None:
        raise LmdmError(f"{path} does not name the model that played it; give it with --model.")
    played_on = {"versions": log.header.get("versions"), **log.header["origin"], **(log.header.get("session") or {})}
    live = opened_again(request, name, played_on, digest=log.header["origin"].get("digest"), notice=notice)
    rate, total = log.header["sample_rate"], log.samples
    if log.header.get("session"):
        pieces = replayed_session(log, live, path.parent, steps=request.steps)
    else:
        pieces = replayed(log, Band(live, name=name).voice, steps=request.steps)
    with AudioWriter(request.out, rate, log.header["channels"]) as writer, counting(f"replay {path.name}") as show:
        for piece in pieces:
            writer.write(Audio(np.ascontiguousarray(piece.T), rate))
            show(writer.samples_written // rate, max(total, writer.samples_written) // rate)
    return writer.samples_written / rate
