"""The options of `lmdm live`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer


class ModeName(str, Enum):
    """What a session is for."""

    stream = "stream"
    sketch = "sketch"
    jam = "jam"
    delay = "delay"


PromptArgument = Annotated[str, typer.Argument(help="What to play, for example '124 BPM house in A minor'.")]
ModeOption = Annotated[ModeName, typer.Option("--mode", help="What the session is for.")]
ListDevicesOption = Annotated[bool, typer.Option("--list-devices", help="Show the sound devices and end.")]
InputOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--input", metavar="DEVICE", help="Number or part of the name; stream needs none."),
]
OutputOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--output", metavar="DEVICE", help="Number or part of the name; by default the system's choice."),
]
BlockFramesOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--block-frames", min=1, max=4096, help="Frames of a block; by default the model's own."),
]
LatencyOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--latency", metavar="S", help="Latency asked of the device; by default its least."),
]
LeadOption = Annotated[float, typer.Option("--lead", metavar="S", help="How far ahead music is made.")]
ReopenOption = Annotated[
    float,
    typer.Option("--reopen-seconds", metavar="S", help="Wait so long for a device that was unplugged; 0 ends at once."),
]
CalibrateOption = Annotated[
    bool, typer.Option("--calibrate", help="Play pings, listen for them, tell the round trip, and end.")
]
RoundTripOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--round-trip-ms", metavar="MS", help="What --calibrate found; by default what the device claims."),
]
BpmOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--bpm", help="Tempo of the grid that blocks follow; by default none."),
]
BeatsOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--beats", help="For --mode delay: how late it answers, in beats of --bpm."),
]
OscPortOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--osc-port", metavar="P", help="Listen for OSC at this UDP port; 0 picks a free one."),
]
OscHostOption = Annotated[
    str, typer.Option("--osc-host", help="Address to listen at; 0.0.0.0 lets the whole network turn the knobs.")
]
MidiInOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--midi-in", metavar="NAME", help="Part of a MIDI input's name, or 'virtual' for one of our own."),
]
MidiMapOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--midi-map", metavar="FILE", help="JSON of which control turns what; learning writes it."),
]
MidiLearnOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--midi-learn", metavar="NAME", help="Bind the next control to this parameter; may be repeated."),
]
RecordOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--record", metavar="DIR", help="Record sound and log into this folder."),
]
MinutesOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--minutes", help="End after so long; by default Ctrl-C ends it."),
]
StepsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--steps", min=1, max=1000, help="Denoise steps per block; by default the model's own."),
]
GuidanceOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--guidance", help="How hard to follow the prompt; 1 is off; by default the model's own."),
]
