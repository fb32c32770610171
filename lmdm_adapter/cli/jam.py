"""`lmdm jam`: music that goes with another player."""

from __future__ import annotations

from collections.abc import Callable
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
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.cli.session_rendering import Stage
    from lmdm_adapter.session.modes import Mode


def jam(
    source: InputArgument,
    prompt: PromptArgument = "",
    model: ModelOption = "tiny-controls",
    out: OutOption = Path("out.wav"),
    visibility_seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--visibility-seconds",
            help="How much of the input is known when a block is begun; positive sees ahead. By default as if live.",
        ),
    ] = None,
    mix: MixOption = 1.0,
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
    """Play music that goes with a sound file, as it would with a player on stage: nothing is heard before its time.

    Needs a model that was trained with an accompaniment (`lmdm train finetune --controls accompaniment`). The report
    (--json) carries compute time and deadline margin of every block, and the latency of the session, part by part.
    """
    from lmdm_adapter.cli.screen import say
    from lmdm_adapter.cli.session_rendering import SessionRequest, play_file, values_given
    from lmdm_adapter.cli.session_report import KNOB

    values = values_given(
        prompt=prompt, steps=steps, guidance=guidance, guided_controls=guided_controls, accompaniment_gain=gain, mix=mix
    )  # fmt: skip
    request = SessionRequest(
        "jam", source, out, model, seed, values, lead_seconds=lead_seconds, look_ahead_frames=look_ahead_frames,
        json=json, record=record, device=device, dtype=dtype.value, threads=threads,
    )  # fmt: skip
    report = play_file(request, lambda stage: jam_mode_of(stage, visibility_seconds, say), notice=say)
    late = "knobs would act" if report.latency_of == KNOB else "answering"
    promise = f"{late} after {report.latency_seconds:.2f} s"
    say(report.told(f"{out}: {report.seconds:.2f} s with {source}", promise))


def jam_mode_of(stage: Stage, visibility_seconds: float | None, notice: Callable[[str], None]) -> Mode:
    """The mode that goes with the stage's sound: heard as it is played, or known ahead where live could not show it."""
    from lmdm_adapter.controls.listening import Listening
    from lmdm_adapter.session.jam_mode import JamMode, JamTiming, late_frames, untrained_line, visible_frames

    facts, listening = stage.facts, Listening.of(stage.live.codec, stage.live.section.frame_controls)
    most = -late_frames(facts, stage.plan, look_ahead_frames=listening.delay_frames)
    if visibility_seconds is None or visible_frames(visibility_seconds, facts) <= most:
        timing = JamTiming.live(listening, facts, stage.plan, visibility_seconds=visibility_seconds)
        if (line := untrained_line(timing, facts)) is not None:
            notice(line)
        return JamMode(listening, timing)
    notice(f"The file is known ahead; of a live input at most {most / facts.frame_rate_hz:.2f} s would be visible.")
    timing = JamTiming.ahead(listening, facts, visibility_seconds=visibility_seconds)
    return JamMode(listening, timing, known=listening.whole(stage.source))
