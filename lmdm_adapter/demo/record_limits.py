"""How much may be recorded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True)
class RecordLimits:
    """Limits of one recording, of one visit, and of the server; `spare_bytes` of the disk are never touched.

    Raises LmdmError for limits that are not positive.
    """

    seconds: float = 1800.0
    recordings: int = 50
    visit_bytes: int = 1 << 30
    server_bytes: int = 4 << 30
    spare_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if min(self.seconds, self.recordings, self.visit_bytes, self.server_bytes, self.spare_bytes) <= 0:
            raise LmdmError(f"Limits of recordings are positive, got {self}.")

    def require_room(self, *, visit_bytes: int, server_bytes: int, folder: Path) -> None:
        """Raises LmdmError where a visit's recordings, everybody's together, or the disk would have too much."""
        if visit_bytes > self.visit_bytes:
            raise LmdmError(
                f"Your recordings have reached {self.visit_bytes / 2**20:.0f} MiB; download them, delete them, and "
                "switch on again."
            )
        if server_bytes > self.server_bytes:
            raise LmdmError("All recordings together fill the room that they may take here; try again later.")
        if shutil.disk_usage(folder).free < self.spare_bytes:
            raise LmdmError("The server's disk is nearly full, so the recording ended.")
