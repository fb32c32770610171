"""Packages that only some parts need (the extras of `pyproject.toml`): imported late, and missed in a sentence."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from types import ModuleType

from lmdm_adapter.errors import LmdmError


def extra(module: str, what: str, *, extra_name: str = "evaluate") -> ModuleType:
    """The module called `module`, which `what` needs. Raises LmdmError with the cure when it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{what} needs the package {module.partition('.')[0]} ({error})"
        raise LmdmError(f"{reason}; install it: pip install 'lmdm-adapter[{extra_name}]'.") from error


def missing_packages(packages: Sequence[str], what: str, *, extra_name: str) -> str | None:
    """The sentence about those of `packages`, which `what` needs, that are not installed, with its cure, or None.

    Nothing is imported to find out.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"{what} needs {', '.join(missing)}; install it: pip install 'lmdm-adapter[{extra_name}]'."
