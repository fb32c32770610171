"""A strict reader of one JSON object: every key is taken by somebody, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import typed


class Section:
    """One object of the config: every key must be taken, and taking a missing one is an error."""

    def __init__(self, name: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise LmdmError(f"The config's {name} must be an object, got {values!r}.")
        self.name, self.left = name, dict(values)

    def take(self, key: str, hint: Any) -> Any:
        """A required value of the type `hint`."""
        if key not in self.left:
            raise LmdmError(f"The config misses {self.name}.{key}.")
        return typed(self.left.pop(key), hint, f"{self.name}.{key}")

    def take_or(self, key: str, default: Any, hint: Any) -> Any:
        """An optional value of the type `hint`."""
        return self.take(key, hint) if key in self.left else default

    def skip(self, *keys: str) -> None:
        """Take values that do not matter here."""
        for key in keys:
            self.left.pop(key, None)

    def section(self, key: str, *, optional: bool = False) -> Section:
        """A nested object."""
        empty = optional and key not in self.left
        return Section(f"{self.name}.{key}", {} if empty else self.take(key, dict))

    def fixed(self, options: Mapping[str, Any]) -> None:
        """Take options of which only one value is supported."""
        for key, supported in options.items():
            value = self.take_or(key, supported, Any)
            if value != supported:
                raise LmdmError(f"The option {self.name}.{key}={value!r} is not supported; only {supported!r} is.")

    def finish(self) -> None:
        """Refuse what nobody took."""
        if self.left:
            raise LmdmError(f"Unknown key {self.name}.{sorted(self.left)[0]}; it may change the network, so remove it.")
