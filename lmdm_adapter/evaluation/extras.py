"""Packages that only some measures need (extra `[evaluate]`): imported late, and missed in a sentence."""

from __future__ import annotations

import importlib
from types import ModuleType

from lmdm_adapter.errors import LmdmError


def extra(module: str, what: str, *, extra_name: str = "evaluate") -> ModuleType:
    """The module called `module`, which `what` needs. Raises LmdmError with the cure when it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{what} needs the package {module.partition('.')[0]} ({error})"
        raise LmdmError(f"{reason}; install it: pip install 'lmdm-adapter[{extra_name}]'.") from error


def require_extras(*, plots: bool, resampling: bool) -> None:
    """Miss a package before minutes of work, not after. Raises LmdmError with the cure."""
    needed = {"librosa": "Hearing beats and keys", "mir_eval": "Scoring beats and keys", "scipy": "An interval"}
    needed |= {"matplotlib": "The page of a report"} if plots else {}
    needed |= {"soxr": "A reference of recordings"} if resampling else {}
    for module, what in needed.items():
        extra(module, what)
