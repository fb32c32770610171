"""`lmdm bench-arc-memory`: what ARC-Forcing takes in memory for each block of a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lmdm_adapter.cli.options import JsonOption, ShapeOption, ThreadsOption, VerboseOption

if TYPE_CHECKING:
    from lmdm_adapter.bench.arc_memory import ArcMemory


def bench_arc_memory(
    shape: ShapeOption = "sao-small",
    blocks: Annotated[str, typer.Option("--blocks", help="Lengths of rollouts in blocks.")] = "2,6,12",
    rows: Annotated[int, typer.Option("--rows", min=1, max=64, help="Samples in the batch.")] = 1,
    only_checkpointed: Annotated[
        bool, typer.Option("--only-checkpointed", help="Leave out the steps that keep everything.")
    ] = False,
    json: JsonOption = None,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Measure the student's side of an ARC-Forcing step in fp32 on the CPU, by torch's own count of live tensors.

    A step is run for every length of rollout, with activation checkpointing and without; how the peaks grow tells what
    a block takes. Weights, gradients and optimiser do not grow and are stated apart. Needs 3 GB for sao-small if only
    checkpointed steps are run, else 6 GB, and some minutes.
    """
    import torch

    from lmdm_adapter.bench.arc_memory import measure
    from lmdm_adapter.cli.screen import counting
    from lmdm_adapter.io.atomic import require_writable, write_json

    counts = _counts(blocks)
    if json is not None:
        require_writable(json)
    if threads is not None:
        torch.set_num_threads(threads)
    with counting(f"steps of {shape}") as progress:
        memory = measure(shape, blocks=counts, rows=rows, without=not only_checkpointed, progress=progress)
    if json is not None:
        write_json(json, memory.to_json())
    _show(memory)


def _counts(text: str) -> list[int]:
    from lmdm_adapter.errors import LmdmError

    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise LmdmError(f"--blocks must be whole numbers with commas between them, such as 2,6,12, got {text!r}.")
    return [int(part) for part in parts]


def _show(memory: ArcMemory) -> None:
    from lmdm_adapter.cli.screen import say, table

    figures = memory.to_json()
    kinds = [name for name, sizes in figures["peak_mib"].items() if sizes]
    rows = [
        (str(count), *(f"{figures['peak_mib'][kind][index]:.0f}" for kind in kinds))
        for index, count in enumerate(memory.blocks)
    ]
    table(f"{memory.shape}, {memory.rows} in the batch: peak MiB of an ARC step", ("rolled blocks", *kinds), rows)
    growth = ", ".join(f"{kind} {value:.1f}" for kind, value in figures["mib_per_block_and_sample"].items())
    say(f"MiB for each block and sample: {growth}")
    fixed = ", ".join(f"{name} {figures[f'{name}_mib']:.0f}" for name in ("weights", "gradients", "adamw"))
    say(f"MiB beside them: {fixed}")
