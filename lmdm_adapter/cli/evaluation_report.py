"""`lmdm evaluate MODEL`: the whole report, as JSON and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    JsonOption,
    Sampler,
    SeedOption,
    ThreadsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from lmdm_adapter.evaluation.report_plan import Contender, ReportPlan
    from lmdm_adapter.evaluation.report_values import Report

ModelArgument = Annotated[str, typer.Argument(help="The bundled model 'tiny', a folder, or a hub id.")]
ReferenceOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--reference", metavar="DIR", help="Recordings to compare with; by default held-out songs."),
]
MinutesOption = Annotated[float, typer.Option("--minutes", help="Length of every stream.")]
StreamsOption = Annotated[int, typer.Option("--streams", help="Streams played together, at least 16.")]
WindowOption = Annotated[float, typer.Option("--window-seconds", help="Measures are taken in windows of this length.")]
BaselineOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--baseline", help="A model to play beside it, such as the same one before ARC-Forcing."),
]
BaselineGuidanceOption = Annotated[
    Optional[list[float]],  # noqa: UP045
    typer.Option("--baseline-guidance", help="Give several: the best by kernel distance of one window is taken."),
]
BaselineStepsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--baseline-steps", min=1, max=1000, help="Denoise steps of the baseline; by default its own."),
]
BaselineSamplerOption = Annotated[
    Optional[Sampler],  # noqa: UP045
    typer.Option("--baseline-sampler", help="Sampler of the baseline; by default its own."),
]
EmbeddingOption = Annotated[
    str, typer.Option("--embedding", help="'built-in', or the folder or hub id of a CLAP checkpoint.")
]
StepsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--steps", min=1, max=1000, help="Denoise steps per block; by default the model's own."),
]
GuidanceOption = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option("--guidance", help="How hard the model follows prompts; by default its own."),
]
SamplerOption = Annotated[
    Optional[Sampler],  # noqa: UP045
    typer.Option("--sampler", help="By default the model's own."),
]
HtmlOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", metavar="FILE", help="Write a page with tables, plots and players here."),
]


def report(
    model: ModelArgument = "tiny",
    reference: ReferenceOption = None,
    minutes: MinutesOption = 10.0,
    streams: StreamsOption = 16,
    window_seconds: WindowOption = 30.0,
    baseline: BaselineOption = None,
    baseline_guidance: BaselineGuidanceOption = None,
    baseline_steps: BaselineStepsOption = None,
    baseline_sampler: BaselineSamplerOption = None,
    embedding: EmbeddingOption = "built-in",
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    sampler: SamplerOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    html: HtmlOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Distances, agreement with prompts, and drift over minutes; a baseline beside it.

    Plays STREAMS streams of MINUTES together, each from the prompt of another held-out song, and measures every
    window: Fréchet and kernel distance, tempo, beats, key, chords, style, loudness and brightness, each with a slope
    per minute and its interval. A window more goes on from the songs themselves. `lmdm evaluate MODEL` is short for
    this. Takes two minutes, plus the playing: the bundled model makes about 4 seconds of music per second on one core,
    so 16 streams of 10 minutes take three quarters of an hour, and a baseline as much again. Memory does not grow with
    MINUTES. Needs the extra: pip install 'lmdm-adapter[evaluate]'.
    """
    request = ReportRequest(
        model=model, reference=reference, baseline=baseline, baseline_guidance=tuple(baseline_guidance or ()),
        baseline_steps=baseline_steps, baseline_sampler=None if baseline_sampler is None else baseline_sampler.value,
        steps=steps, guidance=guidance, sampler=None if sampler is None else sampler.value, json=json, html=html,
        device=device, dtype=dtype.value, threads=threads,
    )  # fmt: skip
    from lmdm_adapter.cli.evaluation_screen import show_report
    from lmdm_adapter.evaluation.report_plan import ReportPlan

    plan = ReportPlan(
        minutes=minutes, streams=streams, window_seconds=window_seconds, seed=seed, embedding=embedding
    )  # fmt: skip
    show_report(evaluated(request, plan))


