"""Sound files that visitors may play, by secret names: a page never says which file of the server it means."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmdm_adapter.errors import LmdmError

MOST_SOUNDS = 256
KEY = "sound"


class Sounds:
    """At most `MOST_SOUNDS` names; the oldest is forgotten first."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    def named(self, path: Path) -> str:
        """A new name for a file that was looked at."""
        while len(self._paths) >= MOST_SOUNDS:
            self._paths.pop(next(iter(self._paths)))
        name = secrets.token_urlsafe(16)
        self._paths[name] = path
        return name

    def resolved(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with the path of the sound that they name, if they do. Raises LmdmError for an unknown name."""
        if KEY not in values:
            return dict(values)
        name = values[KEY]
        if not isinstance(name, str) or name not in self._paths:
            raise LmdmError("This sound is not here any more; press Start again.")
        return {**values, KEY: str(self._paths[name])}
