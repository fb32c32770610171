"""`lmdm bench-finetune`: what training on every block of a sequence gains over one target block per window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    BlockFramesOption,
    ContextFramesOption,
    DeviceOption,
    JsonOption,
    ShapeOption,
    ThreadsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.bench.finetuning import FinetuningReport


def bench_finetune(
    shape: ShapeOption = "sao-small",
    block_frames: BlockFramesOption = None,
    context_frames: ContextFramesOption = None,
    blocks: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--blocks", min=1, max=4096, help="Blocks of a sequence; by default twice the context."),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, max=4096, help="Sequences in a batch.")] = 1,
    pairs: Annotated[int, typer.Option("--pairs", min=2, max=1000, help="Pairs of steps; one more warms up.")] = 5,
    precision: Annotated[str, typer.Option("--precision", help="no (fp32) or bf16 autocast.")] = "no",
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Time fine-tuning on every block of long sequences against one target block per window of context.

    The two are timed in turn, at the same batch memory: windows get as many rows as keep no less for the backward pass
    than the sequences do. A step is a forward and a backward pass, with drawn weights of a published size.
    """
    import torch

    from lmdm_adapter.bench.finetuning import FinetuningPlan, bench_finetuning
    from lmdm_adapter.cli.models import parse_device
    from lmdm_adapter.cli.screen import counting
    from lmdm_adapter.io.atomic import require_writable, write_json

    plan = FinetuningPlan(shape, block_frames, context_frames, blocks, rows=rows, pairs=pairs, precision=precision)
    if json is not None:
        require_writable(json)
    place = parse_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    with counting(f"timing {shape}") as progress:
        report = bench_finetuning(plan, device=place, progress=progress)
    if json is not None:
        write_json(json, report.to_json())
    _show(report)


def _show(report: FinetuningReport) -> None:
    from lmdm_adapter.cli.screen import say, table

    settings, figures = report.settings, report.to_json()
    title = (
        f"{settings['shape']}, blocks of {settings['block_frames']} after {settings['context_frames']}, precision "
        f"{settings['precision']}, {settings['device']}, {settings['threads']} threads"
    )
    recipes = (figures["every_block"], figures["one_block"])
    rows = [
        ("rows", *(str(one["rows"]) for one in recipes)),
        ("target frames per step", *(str(one["target_frames"]) for one in recipes)),
        ("tokens per step", *(str(one["tokens"]) for one in recipes)),
        ("kept for the backward pass", *(f"{one['saved_bytes'] / 2**20:.0f} MiB" for one in recipes)),
        ("target frames per second", *(f"{one['target_frames_per_second']:.1f}" for one in recipes)),
    ]
    table(title, ("", "every block", "one block per window"), rows)
    ratio = figures["times_more_target_frames_per_second"]
    say(
        f"{ratio['median']:.2f} times more target frames per second ({ratio['least']:.2f} to {ratio['most']:.2f} over "
        f"{settings['pairs']} pairs); tokens bound it at {ratio['bound']:.2f}"
    )
