"""The configs that ship with the recipes: all of them fit, and nothing is named that the recipes do not know."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from lmdm_adapter import recipes
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes.bundle import BundleRecipe
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.training.configs import read_config

FOLDER = Path(recipes.__path__[0]) / "configs"
BUNDLE = FOLDER / "tiny-bundle.json"
CONFIGS = sorted(set(FOLDER.glob("*.json")) - {BUNDLE})


def recipe_of(path: Path) -> type:
    """The config class of the recipe that a file is for, told by its name."""
    name = next(part for part in ("codec", "base", "finetune", "decoder") if part in path.stem)
    return get_type_hints(import_module(f"lmdm_adapter.recipes.{name}").run)["config"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_read(path: Path) -> None:
    assert read_config(recipe_of(path), path).output.startswith("runs/")


def test_the_bundle_takes_what_the_recipes_leave() -> None:
    bundled = read_config(BundleRecipe, BUNDLE)
    outputs = {f"{read_config(recipe_of(path), path).output}/model" for path in CONFIGS}
    assert set(bundled.models) <= outputs and bundled.names == ("tiny", "tiny-base")
    assert f"{bundled.codec}/model" in outputs


def test_shipped_block_settings() -> None:
    specs = {path.stem: read_config(FinetuneRecipe, path).spec for path in CONFIGS if "finetune" in path.stem}
    sizes = {name: (spec.block_frames, spec.context_blocks) for name, spec in specs.items()}
    assert sizes == {"tiny-finetune": (12, 16), "finetune-48x4": (48, 4), "finetune-10x23": (10, 23)}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_slip_of_the_keyboard_is_refused(path: Path, tmp_path: Path) -> None:
    values = json.loads(path.read_text())
    values["loop"]["step"] = values["loop"].pop("steps")
    (tmp_path / "slip.json").write_text(json.dumps(values))
    with pytest.raises(LmdmError, match="'step'"):
        read_config(recipe_of(path), tmp_path / "slip.json")