@dataclass(frozen=True)
class ReportRequest:
    """What the command was asked for besides the plan; None leaves a setting to the model.

    Raises LmdmError for outputs that cannot be written or have one name, and settings of a baseline without one.
    """

    model: str
    reference: Path | None
    baseline: str | None
    baseline_guidance: tuple[float, ...]
    baseline_steps: int | None
    baseline_sampler: str | None
    steps: int | None
    guidance: float | None
    sampler: str | None
    json: Path | None
    html: Path | None
    device: str
    dtype: str
    threads: int | None
    guided_controls: bool | None = None

    def __post_init__(self) -> None:
        from lmdm_adapter.errors import LmdmError
        from lmdm_adapter.io.atomic import require_writable

        targets = [require_writable(path) for path in (self.json, self.html) if path is not None]
        if len(set(targets)) < len(targets):
            raise LmdmError(f"--json and --html both name {self.json}; give one of them another name.")
        settings = {
            "--baseline-guidance": self.baseline_guidance or None, "--baseline-steps": self.baseline_steps,
            "--baseline-sampler": self.baseline_sampler,
        }  # fmt: skip
        if self.baseline is None and (given := [name for name, value in settings.items() if value is not None]):
            raise LmdmError(f"{given[0]} says how a baseline plays; name one with --baseline.")


def evaluated(request: ReportRequest, plan: ReportPlan) -> Report:
    """Check everything, load, measure and write. Raises LmdmError for whatever the user can mend."""
    from lmdm_adapter.cli.evaluation_screen import stages
    from lmdm_adapter.cli.references import Recordings, recordings
    from lmdm_adapter.cli.screen import say_skipped
    from lmdm_adapter.evaluation.extras import require_extras
    from lmdm_adapter.evaluation.report import evaluate_report

    require_extras(plots=request.html is not None, resampling=request.reference is not None)
    found = None if request.reference is None else recordings(request.reference)
    if found is not None:
        say_skipped(found.skipped, found.others)
    model, baseline = contenders(request)
    sounds = None if found is None else Recordings(found.files, model.live.codec.sample_rate)
    name = "held-out songs" if found is None else found.name
    with stages() as stage:
        report = evaluate_report(model, plan, baseline=baseline, reference=sounds, reference_name=name, progress=stage)
    _write(report, request)
    return report


def contenders(request: ReportRequest) -> tuple[Contender, Contender | None]:
    """The model and its baseline, loaded. Raises LmdmError for one that is not there."""
    from lmdm_adapter.cli.models import open_model
    from lmdm_adapter.cli.rendering import sampling_of
    from lmdm_adapter.evaluation.report_plan import Contender

    place = {"device": request.device, "dtype": request.dtype, "threads": request.threads}
    live = open_model(request.model, **place)
    asked = sampling_of(
        live.sampling, steps=request.steps, guidance=request.guidance, sampler=request.sampler,
        guided_controls=request.guided_controls,
    )  # fmt: skip
    model = Contender(request.model, live, asked)
    if request.baseline is None:
        return model, None
    other = open_model(request.baseline, **place)
    own = sampling_of(other.sampling, steps=request.baseline_steps, sampler=request.baseline_sampler)
    guidances = request.baseline_guidance
    tried = [sampling_of(own, guidance=guidance) for guidance in guidances] or [own]
    return model, Contender(request.baseline, other, tried[0], guidances if len(guidances) > 1 else ())


def _write(report: Report, request: ReportRequest) -> None:
    from lmdm_adapter.io.atomic import write_json, write_text

    if request.json is not None:
        write_json(request.json, report.to_json())
    if request.html is not None:
        from lmdm_adapter.evaluation.page import report_page

        write_text(request.html, report_page(report))
