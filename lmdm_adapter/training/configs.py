"""Configs of recipes: frozen dataclasses that may hold others, JSON in and out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import from_json
from lmdm_adapter.training.files import replacing

Config = TypeVar("Config")


def nest(config: object, **classes: type) -> None:
    """Turn JSON objects and lists in the named fields of a frozen dataclass into the given classes, in place.

    For use in `__post_init__`, before anyone has seen the value. Unknown keys raise LmdmError.
    """
    for name, cls in classes.items():
        value = getattr(config, name)
        if isinstance(value, dict):
            value = from_json(cls, value)
        object.__setattr__(config, name, tuple(value) if cls is tuple else value)


def read_config(cls: type[Config], path: str | Path) -> Config:
    """A config from a JSON file. Raises LmdmError for a file that is missing, no JSON object, or has unknown keys."""
    try:
        values = json.loads(Path(path).read_text())
    except OSError as error:
        raise LmdmError(f"Cannot read the config {path}: {error.strerror}.") from error
    except json.JSONDecodeError as error:
        raise LmdmError(f"The config {path} is no JSON: {error}.") from error
    if not isinstance(values, dict):
        raise LmdmError(f"The config {path} must hold one JSON object, got {type(values).__name__}.")
    return from_json(cls, values)


def write_json(path: Path, value: Any) -> None:
    """Write a dataclass or plain value as indented JSON, whole or not at all."""
    plain = asdict(value) if hasattr(value, "__dataclass_fields__") else value
    with replacing(path) as part:
        part.write_text(json.dumps(plain, indent=2) + "\n")
