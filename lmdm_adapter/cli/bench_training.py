"""`lmdm bench-training`: what a step of each recipe takes at the size of a published checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from lmdm_adapter.cli.options import DeviceOption, JsonOption, ShapeOption, ThreadsOption, VerboseOption


def bench_training(
    shape: ShapeOption = "sao-small",
    recipe: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--recipe", help="finetune, base or arc_forcing; may be given again. By default all three."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, max=4096, help="Sequences in a batch.")] = 1,
    steps: Annotated[int, typer.Option("--steps", min=2, max=1000, help="Steps of each; the first warms up.")] = 4,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run the full-size recipes for a few steps, and tell seconds per step and the most memory of each.

    The configs are those that ship, on drawn weights and latents, so nothing is downloaded; words take the place of the
    text encoder. For sao-small this takes many minutes on a CPU, some 14 GB of memory, and 20 GB of the folder for
    temporary files (TMPDIR). On the CPU the memory is that of the whole process, on CUDA that of its tensors.
    """
    from tempfile import TemporaryDirectory

    from lmdm_adapter.bench.training_cost import RECIPES, TrainingPlan, measure
    from lmdm_adapter.cli.models import parse_device
    from lmdm_adapter.cli.screen import counting
    from lmdm_adapter.io.atomic import require_writable, write_json

    place = str(parse_device(device))
    plan = TrainingPlan(shape, tuple(recipe or RECIPES), rows=rows, steps=steps, device=place, threads=threads)
    if json is not None:
        require_writable(json)
    with TemporaryDirectory(prefix="lmdm-bench-") as folder, counting(f"training {shape}") as progress:
        figures = measure(plan, Path(folder), progress=progress)
    if json is not None:
        write_json(json, figures)
    _show(figures)


def _show(figures: dict[str, Any]) -> None:
    from lmdm_adapter.cli.screen import table

    title = f"{figures['shape']}, {figures['rows']} in the batch, {figures['device']}, {figures['threads']} threads"
    rows = [(name, cost["config"], *_told(cost)) for name, cost in figures["recipes"].items()]
    table(title, ("recipe", "config", "seconds per step", "peak memory"), rows)


def _told(cost: dict[str, Any]) -> tuple[str, str]:
    """Seconds of the steps after the first, from least to most; and the most memory."""
    steps, memory = cost["seconds_after_the_first"], cost["peak_memory_mib"]
    return f"{steps['least']:.2f} to {steps['most']:.2f}", "not told" if memory is None else f"{memory / 1024:.1f} GiB"
