"""`lmdm stream`: endless music into a sound file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelOption,
    Regime,
    Sampler,
    SeedOption,
    ThreadsOption,
    VerboseOption,
)


def stream(
    prompt: Annotated[str, typer.Argument(help="What to play, for example '124 BPM house in A minor'.")] = "",
    model: ModelOption = "tiny",
    seconds: Annotated[float, typer.Option("--seconds", "-s", help="Length of the file, at most 24 hours.")] = 20.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Sound file to write, .wav or .flac.")] = Path("out.wav"),
    prime: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--prime", help="Continue from the end of this sound file, of any rate."),
    ] = None,
    seed: SeedOption = 0,
    steps: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--steps", min=1, max=1000, help="Denoise steps per block; by default the model's own."),
    ] = None,
    guidance: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--guidance", help="How hard to follow the prompt; 1 is off; by default the model's own."),
    ] = None,
    sampler: Annotated[
        Optional[Sampler],  # noqa: UP045
        typer.Option("--sampler", help="By default the model's own."),
    ] = None,
    regime: Annotated[
        Optional[Regime],  # noqa: UP045
        typer.Option("--regime", help="By default the model's own; outpaint plays offline checkpoints too, slowly."),
    ] = None,
    look_ahead_frames: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--look-ahead-frames", min=0, help="Frames that sound lags behind; by default exact decoding."),
    ] = None,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Play endless music from a prompt into a sound file, block by block.

    The report (--json) carries made and computed seconds per block and the real-time factor, which is
    compute time divided by audio time: below 1 the machine keeps up with playing. Ctrl-C keeps nothing.
    """
    from lmdm_adapter.cli.rendering import Request, render
    from lmdm_adapter.cli.screen import say

    request = Request(
        prompt=prompt, model=model, seconds=seconds, out=out, prime=prime, seed=seed, steps=steps, guidance=guidance,
        sampler=None if sampler is None else sampler.value, json=json, device=device, dtype=dtype.value,
        threads=threads, look_ahead_frames=look_ahead_frames, regime=None if regime is None else regime.value,
    )  # fmt: skip
    report = render(request, notice=say)
    say(
        f"{out}: {report.seconds:.2f} s of music, real-time factor {report.real_time_factor:.2f}, "
        f"first sound after {report.first_audio_seconds:.2f} s"
    )
