"""Options that several commands share, so that one word means one thing everywhere."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional, get_args

import typer

from lmdm_adapter import spec

Regime = Enum("Regime", {name: name for name in get_args(spec.Regime)}, type=str)  # type: ignore[misc]
Sampler = Enum("Sampler", {name: name for name in get_args(spec.Sampler)}, type=str)  # type: ignore[misc]


class Dtype(str, Enum):
    """Number format of weights and activations."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def set_verbose(verbose: bool) -> None:
    """Show log messages on standard error, or be quiet."""
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("lmdm_adapter").setLevel(logging.DEBUG)


ModelOption = Annotated[
    str,
    typer.Option("--model", "-m", help="A bundled model ('tiny', 'tiny-controls'), a folder, or a hub id: owner/name."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same settings, same machine: same music.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Where to compute: cpu, cuda, cuda:1, mps.")]
DtypeOption = Annotated[Dtype, typer.Option("--dtype", help="Number format of the network.")]
ThreadsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--threads", min=1, max=256, help="CPU threads; by default as many as torch likes."),
]
JsonOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--json", metavar="FILE", help="Write a report here."),
]
PromptArgument = Annotated[str, typer.Argument(help="What to play, for example '124 BPM house in A minor'.")]
InputArgument = Annotated[Path, typer.Argument(metavar="IN", help="Sound file to hear, of any rate and channels.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Sound file to write, .wav or .flac.")]
StepsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--steps", min=1, max=1000, help="Denoise steps per block; by default the model's own."),
]
GuidanceOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--guidance", min=0, max=100, help="How hard to follow the prompt; by default the model's own."),
]
GuidedControlsOption = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option(
        "--guided-controls/--no-guided-controls",
        help="Guidance leads towards what is heard or drawn as well as the prompt; by default the model's own.",
    ),
]
LookAheadOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--look-ahead-frames", min=0, help="Frames that sound lags behind; by default exact decoding."),
]
LeadOption = Annotated[
    float, typer.Option("--lead-seconds", min=0.05, max=10, help="How far ahead of playback music is made.")
]
RecordOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--record", metavar="DIR", help="Record the session: sound, input and log, for `lmdm replay`."),
]
GainOption = Annotated[float, typer.Option("--gain", min=0, max=4, help="How much the input counts; 1 is as trained.")]
MixOption = Annotated[
    float, typer.Option("--mix", min=0, max=1, help="From the input alone (0) to the music alone (1).")
]
TightnessOption = Annotated[
    float, typer.Option("--tightness", min=0, max=1, help="How exactly the sketch is followed: 0 loose, 1 exact.")
]
ShapeOption = Annotated[str, typer.Option("--shape", help="Sizes of sao-small, sao-1.0 or tiny.")]
BlockFramesOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--block-frames", min=1, max=4096, help="By default 48, or 12 for tiny."),
]
ContextFramesOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--context-frames", min=1, max=65536, help="Whole blocks; by default 192."),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", callback=set_verbose, is_eager=True, help="Show log messages.")
]
