"""Running a recipe by its name."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from lmdm_adapter.cli.screen import say
from lmdm_adapter.training.configs import find_config, read_config
from lmdm_adapter.training.loop import Trained
from lmdm_adapter.training.processes import disconnect, is_first_process


def run_recipe(name: str, config_path: Path | None, *, overrides: Mapping[str, Any]) -> bool:
    """Run the recipe `name` with the settings in a JSON file, or its own; False when it was stopped before its end.

    The file may be the name of one that ships. `overrides` are settings that take the place of those in the file.
    Raises LmdmError for a file that cannot be read, unknown settings, and whatever the recipe refuses.
    """
    logging.basicConfig(level=logging.INFO if is_first_process() else logging.WARNING, format="%(message)s")
    recipe = _recipe(name)
    cls = _config_class(recipe)
    try:
        config = cls() if config_path is None else read_config(cls, find_config(cls, config_path))
        result = recipe.run(replace(config, **overrides))
    finally:
        disconnect()
    return not isinstance(result, Trained) or result.finished


def needs_settings(name: str) -> bool:
    """Whether something must be given before a recipe can run."""
    settings = fields(_config_class(_recipe(name)))
    return any(setting.default is MISSING and setting.default_factory is MISSING for setting in settings)


def list_fields(name: str) -> None:
    """Print the settings of a recipe, one per line: name and default as JSON, or that it must be given."""
    for setting in fields(_config_class(_recipe(name))):
        say(f"{setting.name}: {_default(setting)}")


def _recipe(name: str) -> ModuleType:
    return import_module(f"lmdm_adapter.recipes.{name}")


def _config_class(recipe: ModuleType) -> type:
    return get_type_hints(recipe.run)["config"]


def _default(setting: Field[Any]) -> str:
    if setting.default_factory is not MISSING:
        value = setting.default_factory()
    elif setting.default is not MISSING:
        value = setting.default
    else:
        return "(must be given)"
    return json.dumps(asdict(value) if is_dataclass(value) and not isinstance(value, type) else value)
