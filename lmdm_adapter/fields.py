"""JSON objects into config dataclasses: every key known, every value of the declared type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lmdm_adapter.errors import LmdmError

Config = TypeVar("Config")


def from_json(cls: type[Config], values: object) -> Config:
    """Build the config dataclass `cls` from a JSON object; lists become tuples.

    Raises LmdmError naming the key that is unknown, missing, or of another type than its field.
    """
    if not isinstance(values, Mapping):
        raise LmdmError(f"{cls.__name__} is read from a JSON object, not from {values!r}.")
    known = {field.name: field for field in fields(cls) if field.init}
    for key in values:
        if key not in known:
            raise LmdmError(f"{cls.__name__} does not know {key!r}; its keys are {', '.join(sorted(known))}.")
    for name, field in known.items():
        if name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise LmdmError(f"{cls.__name__} misses {name!r}.")
    hints = get_type_hints(cls)
    return cls(**{key: typed(value, hints[key], f"{cls.__name__}.{key}") for key, value in values.items()})


def typed(value: object, hint: Any, name: str) -> Any:
    """`value`, with lists made tuples where `hint` is a tuple. Raises LmdmError when it is not of the type `hint`."""
    value = _with_tuples(value, hint)
    if not fits(value, hint):
        raise LmdmError(f"{name} must be {_spoken(hint)}, got {value!r}.")
    return value


def fits(value: object, hint: Any) -> bool:
    """Whether a JSON value is of a type: an int is a float, but a bool is no number."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple) and _fits_tuple(value, parts)
    if hint is Any:
        return True
    if hint in (int, float):
        return isinstance(value, int if hint is int else (int, float)) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _fits_tuple(value: tuple[object, ...], parts: tuple[Any, ...]) -> bool:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return all(fits(item, parts[0]) for item in value)
    return len(value) == len(parts) and all(fits(item, part) for item, part in zip(value, parts, strict=True))


def _with_tuples(value: object, hint: Any) -> object:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for option in options:
        if isinstance(value, list) and get_origin(option) is tuple:
            inner = get_args(option)[0]
            return tuple(_with_tuples(item, inner) for item in value)
    return value


def _spoken(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null",
             dict: "an object"}  # fmt: skip
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return " or ".join(_spoken(part) for part in get_args(hint))
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if origin in (tuple, list):
        return "a list"
    return names.get(origin or hint, getattr(hint, "__name__", str(hint)))
