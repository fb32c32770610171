"""Folders in the format of diffusers: recognised, and refused with where the same model lies in a format that loads."""

from __future__ import annotations

import json
from pathlib import Path

from lmdm_adapter.errors import LmdmError

INDEX_NAME = "model_index.json"


def refuse_diffusers(folder: Path) -> None:
    """Raise LmdmError for a folder of a diffusers pipeline, or one of its parts (`transformer/`, `vae/`)."""
    for place in (folder, folder.parent):
        if (place / INDEX_NAME).is_file():
            raise LmdmError(
                f"{folder} is in the format of diffusers ({_pipeline(place)}), which renames every weight and is not "
                "supported; give the original model_config.json and model.safetensors, which Stable Audio Open has "
                "in the same repository."
            )


def _pipeline(folder: Path) -> str:
    """The pipeline's class as the index has it."""
    try:
        index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return f"its {INDEX_NAME} cannot be read"
    name = index.get("_class_name") if isinstance(index, dict) else None
    return name if isinstance(name, str) else "of an unknown pipeline"
