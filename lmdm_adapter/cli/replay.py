"""`lmdm replay`: a recorded session again, to the last bit or finer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    OutOption,
    StepsOption,
    ThreadsOption,
    VerboseOption,
)


def replay(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="Folder of a recording, or its log: log.jsonl, or the demo's events.")
    ],
    out: OutOption = Path("out.wav"),
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--model", "-m", help="The model that played it; by default the one that the log names."),
    ] = None,
    steps: StepsOption = None,
    device: DeviceOption = "cpu",
    dtype: Annotated[
        Optional[Dtype],  # noqa: UP045
        typer.Option("--dtype", help="Number format of the network; by default the one that the log names."),
    ] = None,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Play a recorded session again: the same samples for the same model, device and threads, or with more steps.

    Input, events, holds and fades come from the recording; only the music is made anew.
    """
    from lmdm_adapter.cli.replaying import ReplayRequest, replay_session
    from lmdm_adapter.cli.screen import say

    request = ReplayRequest(log, out, model, steps, device, None if dtype is None else dtype.value, threads)
    seconds = replay_session(request, notice=say)
    say(f"{out}: {seconds:.2f} s of {log}" + ("" if steps is None else f" at {steps} steps"))
