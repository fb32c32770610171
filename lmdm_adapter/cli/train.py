"""`lmdm train`: every recipe in `lmdm_adapter/recipes/` is a sub-command, described by its own docstring."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Optional

import typer

from lmdm_adapter import recipes
from lmdm_adapter.cli.errors import INTERRUPTED
from lmdm_adapter.cli.options import VerboseOption

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Train a codec, a base model or a streaming model. A stopped run goes on when started again.",
)

ConfigOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--config", "-c", metavar="FILE", help="JSON file with the settings of the run."),
]
ControlsOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--controls", metavar="NAMES",
        help="Frame controls to train, e.g. accompaniment or sketch,accompaniment; in place of those in the config.",
    ),
]  # fmt: skip
FieldsOption = Annotated[bool, typer.Option("--fields", help="List the settings with their defaults, and do no more.")]

WITH_CONTROLS = {"finetune"}


def recipe_texts() -> dict[str, str]:
    """Recipe names and their docstrings: the modules of `recipes` that define `run`.

    They are read, not imported, because importing them would load torch for `lmdm --help`.
    """
    texts = {}
    for path in sorted(Path(recipes.__path__[0]).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            texts[path.stem] = ast.get_docstring(tree) or ""
    return texts


def _run(name: str, config: Path | None, fields: bool, **overrides: object) -> None:
    from lmdm_adapter.cli.training import list_fields, needs_settings, run_recipe

    if fields:
        return list_fields(name)
    if config is None and needs_settings(name):
        raise typer.BadParameter("give the settings of the run with --config FILE; --fields lists them.")
    if not run_recipe(name, config, overrides=overrides):
        typer.echo("stopped: the same command goes on from here.", err=True)
        raise typer.Exit(INTERRUPTED)


def _add(name: str, text: str) -> None:
    def command(config: ConfigOption = None, fields: FieldsOption = False, verbose: VerboseOption = False) -> None:
        _run(name, config, fields)

    def with_controls(
        config: ConfigOption = None, controls: ControlsOption = None, fields: FieldsOption = False,
        verbose: VerboseOption = False,
    ) -> None:  # fmt: skip
        given = {} if controls is None else {"controls": tuple(name.strip() for name in controls.split(","))}
        _run(name, config, fields, **given)

    chosen = with_controls if name in WITH_CONTROLS else command
    app.command(name.replace("_", "-"), short_help=text.partition("\n")[0], help=text)(chosen)


for _name, _text in recipe_texts().items():
    _add(_name, _text)
