"""A session on a sound file, faster than real time: the same engine as live, pulled by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.progress import Progress, TaskID

from lmdm_adapter.audio import Audio
from lmdm_adapter.cli.heard_sound import heard_sound
from lmdm_adapter.cli.models import open_model
from lmdm_adapter.cli.screen import block_progress
from lmdm_adapter.cli.session_report import ANSWER, KNOB, SessionReport, against_deadlines
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.atomic import require_apart, require_writable
from lmdm_adapter.io.files import AudioWriter, require_audio_target, write_json
from lmdm_adapter.session.delay_mode import DelayMode
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.jam_mode import JamMode
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.needs import require_needs
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.recorder import LOG_NAME, RECORDED, Recorder, Recording, require_unrecorded
from lmdm_adapter.session.sketch_mode import SketchMode

if TYPE_CHECKING:
    from lmdm_adapter.live import LiveModel

CHUNK_SAMPLES = 512
CHUNKS_OF_A_LEAD = 4


@dataclass(frozen=True)
class SessionRequest:
    """What `lmdm sketch`, `jam` or `delay` was asked for; None leaves a setting to the model.

    `values` are parameters of the session, `tail_seconds` what is played after the input's end. Raises LmdmError for
    outputs that cannot be written, two of one name, one that is the input or recorded, or a recording that is there
    already.
    """

    mode: str
    source: Path
    out: Path
    model: str
    seed: int
    values: Mapping[str, Any] = field(default_factory=dict)
    tail_seconds: float = 0.0
    lead_seconds: float = 0.5
    look_ahead_frames: int | None = None
    json: Path | None = None
    record: Path | None = None
    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None

    def __post_init__(self) -> None:
        target = require_audio_target(self.out)
        if self.json is not None and require_writable(self.json) == target:
            raise LmdmError(f"--out and --json both name {self.out}; give the report another name.")
        require_apart((self.out, self.json), (self.source,))
        if self.record is not None:
            require_unrecorded(self.record)
            names = (LOG_NAME, *(f"{sound}.wav" for sound in RECORDED))
            require_apart((self.out, self.json), (self.record / name for name in names))


class Stage(NamedTuple):
    """What a mode is made for: the model, its facts, the plan of the session, and the sound that will be heard."""

    live: LiveModel
    facts: Facts
    plan: SessionPlan
    source: Audio


def values_given(**given: Any) -> dict[str, Any]:
    """Parameters of a session without those that were not given."""
    return {name: value for name, value in given.items() if value is not None}


def play_file(
    request: SessionRequest, mode_of: Callable[[Stage], Mode], *, notice: Callable[[str], None]
) -> SessionReport:
    """Load, hear, play, write, report. Raises LmdmError for whatever the user can mend, and leaves no file behind then.

    A recording (`request.record`) is kept as far as it came. `notice` gets a line for what is odd about the input.
    """
    began = time.perf_counter()
    live = open_model(request.model, device=request.device, dtype=request.dtype, threads=request.threads)
    load_seconds = time.perf_counter() - began
    require_needs(live.section, request.mode, model=request.model)
    state = live.start(request.seed, look_ahead_frames=request.look_ahead_frames)
    facts = facts_of(live, look_ahead_frames=request.look_ahead_frames)
    plan = SessionPlan.listening(request.lead_seconds)
    source = heard_sound(request.source, facts, notice=notice)
    mode = mode_of(Stage(live, facts, plan, source))
    recorder = None if request.record is None else Recorder(request.record, facts, with_input=True)
    engine = Engine(
        live, facts, mode, state=state, plan=plan, values=request.values, source=(facts.sample_rate, facts.channels),
        tap=None if recorder is None else recorder.tap,
    )  # fmt: skip
    records = _played(request, engine, source, recorder)
    report = _reported(request, engine, records, load_seconds=load_seconds)
    if request.json is not None:
        write_json(request.json, report.to_json())
    return report


def _played(
    request: SessionRequest, engine: Engine, source: Audio, recorder: Recorder | None
) -> list[Mapping[str, Any]]:  # fmt: skip
    """Write what the engine plays to the source and the tail; the records of the session."""
    rate = source.sample_rate
    heard = np.pad(source.samples.T, ((0, round(request.tail_seconds * rate)), (0, 0)))
    writer = AudioWriter(request.out, rate, source.channels, expected_samples=len(heard))
    records: list[Mapping[str, Any]] = []
    with ExitStack() as stack:
        progress = stack.enter_context(block_progress())
        title = f"{request.mode} {request.source.name}"
        bar = progress.add_task(title, total=len(heard) / rate, block_ms=0.0, factor=0.0)
        stack.enter_context(writer)
        if recorder is not None:
            stack.enter_context(Recording(recorder, engine, seed=request.seed, model=request.model))
        for piece, noted in _pieces(engine, heard):
            writer.write(Audio(piece.T, rate))
            records += noted
            if recorder is not None:
                recorder.write(noted)
            _show(progress, bar, len(piece) / rate, noted, rate)
    return records


def _reported(
    request: SessionRequest, engine: Engine, records: Sequence[Mapping[str, Any]], *, load_seconds: float
) -> SessionReport:  # fmt: skip
    rate = engine.facts.sample_rate
    made = [(record["samples"] / rate, record["compute_seconds"]) for record in records if record["kind"] == "block"]
    blocks = against_deadlines(made, lead_seconds=request.lead_seconds)
    # The first blocks have no deadline: what starting takes is no part of a latency.
    computes = [block.compute_seconds for block in blocks if block.deadline_margin_seconds is not None]
    budget = engine.budget(compute_seconds=max(computes, default=0.0))
    mode = engine.mode
    latency = mode.late_samples / rate if isinstance(mode, DelayMode) else budget.total_seconds
    known = isinstance(mode, SketchMode) and mode.sketch is not None or isinstance(mode, JamMode) and mode.timing.known
    spans = KNOB if known else ANSWER
    return SessionReport(
        _settings(request, engine), rate, engine.player.sample, load_seconds, latency, spans, budget, blocks,
        engine.player.holds, [record for record in records if record["kind"] == "input"],
    )  # fmt: skip


def _pieces(engine: Engine, heard: np.ndarray) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    """Play `heard` (`s ch`) to the engine; what it plays meanwhile, and what it noted, piece by piece."""
    rate, lead = engine.facts.sample_rate, engine.plan.governor.lead_seconds
    chunk = max(1, min(CHUNK_SAMPLES, int(lead * rate / CHUNKS_OF_A_LEAD)))
    for start in range(0, len(heard), chunk):
        while engine.produce():
            continue
        piece = np.empty_like(heard[start : start + chunk])
        engine.hear(heard[start : start + chunk])
        engine.pull(piece)
        yield piece, engine.noted()


def _show(progress: Progress, bar: TaskID, seconds: float, noted: Sequence[Mapping[str, Any]], rate: int) -> None:
    progress.update(bar, advance=seconds)
    for record in noted:
        if record["kind"] == "block":
            compute, made = record["compute_seconds"], record["samples"] / rate
            progress.update(bar, block_ms=1000.0 * compute, factor=compute / made if made else 0.0)


def _settings(request: SessionRequest, engine: Engine) -> dict[str, Any]:
    import torch

    return {
        "mode": request.mode, "model": request.model, "in": str(request.source), "out": str(request.out),
        "record": None if request.record is None else str(request.record), "seed": request.seed,
        "values": {name: value for name, value in request.values.items()}, "mode_settings": engine.mode.settings(),
        "lead_seconds": request.lead_seconds, "look_ahead_frames": request.look_ahead_frames, "device": request.device,
        "dtype": request.dtype, "threads": torch.get_num_threads(),
    }  # fmt: skip
