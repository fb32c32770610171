"""Configs of recipes: frozen dataclasses that may hold others, JSON in and out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import from_json
from lmdm_adapter.training.files import replacing

Config = TypeVar("Config")
SHIPPED = Path(__file__).parent.parent / "recipes" / "configs"


def build_config(cls: type[Config], values: Mapping[str, Any]) -> Config:
    """A config from a JSON object; fields that are dataclasses are built from the objects inside it.

    Where a field may be one of several dataclasses, the object's "kind" says which. Raises LmdmError for an unknown or
    missing key, or an unknown kind, wherever it is.
    """
    hints = get_type_hints(cls)

    def built(name: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        hint = _chosen(hints.get(name), value, f"{cls.__name__}.{name}")
        return build_config(hint, value) if is_dataclass(hint) else value

    try:
        return from_json(cls, {name: built(name, value) for name, value in values.items()})
    except TypeError as error:  # a required field that is not there
        raise LmdmError(f"{cls.__name__} is not complete: {error}.") from error


def _chosen(hint: Any, value: Mapping[str, Any], name: str) -> Any:
    """The dataclass among several whose `kind` is that of `value`, or the only one; any other type as it is."""
    inner = [option for option in get_args(hint) if is_dataclass(option)]
    if get_origin(hint) is UnionType and len(inner) == 1 and not hasattr(inner[0], "kind"):
        return inner[0]
    options = {option.kind: option for option in get_args(hint) if hasattr(option, "kind")}
    if get_origin(hint) is not UnionType or not options:
        return hint
    if value.get("kind") not in options:
        raise LmdmError(f"{name} needs a kind, one of {', '.join(options)}; got {value.get('kind')!r}.")
    return options[value["kind"]]


def read_config(cls: type[Config], path: str | Path) -> Config:
    """A config from a JSON file. Raises LmdmError for a file that is missing, no JSON object, or has unknown keys."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LmdmError(f"Cannot read the config {path}: {error.strerror}.") from error
    except ValueError as error:
        raise LmdmError(f"The config {path} is no JSON: {error}.") from error
    if not isinstance(values, dict):
        raise LmdmError(f"The config {path} must hold one JSON object, got {type(values).__name__}.")
    return build_config(cls, values)


def find_config(cls: type[Config], name: str | Path) -> Path:
    """The JSON file that `name` means for a recipe: that file, else the one of that name that ships with the recipes.

    Raises LmdmError when there is neither, naming those that ship and fit.
    """
    path = Path(name)
    if path.exists():
        return path
    if path.name == str(name) and (SHIPPED / path).is_file():
        return SHIPPED / path
    fitting = ", ".join(one.name for one in sorted(SHIPPED.glob("*.json")) if _fits(cls, one))
    raise LmdmError(f"There is no config {name}; give a JSON file, or one of those that ship ({fitting or 'none'}).")


def _fits(cls: type[Config], path: Path) -> bool:
    try:
        read_config(cls, path)
    except LmdmError:
        return False
    return True


def require_at_least_one(config: object, *names: str) -> None:
    """Refuse a config of which one of these counts is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise LmdmError(f"{type(config).__name__} needs {name} of at least 1, got {getattr(config, name)}.")


def require_seconds(config: object, *names: str) -> None:
    """Refuse a config of which one of these lengths is no positive number of seconds."""
    for name in names:
        if not 0.0 < getattr(config, name) < math.inf:
            raise LmdmError(f"{type(config).__name__} needs a positive {name}, got {getattr(config, name)}.")


def write_json(path: Path, value: Any) -> None:
    """Write a dataclass or plain value as indented JSON, whole or not at all."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    with replacing(path) as part:
        part.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
