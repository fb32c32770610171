"""The configs that ship with the recipes: all of them fit, and nothing is named that the recipes do not know."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from lmdm_adapter import recipes
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import finetune
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.recipes.base import BaseRecipe
from lmdm_adapter.recipes.bundle import BundleRecipe
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import find_config, read_config
from tests.cli import sentence

FOLDER = Path(recipes.__path__[0]) / "configs"
BUNDLE = FOLDER / "tiny-bundle.json"
CONFIGS = sorted(set(FOLDER.glob("*.json")) - {BUNDLE})


def recipe_of(path: Path) -> type:
    """The config class of the recipe that a file is for, told by its name."""
    name = next(part for part in ("codec", "base", "finetune", "decoder", "arc-forcing") if part in path.stem)
    return get_type_hints(import_module(f"lmdm_adapter.recipes.{name.replace('-', '_')}").run)["config"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_are_read(path: Path) -> None:
    assert read_config(recipe_of(path), path).output.startswith("runs/")


def test_the_bundle_takes_what_the_recipes_leave() -> None:
    bundled = read_config(BundleRecipe, BUNDLE)
    outputs = {f"{read_config(recipe_of(path), path).output}/model" for path in CONFIGS}
    assert set(bundled.models) <= outputs and bundled.names == ("tiny", "tiny-base")
    assert f"{bundled.codec}/model" in outputs


def test_post_training_takes_what_the_recipes_leave() -> None:
    configs = [read_config(ArcForcingRecipe, path) for path in CONFIGS if "arc-forcing" in path.stem]
    outputs = {f"{read_config(recipe_of(path), path).output}/model" for path in CONFIGS}
    assert len(configs) == 8 and all({config.student, config.base} <= outputs for config in configs)


def test_rollouts_leave_the_real_context() -> None:
    for path in (path for path in CONFIGS if "arc-forcing" in path.stem and "compare" not in path.stem):
        post = read_config(ArcForcingRecipe, path)
        runs = {read_config(recipe_of(one), one).output: one for one in CONFIGS}
        student = read_config(FinetuneRecipe, runs[str(Path(post.student).parent)])
        judge = read_config(BaseRecipe, runs[str(Path(post.base).parent)])
        assert post.arc.rollout_blocks >= 2 * student.spec.context_blocks
        assert judge.window_frames >= student.spec.context_frames + post.arc.rollout_blocks * student.spec.block_frames
        assert post.data == student.data, "one folder of latents for both"
        assert student.controls or student.data == judge.data, "and for the judge, where nothing else lies in it"


def test_the_papers_post_training_ships_as_it_is() -> None:
    """arXiv 2605.22717: rollouts of 12 blocks, AdamW 1e-6 (.9, .95), decay .01, clip 1, batch 80, 18k iterations."""
    config = read_config(ArcForcingRecipe, FOLDER / "arc-forcing-small-48x4.json")
    for optimiser in (config.loop, config.judge_optimiser):
        assert (optimiser.learning_rate, optimiser.beta1, optimiser.beta2) == (1e-6, 0.9, 0.95)
        assert (optimiser.weight_decay, optimiser.clip_norm) == (0.01, 1.0)
    assert config.arc.rollout_blocks == 12 and config.arc.contrastive == 1.0
    assert config.loop.steps == 18000 and config.batch_size * config.loop.accumulate == 80
    assert read_config(BaseRecipe, FOLDER / "base-small-long.json").window_frames == 768


def test_shipped_block_settings() -> None:
    specs = {path.stem: read_config(FinetuneRecipe, path).spec for path in CONFIGS if "finetune" in path.stem}
    sizes = {name: (spec.block_frames, spec.context_blocks) for name, spec in specs.items()}
    assert sizes == {
        "tiny-finetune": (12, 16), "tiny-finetune-encoder-decoder": (12, 16), "tiny-finetune-guided": (12, 16),
        "tiny-finetune-jam": (12, 16), "tiny-finetune-sketch": (12, 16), "tiny-finetune-both": (12, 16),
        "tiny-finetune-controls": (12, 16), "tiny-finetune-jam-aligned": (12, 16),
        "tiny-finetune-harmony": (12, 16), "tiny-finetune-harmony-guided": (12, 16),
        "tiny-finetune-jam-late": (12, 16), "tiny-compare-finetune-copied": (12, 16),
        "tiny-compare-finetune-random": (12, 16), "tiny-compare-finetune-encoder-decoder": (12, 16),
        "finetune-48x4": (48, 4), "finetune-10x23": (10, 23), "finetune-small-48x4": (48, 4),
        "finetune-small-lora-48x4": (48, 4), "my-music-finetune": (12, 16), "my-music-finetune-guided": (12, 16),
    }  # fmt: skip
    regimes = {name for name, spec in specs.items() if spec.regime == "encoder-decoder"}
    assert regimes == {"tiny-finetune-encoder-decoder", "tiny-compare-finetune-encoder-decoder"}


def test_comparisons_are_alike_but_for_what_they_compare(root: Path) -> None:
    """200 steps of tiny-finetune.json from tiny-base, averaged by 0.98, as the results say; 11 windows a step."""
    copied, drawn, windows = (
        read_config(FinetuneRecipe, FOLDER / f"tiny-compare-finetune-{name}.json")
        for name in ("copied", "random", "encoder-decoder")
    )
    assert (copied.context_projection, drawn.context_projection) == ("copied", "random")
    assert replace(drawn, context_projection="copied", output=copied.output) == copied
    alike = {"output": copied.output, "spec": copied.spec, "batch_size": copied.batch_size}
    assert windows.batch_size == 11 and replace(windows, **alike) == copied
    long = read_config(FinetuneRecipe, FOLDER / "tiny-finetune.json")
    loop = replace(
        copied.loop, **{name: getattr(long.loop, name) for name in ("steps", "average_decay", "validate_every_steps")}
    )
    assert replace(copied, base=long.base, output=long.output, loop=loop) == long
    assert (copied.base, copied.loop.steps, copied.loop.average_decay) == ("tiny-base", 200, 0.98)
    page = (root / "docs" / "results" / "post-training.md").read_text(encoding="utf-8")
    assert all(f"tiny-compare-finetune-{name}.json" in page for name in ("copied", "random", "encoder-decoder"))


def test_controls_are_trained_on_the_bundled_model_where_the_data_has_them() -> None:
    controls = {"jam": ("accompaniment",), "sketch": ("sketch",), "both": ("accompaniment", "sketch")}
    bundled = {read_config(FinetuneRecipe, FOLDER / "tiny-finetune.json").spec}
    folders = set()
    for name, wanted in controls.items():
        recipe = read_config(FinetuneRecipe, FOLDER / f"tiny-finetune-{name}.json")
        assert recipe.controls == wanted and recipe.base == "tiny" and {recipe.spec} == bundled
        assert bool(recipe.data.stems) == ("accompaniment" in wanted), "others accompany stems"
        folders.add(recipe.data.folder)
    others = {read_config(FinetuneRecipe, FOLDER / "tiny-finetune.json").data.folder}
    assert len(folders | others) == 4, "a folder of latents holds one kind of clips"


def test_post_training_of_controls_comes_with_and_without_what_may_save_them() -> None:
    kept, plain = (
        read_config(ArcForcingRecipe, FOLDER / f"tiny-arc-forcing-{name}.json") for name in ("sketch", "sketch-plain")
    )
    assert kept.judge.hears_controls and kept.arc.contrastive_controls > 0.0 and kept.arc.reconstruction > 0.0
    assert not plain.judge.hears_controls and not plain.arc.contrastive_controls and plain.arc.reconstruction == 0.0
    assert (kept.student, kept.data, kept.loop) == (plain.student, plain.data, plain.loop)


def test_full_size_fine_tuning_is_that_of_the_paper(root: Path) -> None:
    """arXiv 2605.22717: AdamW 5e-5 without decay, batch 256, 10k iterations, drops .2, .3 and .1, odds times e^.5."""
    recipe = read_config(FinetuneRecipe, FOLDER / "finetune-small-48x4.json")
    loop, drops = recipe.loop, recipe.flow.drops
    assert (loop.learning_rate, loop.beta1, loop.beta2, loop.weight_decay) == (5e-5, 0.9, 0.999, 0.0)
    assert recipe.batch_size * loop.accumulate == 256 and loop.steps == 10_000
    assert loop.learning_rate_at(loop.steps - 1) == loop.learning_rate_at(loop.warmup_steps) == loop.learning_rate
    page = " ".join((root / "docs" / "training.md").read_text(encoding="utf-8").split())
    assert f"a constant rate after {loop.warmup_steps} steps of warm-up" in page
    assert (drops.no_context, drops.short_context, drops.prompt, recipe.flow.shift) == (0.2, 0.3, 0.1, 0.5)
    assert recipe.lora.rank == 0 and recipe.checkpointed
    assert read_config(FinetuneRecipe, FOLDER / "finetune-small-lora-48x4.json").lora.rank > 0


def test_a_config_that_ships_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such file; a file of the user's comes first, and paths are paths."""
    monkeypatch.chdir(tmp_path)
    assert find_config(FinetuneRecipe, "tiny-finetune.json") == FOLDER / "tiny-finetune.json"
    with pytest.raises(LmdmError, match=r"no config other/tiny-finetune\.json"):
        find_config(FinetuneRecipe, "other/tiny-finetune.json")
    Path("tiny-finetune.json").write_text("{}")
    assert find_config(FinetuneRecipe, "tiny-finetune.json") == Path("tiny-finetune.json")


