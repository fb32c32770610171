"""`lmdm sketch`: music that follows a sound's loudness, brightness, melody and rhythm."""

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


def sketch(
    source: InputArgument,
    prompt: PromptArgument = "",
    model: ModelOption = "tiny-controls",
    out: OutOption = Path("out.wav"),
    tightness: TightnessOption = 1.0,
    without: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--without", help="Leave loudness, brightness, melody or rhythm to the model; may be repeated."),
    ] = None,
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
    """Play music that goes as a sound goes: sketch the sound file, and let the model fill in what it should be.

    Needs a model that was trained with sketches (`lmdm train finetune --controls sketch`). The report (--json) carries
    compute time and deadline margin of every block, and how late a knob would act, part by part: the sketch is known
    ahead, and the music lies on it frame by frame.
    """
    from lmdm_adapter.cli.screen import say
    from lmdm_adapter.cli.session_rendering import SessionRequest, play_file, values_given

    values = values_given(
        prompt=prompt, steps=steps, guidance=guidance, guided_controls=guided_controls, tightness=tightness,
        sketch_gain=gain,
    )  # fmt: skip
    request = SessionRequest(
        "sketch", source, out, model, seed, values, lead_seconds=lead_seconds, look_ahead_frames=look_ahead_frames,
        json=json, record=record, device=device, dtype=dtype.value, threads=threads,
    )  # fmt: skip
    report = play_file(request, lambda stage: sketch_mode_of(stage, without or []), notice=say)
    promise = f"knobs would act after {report.latency_seconds:.3f} s"
    say(report.told(f"{out}: {report.seconds:.2f} s, frame by frame on the sketch of {source}", promise))


def sketch_mode_of(stage: Stage, without: list[str]) -> Mode:
    """The mode that follows the sketch of the stage's sound. Raises LmdmError for features that are none."""
    from lmdm_adapter.controls.sketch import sketched
    from lmdm_adapter.errors import LmdmError
    from lmdm_adapter.session.needs import sketch_settings
    from lmdm_adapter.session.sketch_mode import SketchMode

    config = sketch_settings(stage.live.section, "sketch")
    for feature in without:
        if feature not in config.features:
            raise LmdmError(f"--without takes {', '.join(config.ordered_features)}, got {feature!r}.")
    return SketchMode(config, sketch=sketched(config, stage.source), without=without)
