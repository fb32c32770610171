"""`lmdm live`: a session on sound devices, played by hand, OSC and MIDI."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelOption,
    SeedOption,
    ThreadsOption,
    VerboseOption,
)


class ModeName(str, Enum):
    """What a session is for."""

    stream = "stream"
    sketch = "sketch"
    jam = "jam"
    delay = "delay"


def live(
    prompt: Annotated[str, typer.Argument(help="What to play, for example '124 BPM house in A minor'.")] = "",
    model: ModelOption = "tiny",
    mode: Annotated[ModeName, typer.Option("--mode", help="What the session is for.")] = ModeName.stream,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Show the sound devices and end.")] = False,
    input: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--input", metavar="DEVICE", help="Number or part of the name; stream needs none."),
    ] = None,
    output: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--output", metavar="DEVICE", help="Number or part of the name; by default the system's choice."),
    ] = None,
    block_frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--block-frames", min=1, max=4096, help="Frames of a block; by default the model's own."),
    ] = None,
    latency: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--latency", metavar="S", help="Latency asked of the device; by default its least."),
    ] = None,
    lead: Annotated[float, typer.Option("--lead", metavar="S", help="How far ahead music is made.")] = 1.0,
    bpm: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--bpm", help="Tempo of the grid that blocks follow; by default none."),
    ] = None,
    beats: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--beats", help="For --mode delay: how late it answers, in beats of --bpm."),
    ] = None,
    osc_port: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--osc-port", metavar="P", help="Listen for OSC at this UDP port; 0 picks a free one."),
    ] = None,
    osc_host: Annotated[
        str, typer.Option("--osc-host", help="Address to listen at; 0.0.0.0 lets the whole network turn the knobs.")
    ] = "127.0.0.1",
    midi_in: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--midi-in", metavar="NAME", help="Part of a MIDI input's name, or 'virtual' for one of our own."),
    ] = None,
    midi_map: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--midi-map", metavar="FILE", help="JSON of which control turns what; learning writes it."),
    ] = None,
    midi_learn: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--midi-learn", metavar="NAME", help="Bind the next control to this parameter; may be repeated."),
    ] = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--record", metavar="DIR", help="Record sound and log into this folder."),
    ] = None,
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--minutes", help="End after so long; by default Ctrl-C ends it."),
    ] = None,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--steps", min=1, max=1000, help="Denoise steps per block; by default the model's own."),
    ] = None,
    guidance: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--guidance", help="How hard to follow the prompt; 1 is off; by default the model's own."),
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Play on sound devices. Ctrl-C fades out.

    Every parameter can be turned while the music plays, by OSC (--osc-port) and by MIDI knobs (--midi-in); see
    docs/live.md. The report (--json) carries underruns, real-time factors, memory and the latency budget.
    """
    from lmdm_adapter.cli.live_request import LiveRequest
    from lmdm_adapter.cli.live_session import play_live
    from lmdm_adapter.cli.live_view import show_devices
    from lmdm_adapter.cli.screen import say

    if list_devices:
        show_devices()
        return
    request = LiveRequest(
        prompt=prompt, model=model, mode=mode.value, source=input, output=output, block_frames=block_frames,
        latency_seconds=latency, lead_seconds=lead, bpm=bpm, beats=beats, osc_port=osc_port, osc_host=osc_host,
        midi_in=midi_in, midi_map=midi_map, midi_learn=tuple(midi_learn or ()), record=record, minutes=minutes,
        steps=steps, guidance=guidance, seed=seed, json=json, device=device, dtype=dtype.value, threads=threads,
    )  # fmt: skip
    report = play_live(request, notice=say)
    say(report.line())