def test_a_config_that_is_nowhere_is_told_with_those_that_fit_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = sentence("train", "arc-forcing", "--config", "finetune.json")
    named = set(re.findall(r"[\w-]+\.json", words)) - {"finetune.json"}
    assert named == {path.name for path in CONFIGS if "arc-forcing" in path.stem}


def test_commands_take_configs_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to begin a run; what it lacks is said by the recipe, so its config was read."""
    monkeypatch.chdir(tmp_path)
    assert "my-music" in sentence("train", "finetune", "--config", "my-music-finetune.json")
    monkeypatch.setattr("sys.argv", ["finetune", "--config", "my-music-finetune.json"])
    with pytest.raises(SystemExit, match="my-music"):
        recipe_command(FinetuneRecipe, finetune.run)


def test_the_guide_names_every_config_that_ships(root: Path) -> None:
    text = (root / "docs" / "training.md").read_text()
    assert not [path.name for path in FOLDER.glob("*.json") if path.name not in text]
    for name in re.findall(r"--config (\S+\.json)", text):
        assert (FOLDER / name).is_file() or name == "run.json", name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_slip_of_the_keyboard_is_refused(path: Path, tmp_path: Path) -> None:
    values = json.loads(path.read_text())
    values["loop"]["step"] = values["loop"].pop("steps")
    (tmp_path / "slip.json").write_text(json.dumps(values))
    with pytest.raises(LmdmError, match="'step'"):
        read_config(recipe_of(path), tmp_path / "slip.json")
