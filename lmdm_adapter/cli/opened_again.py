"""Opening the model of a recording, in the number format that it was played with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lmdm_adapter.cli.models import open_model
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.played_on import other_place

if TYPE_CHECKING:
    from lmdm_adapter.cli.replaying import ReplayRequest
    from lmdm_adapter.live import LiveModel


def opened_again(
    request: ReplayRequest, name: str, recorded: Mapping[str, Any], *, digest: str | None, notice: Callable[[str], None]
) -> LiveModel:
    """The model called `name` as `recorded`, a log's header, says that it was played; `digest` is that of the log.

    `notice` gets a line where other things than the model may change bits. Raises LmdmError for a model that is not
    there, and for a number format that was asked for and is not that of the log.
    """
    played = recorded.get("dtype")
    dtype = request.dtype or played or "float32"
    live = open_model(name, device=request.device, dtype=dtype, threads=request.threads)
    if played is not None and played != dtype and digest != live.digest:
        raise LmdmError(f"This was played in {played}, not in {dtype}; give --dtype {played}, or leave it out.")
    if digest == live.digest and (line := other_place(recorded, live)) is not None:
        notice(line)
    return live
