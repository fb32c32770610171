"""`lmdm inspect`: what a checkpoint is, and whether it is supported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lmdm_adapter.cli.options import JsonOption, VerboseOption
from lmdm_adapter.errors import LmdmError

if TYPE_CHECKING:
    from lmdm_adapter.cli.inspection import Inspection


def inspect(
    model: Annotated[
        str, typer.Argument(help="A checkpoint folder or file, the bundled 'tiny', or a Hugging Face hub id.")
    ],
    json: JsonOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Say what a checkpoint is, whether it is supported, and what latency to expect from it.

    A checkpoint that is not supported is described as far as possible, with the reason, and the exit code is 1.
    """
    from lmdm_adapter.cli.inspection import look_at
    from lmdm_adapter.io.atomic import require_writable, write_json

    if json is not None:
        require_writable(json)
    inspection = look_at(model)
    if json is not None:
        write_json(json, inspection.to_json())
    _show(inspection)
    if inspection.reason is not None:
        raise LmdmError(inspection.reason)


def _show(inspection: Inspection) -> None:
    from lmdm_adapter.cli.screen import say

    lines = inspection.lines()
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        say(f"{name:<{width}}  {value}")
