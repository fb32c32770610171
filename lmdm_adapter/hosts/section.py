"""A strict reader of one JSON object: every key is taken by somebody, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdm_adapter.errors import LmdmError


class Section:
    """One object of the config: every key must be taken, and taking a missing one is an error."""

    def __init__(self, name: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise LmdmError(f"The config's {name} must be an object, got {values!r}.")
        self.name, self.left = name, dict(values)

    def take(self, key: str) -> Any:
        """A required value."""
        if key not in self.left:
            raise LmdmError(f"The config misses {self.name}.{key}.")
        return self.left.pop(key)

    def take_or(self, key: str, default: Any) -> Any:
        """An optional value."""
        return self.left.pop(key, default)

    def section(self, key: str, *, optional: bool = False) -> Section:
        """A nested object."""
        return Section(f"{self.name}.{key}", self.take_or(key, {}) if optional else self.take(key))

    def fixed(self, options: Mapping[str, Any]) -> None:
        """Take options of which only one value is supported."""
        for key, supported in options.items():
            value = self.take_or(key, supported)
            if value != supported:
                raise LmdmError(f"The option {self.name}.{key}={value!r} is not supported; only {supported!r} is.")

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self.left:
            raise LmdmError(f"Unknown key {self.name}.{sorted(self.left)[0]}; it may change the network, so remove it.")
