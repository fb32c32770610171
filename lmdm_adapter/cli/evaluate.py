"""`lmdm evaluate`: the whole report, music by measure, controls by measure, and minutes of playing by measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmdm_adapter.cli import evaluation_controls, evaluation_report
from lmdm_adapter.cli.errors import FAILED, SentenceGroup
from lmdm_adapter.cli.evaluation_screen import Row, stages, table
from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    JsonOption,
    SeedOption,
    ThreadsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.evaluation.checks import Check
    from lmdm_adapter.evaluation.frechet import Distance
    from lmdm_adapter.evaluation.music import MusicReport
    from lmdm_adapter.evaluation.soak import SoakReport


class ReportByDefault(SentenceGroup):
    """`lmdm evaluate MODEL` is `lmdm evaluate report MODEL`: whatever names no command names a model."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begin with, or the report."""
        known = args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["report", *args])


app = typer.Typer(
    cls=ReportByDefault, no_args_is_help=True,
    help="Measure a model's music, and whether it plays for long. `lmdm evaluate MODEL` gives the whole report.",
)  # fmt: skip
app.command("report")(evaluation_report.report)
app.command("jam")(evaluation_controls.jam)
app.command("sketch")(evaluation_controls.sketch)

ModelArgument = Annotated[str, typer.Argument(help="The bundled model 'tiny', a folder, or a Hugging Face hub id.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="End with exit code 1 when a target is missed.")]

MEANINGS = {
    "real": "the prompt songs themselves: a perfect model",
    "codec": "the prompt songs through the codec: perfect latents",
    "cold": "streams of the model from silence",
    "primed": "streams of the model going on from the prompt songs",
    "untrained": "streams of the network with fresh weights",
    "shuffled": "the prompt songs, codec frames in random order",
    "loop": "one 2 s loop repeated, the median of all loops",
    "loops": "every prompt song as a 2 s loop of its own",
}


@app.command("music")
def music(
    model: ModelArgument = "tiny",
    windows: Annotated[int, typer.Option("--windows", help="Windows of 2 s a side, at least 1000.")] = 1000,
    prompts: Annotated[int, typer.Option("--prompts", help="Held-out prompts, each with another tempo.")] = 32,
    seed: SeedOption = 0,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    strict: StrictOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Fréchet distance to held-out songs, and tempo against the prompt.

    Plays WINDOWS seconds of the model cold, as much primed, and as much of its untrained network, and holds them and
    spoiled real audio against held-out songs. Takes two minutes, plus that playing: with the bundled model about 15
    minutes on one core. Targets: at most half the distance of each baseline; the prompt's tempo within 4 % in half of
    the cold streams.
    """
    from lmdm_adapter.cli.models import open_model
    from lmdm_adapter.evaluation.music import MusicPlan, evaluate_music

    plan = MusicPlan(windows=windows, prompts=prompts, seed=seed)
    _require_writable(json)
    live = open_model(model, device=device, dtype=dtype.value, threads=threads)
    with stages() as stage:
        report = evaluate_music(live, plan, progress=stage)
    _finish({"model": model, **report.to_json()}, json)
    _show_music(report)
    _end(report.passed, strict)


@app.command("soak")
def soak(
    model: ModelArgument = "tiny",
    minutes: Annotated[float, typer.Option("--minutes", help="Minutes of music to play.")] = 10.0,
    prompt: Annotated[str, typer.Option("--prompt", help="What to play.")] = "124 BPM house in A minor",
    seed: SeedOption = 0,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    strict: StrictOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Play for MINUTES and watch memory, speed, NaN, and what streaming decode costs.

    Takes as long as the music at a real-time factor of 1, less if the model is faster. Nothing is written but the
    report. Targets: real-time factor below 1, level memory, no NaN, exact mode equal to the one-shot decode to 1e-5,
    low-latency borders at most -50 dB of peak.
    """
    from lmdm_adapter.cli.models import open_model
    from lmdm_adapter.cli.screen import block_progress
    from lmdm_adapter.evaluation import soak as soaking

    plan = soaking.SoakPlan(minutes=minutes, prompt=prompt, seed=seed)
    _require_writable(json)
    live = open_model(model, device=device, dtype=dtype.value, threads=threads)
    with block_progress() as progress:
        bar = progress.add_task(prompt, total=minutes * 60.0, block_ms=0.0, factor=0.0)
        block_ms = 1000.0 * live.spec.block_frames / live.codec.frame_rate_hz

        def show(seconds: float, factor: float) -> None:
            progress.update(bar, completed=seconds, block_ms=factor * block_ms, factor=factor)

        report = soaking.soak(live, plan, progress=show)
    _finish({"model": model, **report.to_json()}, json)
    _show_soak(report)
    _end(report.passed, strict)


def _require_writable(json: Path | None) -> None:
    """Say so before minutes of work, not after."""
    from lmdm_adapter.io.atomic import require_writable

    if json is not None:
        require_writable(json)


def _finish(report: dict[str, Any], json: Path | None) -> None:
    from lmdm_adapter.io.atomic import write_json

    if json is not None:
        write_json(json, report)


def _end(passed: bool, strict: bool) -> None:
    if strict and not passed:
        raise typer.Exit(FAILED)


def _show_music(report: MusicReport) -> None:
    table("Fréchet distance to held-out songs", ("audio", "distance", "95 %", "windows", ""), _distance_rows(report))
    tempos = [
        (name, f"{tempo.matches:.0%}", f"{tempo.octave_matches:.0%}", f"{tempo.chance:.0%}", MEANINGS.get(name, name))
        for name, tempo in report.tempos.items()
    ]
    heads = ("audio", "prompt's tempo", "or half or double", "by chance", "")
    table("Tempo within 4 % of the prompt", heads, tempos)
    _show_checks(report.checks)


def _distance_rows(report: MusicReport) -> list[Row]:
    rows = [_distance_row("floor", report.floor, "two halves of the held-out songs")]
    for name, distance in sorted(report.distances.items(), key=lambda item: item[1].value):
        rows.append(_distance_row(name, distance, MEANINGS.get(name, name)))
    return [*rows, ("nearest loop", f"{report.nearest_loop:.1f}", "", "", "the best of all single loops")]


def _distance_row(name: str, distance: Distance, meaning: str) -> Row:
    interval = f"{distance.low:.1f} to {distance.high:.1f}"
    return name, f"{distance.value:.1f}", interval, str(distance.windows[0]), meaning


def _show_soak(report: SoakReport) -> None:
    rows: list[Row] = [
        ("music", f"{report.seconds:.1f} s in {report.blocks} blocks, {report.threads} threads"),
        ("real-time factor", f"{report.factor:.3f}, median {report.factor_median:.3f}, 95th {report.factor_p95:.3f}"),
        ("peak", f"{report.peak:.3f}"),
    ]
    if report.rss_first_mib is not None:
        rows.append(("memory", f"{report.rss_first_mib:.0f} MiB after warm-up, {report.rss_last_mib:.0f} at the end"))
    if report.border is not None:
        rows.append(("look-ahead", f"{report.border.look_ahead_frames} frames"))
    table("Playing", ("figure", ""), rows)
    _show_checks(report.checks)


def _show_checks(checks: Sequence[Check]) -> None:
    rows = [
        (
            check.name, f"{check.value:.3g}", "" if check.low is None else f"{check.low:.3g} to {check.high:.3g}",
            f"{'at least' if check.at_least else 'at most'} {check.limit:g}", "pass" if check.passed else "MISS",
        )
        for check in checks
    ]  # fmt: skip
    table("Targets", ("measure", "figure", "95 %", "target", ""), rows)
