"""`lmdm bench`: how fast a shape plays here, against stock outpainting and its own arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    BlockFramesOption,
    ContextFramesOption,
    DeviceOption,
    Dtype,
    JsonOption,
    Regime,
    Sampler,
    ShapeOption,
    ThreadsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.bench.figures import BenchReport, RegimeFigures, StageTime

BLOCK_CAUSAL, PINGPONG = Regime("block-causal"), Sampler("pingpong")


def bench(
    shape: ShapeOption = "sao-small",
    regime: Annotated[Regime, typer.Option("--regime", help="What to time.")] = BLOCK_CAUSAL,
    against: Annotated[
        Optional[list[Regime]],  # noqa: UP045
        typer.Option("--against", help="Time this one beside it; may be given twice. By default the other two."),
    ] = None,
    block_frames: BlockFramesOption = None,
    context_frames: ContextFramesOption = None,
    steps: Annotated[int, typer.Option("--steps", min=1, max=1000, help="Denoise steps per block.")] = 8,
    sampler: Annotated[Sampler, typer.Option("--sampler", help="How blocks are denoised.")] = PINGPONG,
    guidance: Annotated[float, typer.Option("--guidance", help="Other than 1 doubles the work.")] = 1.0,
    blocks: Annotated[int, typer.Option("--blocks", help="Blocks to time; one more warms up.")] = 8,
    dry: Annotated[
        bool, typer.Option("--dry", help="Time nothing: work out the memory of a GPU, without one.")
    ] = False,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: Annotated[
        Optional[Dtype],  # noqa: UP045
        typer.Option("--dtype", help="Number format of the network; by default float32, and float16 with --dry."),
    ] = None,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Time the stages of playing, with drawn weights of a published size; or, with --dry, budget their memory.

    All regimes are timed in turn, block by block, so that their ratios hold on a machine that is not quite idle.
    The floor of a stage is its bare matrix products, convolutions and attentions, timed in the same run. Needs memory
    for the weights, twice on a CPU (4 GB in all for sao-small), and some minutes on two cores. --dry needs a minute and
    no such memory; without lengths it takes blocks of 10 frames after 230 and of 48 after 192.
    """
    import torch

    from lmdm_adapter.bench.run import BenchPlan
    from lmdm_adapter.bench.run import bench as run_bench
    from lmdm_adapter.cli.bench_dry import dry_bench
    from lmdm_adapter.cli.models import parse_device
    from lmdm_adapter.cli.screen import counting
    from lmdm_adapter.io.atomic import require_writable, write_json
    from lmdm_adapter.spec import Sampling

    others = ("outpaint", "encoder-decoder", "block-causal") if against is None else [one.value for one in against]
    plan = BenchPlan(
        shape, regime.value, tuple(others), block_frames=block_frames, context_frames=context_frames,
        sampling=Sampling(steps=steps, sampler=sampler.value, guidance=guidance), blocks=blocks,
    )  # fmt: skip
    if json is not None:
        require_writable(json)
    if dry:
        dry_bench(plan, dtype=(dtype or Dtype.float16).value, json=json)
        return
    place = parse_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    with counting(f"timing {shape}") as progress:
        report = run_bench(plan, device=place, dtype=getattr(torch, (dtype or Dtype.float32).value), progress=progress)
    if json is not None:
        write_json(json, report.to_json())
    _show(report)


def _show(report: BenchReport) -> None:
    from lmdm_adapter.bench.passes import DISCRETE_BASELINE_EVALUATIONS
    from lmdm_adapter.cli.screen import say, table

    settings = report.settings
    title = (
        f"{settings['shape']}, blocks of {settings['block_frames']} after {settings['context_frames']}, "
        f"{settings['steps']} steps, {settings['dtype']}, {settings['device']}, {settings['threads']} threads"
    )
    table(title, ("per block", *(one.regime for one in report.regimes)), _rows(report))
    say(f"decode: {_time(report.decode)}; a block lasts {1000 * report.block_seconds:.0f} ms")
    say(f"the paper's discrete baseline evaluates its network {DISCRETE_BASELINE_EVALUATIONS} times for two seconds")
    say("times in ms: median (95th percentile) [floor]; the real-time factor counts decoding, ratios do not")
    parts = [f"{name} {size / 2**20:.0f} MiB" for name, size in report.weights_bytes.items()]
    peak = "" if report.peak_rss_bytes is None else f"; peak memory {report.peak_rss_bytes / 2**20:.0f} MiB"
    say(f"weights: {', '.join(parts)}{peak}")


def _rows(report: BenchReport) -> list[tuple[str, ...]]:
    """One line for each figure, one column for each regime."""
    kinds: list[tuple[str, Callable[[RegimeFigures], str]]] = [
        ("denoise", lambda one: _time(one.denoise)),
        ("commit", lambda one: _time(one.commit)),
        ("as played", lambda one: _time(one.played)),
        ("real-time factor", lambda one: f"{report.real_time_factor(one):.2f}"),
        ("network passes", lambda one: str(one.network_evaluations_per_block)),
        ("network frames", lambda one: str(one.network_frames_per_block)),
        ("by the formula", lambda one: str(one.formula_frames_per_block)),
        ("state, MiB", lambda one: f"{one.state_bytes / 2**20:.1f}"),
    ]
    rows = [(name, *(shown(one) for one in report.regimes)) for name, shown in kinds]
    for baseline in (one.regime for one in report.regimes):
        faster = report.times_faster(baseline).values()
        rows.append((f"times {baseline}", *(f"{value:.2f}" for value in faster)))
    return rows


def _time(stage: StageTime) -> str:
    return f"{1000 * stage.median:.0f} ({1000 * stage.p95:.0f}) [{1000 * stage.floor:.0f}]"
