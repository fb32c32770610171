"""`lmdm delay`: the generative delay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    GainOption,
    GuidanceOption,
    GuidedControlsOption,
    InputArgument,
    JsonOption,
    LeadOption,
    LookAheadOption,
    MixOption,
    ModelOption,
    OutOption,
    PromptArgument,
    RecordOption,
    SeedOption,
    StepsOption,
    ThreadsOption,
    TightnessOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.cli.session_rendering import Stage
    from lmdm_adapter.session.modes import Mode


def delay(
    source: InputArgument,
    prompt: PromptArgument = "",
    model: ModelOption = "tiny-controls",
    out: OutOption = Path("out.wav"),
    beats: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--beats", help="Length of the delay in beats; needs --bpm."),
    ] = None,
    bpm: Annotated[Optional[float], typer.Option("--bpm", help="Tempo of the beats.")] = None,  # noqa: UP045
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--seconds", "-s", help="Length of the delay in seconds, in place of beats."),
    ] = None,
    feedback: Annotated[
        float, typer.Option("--feedback", min=0, max=0.98, help="How much of what is played is heard again.")
    ] = 0.0,
    mix: MixOption = 0.5,
    tightness: TightnessOption = 1.0,
    gain: GainOption = 1.0,
    seed: SeedOption = 0,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    guided_controls: GuidedControlsOption = None,
    lead_seconds: LeadOption = 0.5,
    look_ahead_frames: LookAheadOption = None,
    record: RecordOption = None,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Play a sound file through a generative delay: what is heard becomes a sketch, and comes back as new music.

    Needs a model that was trained with sketches (`lmdm train finetune --controls sketch`). A delay that is shorter than
    what the session needs is refused, with the shortest that works. The file is one delay longer than the input.
    """
    from lmdm_adapter.cli.screen import say
    from lmdm_adapter.cli.session_rendering import SessionRequest, play_file, values_given

    delay_seconds = asked_seconds(beats, bpm, seconds)
    values = values_given(
        prompt=prompt, steps=steps, guidance=guidance, guided_controls=guided_controls, feedback=feedback, mix=mix,
        tightness=tightness, sketch_gain=gain,
    )  # fmt: skip
    request = SessionRequest(
        "delay", source, out, model, seed, values, tail_seconds=delay_seconds, lead_seconds=lead_seconds,
        look_ahead_frames=look_ahead_frames, json=json, record=record, device=device, dtype=dtype.value,
        threads=threads,
    )  # fmt: skip
    report = play_file(request, lambda stage: delay_mode_of(stage, delay_seconds, bpm), notice=say)
    promise = f"answers after {report.latency_seconds:.3f} s"
    say(report.told(f"{out}: {report.seconds:.2f} s", promise))


def asked_seconds(beats: float | None, bpm: float | None, seconds: float | None) -> float:
    """The length of the delay. Raises LmdmError unless it is given in one way, as a length of a minute at most."""
    from lmdm_adapter.errors import LmdmError
    from lmdm_adapter.session.delay_mode import LONGEST_SECONDS, delay_seconds_of

    if (beats is None) == (seconds is None) or (beats is not None and bpm is None):
        raise LmdmError("Give the delay either as --beats 4 --bpm 120, or as --seconds 2.")
    length = seconds if seconds is not None else delay_seconds_of(beats or 0.0, bpm or 0.0)
    if not 0.0 < length <= LONGEST_SECONDS:
        raise LmdmError(f"A delay lies between 0 and {LONGEST_SECONDS:g} s, got {length:g} s.")
    return length


def delay_mode_of(stage: Stage, delay_seconds: float, bpm: float | None) -> Mode:
    """The mode for the stage. Raises LmdmError for a delay that is too short for it."""
    from lmdm_adapter.session.delay_mode import DelayMode
    from lmdm_adapter.session.needs import sketch_settings

    config = sketch_settings(stage.live.section, "delay")
    return DelayMode.of(config, stage.facts, stage.plan, delay_seconds=delay_seconds, bpm=bpm)
