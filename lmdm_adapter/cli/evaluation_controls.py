"""`lmdm evaluate jam` and `lmdm evaluate sketch`: whether a model follows what it is given, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from lmdm_adapter.cli.evaluation_report import (
    GuidanceOption,
    HtmlOption,
    ReportRequest,
    SamplerOption,
    StepsOption,
    contenders,
)
from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    GuidedControlsOption,
    JsonOption,
    Sampler,
    SeedOption,
    ThreadsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.evaluation.control_report import ControlReport
    from lmdm_adapter.evaluation.report_plan import Contender
    from lmdm_adapter.evaluation.ruler import Progress

    Evaluate = Callable[[Contender, Contender | None, Progress], ControlReport]

ModelArgument = Annotated[str, typer.Argument(help="A folder or a hub id: a model that was trained with this control.")]
SongsOption = Annotated[
    int, typer.Option("--songs", help="Held-out songs played together; the units of all intervals.")
]
SecondsOption = Annotated[float, typer.Option("--seconds", help="Measured music of every song.")]
BaselineOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--baseline", help="A second model in the same places, such as this one before ARC-Forcing."),
]


class Prompt(str, Enum):
    """How much a prompt gives away."""

    part = "part"
    full = "full"


def jam(
    model: ModelArgument,
    songs: SongsOption = 16,
    seconds: SecondsOption = 30.0,
    visibility: Annotated[
        str, typer.Option("--visibility", metavar="SECONDS", help='How much of the others is known: "2, 0, -1".')
    ] = "2 1 0 -1 -2",
    stem: Annotated[
        str,
        typer.Option("--stem", help='What the model plays, "bass+chords", and hears if not all others: "bass<drums".'),
    ] = "bass",
    prompt: Annotated[
        Prompt, typer.Option("--prompt", help="'part' names style and sound, 'full' tempo and key too.")
    ] = Prompt.part,
    warm_up_seconds: Annotated[float, typer.Option("--warm-up-seconds", help="Played first and not measured.")] = 6.0,
    baseline: BaselineOption = None,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    sampler: SamplerOption = None,
    guided_controls: GuidedControlsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    html: HtmlOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Does the model play along? Chords and beats of its part against songs whose other stems it hears.

    Plays STEM in SONGS held-out songs at each VISIBILITY, then again hearing another song, and once hearing nothing;
    agreement must beat both. Visibility is how much of the others is known when a block is begun: 2 s of future to 2 s
    of delay unless told; more than the block changes nothing, and what gives one lag is played once. At the bundled
    model's size 16 songs take some 30 minutes on one core of its own, by an estimate. Needs the extra:
    pip install 'lmdm-adapter[evaluate]'.
    """
    from lmdm_adapter.evaluation.jam import evaluate_jam
    from lmdm_adapter.evaluation.jam_material import JamPlan

    plan = JamPlan(
        songs=songs, seconds=seconds, visibility_seconds=numbers(visibility, "--visibility"), stem=stem,
        prompt=prompt.value, warm_up_seconds=warm_up_seconds, seed=seed,
    )  # fmt: skip
    request = _request(model, baseline, steps, guidance, sampler, guided_controls, json, html, device, dtype, threads)
    _measure(request, lambda one, other, stage: evaluate_jam(one, plan, other=other, progress=stage))


def sketch(
    model: ModelArgument,
    songs: SongsOption = 16,
    seconds: SecondsOption = 30.0,
    tightness: Annotated[
        str, typer.Option("--tightness", metavar="NUMBERS", help='From 0, loose, to 1, exact: "0, 0.5, 1".')
    ] = "0 0.25 0.5 0.75 1",
    baseline: BaselineOption = None,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    sampler: SamplerOption = None,
    guided_controls: GuidedControlsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    html: HtmlOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Does the model follow a sketch? Each drawn feature against what is heard in the output.

    Plays SONGS held-out songs from their sketches at each TIGHTNESS, then again from the sketch of another song, once
    from none, and from each feature alone; agreement must beat both baselines. At the bundled model's size and on one
    core of its own 16 songs take some 30 minutes, by an estimate. Needs the extras:
    pip install 'lmdm-adapter[evaluate,sketch]'.
    """
    from lmdm_adapter.evaluation.sketch_following import SketchPlan, evaluate_sketch

    plan = SketchPlan(songs=songs, seconds=seconds, tightness=numbers(tightness, "--tightness"), seed=seed)
    request = _request(model, baseline, steps, guidance, sampler, guided_controls, json, html, device, dtype, threads)
    _measure(request, lambda one, other, stage: evaluate_sketch(one, plan, other=other, progress=stage))


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers between spaces or commas. Raises LmdmError for anything else."""
    from lmdm_adapter.errors import LmdmError

    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise LmdmError(f'{option} takes numbers between spaces or commas, such as "1 0.5 0"; got {text!r}.') from None


def _request(
    model: str, baseline: str | None, steps: int | None, guidance: float | None, sampler: Sampler | None,
    guided_controls: bool | None, json: Path | None, html: Path | None, device: str, dtype: Dtype, threads: int | None,
) -> ReportRequest:  # fmt: skip
    return ReportRequest(
        model=model, reference=None, baseline=baseline, baseline_guidance=(), baseline_steps=None,
        baseline_sampler=None, steps=steps, guidance=guidance, sampler=None if sampler is None else sampler.value,
        json=json, html=html, device=device, dtype=dtype.value, threads=threads,
        guided_controls=guided_controls,
    )  # fmt: skip


def _measure(request: ReportRequest, evaluate: Evaluate) -> None:
    from lmdm_adapter.cli.evaluation_screen import show_control_report, stages
    from lmdm_adapter.evaluation.control_page import control_page
    from lmdm_adapter.evaluation.extras import require_extras
    from lmdm_adapter.io.atomic import write_json, write_text

    require_extras(plots=request.html is not None, resampling=False)
    model, other = contenders(request)
    with stages() as stage:
        report = evaluate(model, other, stage)
    if request.json is not None:
        write_json(request.json, report.to_json())
    if request.html is not None:
        write_text(request.html, control_page(report))
    show_control_report(report)
