"""The program: its commands, and what happens around all of them."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from lmdm_adapter.cli import (
    bench,
    bench_arc_memory,
    bench_finetune,
    bench_training,
    convert,
    delay,
    demo,
    doctor,
    encode,
    evaluate,
    inspect,
    jam,
    live,
    replay,
    sketch,
    stream,
    train,
)
from lmdm_adapter.cli.errors import SentenceGroup
from lmdm_adapter.cli.options import VerboseOption

app = typer.Typer(
    name="lmdm",
    cls=SentenceGroup,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Endless, playable music from Stable Audio checkpoints, made block by block.",
)
app.command("stream")(stream.stream)
app.command("sketch")(sketch.sketch)
app.command("jam")(jam.jam)
app.command("delay")(delay.delay)
app.command("replay")(replay.replay)
app.command("live")(live.live)
app.command("demo")(demo.demo)
app.command("convert")(convert.convert)
app.command("encode")(encode.encode)
app.command("inspect")(inspect.inspect)
app.command("bench")(bench.bench)
app.command("bench-finetune")(bench_finetune.bench_finetune)
app.command("bench-arc-memory")(bench_arc_memory.bench_arc_memory)
app.command("bench-training")(bench_training.bench_training)
app.command("doctor")(doctor.doctor)
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="evaluate")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lmdm-adapter {_version()}")
        raise typer.Exit


def _version() -> str:
    try:
        return importlib.metadata.version("lmdm-adapter")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    pass


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    # Leaving by an exception lets every unfinished output be removed.
    sys.exit(128 + number)


def main() -> None:
    """Entry point of the console script `lmdm`."""
    # Threads that spin while they wait bring a stream to a halt as soon as another program wants a core; torch reads
    # this when it is imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    signal.signal(signal.SIGTERM, _terminated)
    app()
