"""Running `lmdm live`: what is opened in which order, the loop that watches, and how it ends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.live import Live

from lmdm_adapter.cli.live_report import LiveReport, mib
from lmdm_adapter.cli.live_request import LiveRequest
from lmdm_adapter.cli.live_view import View, panel
from lmdm_adapter.cli.live_watch import Watch
from lmdm_adapter.cli.models import open_model
from lmdm_adapter.demo.memory import memory_bytes
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.memory import rss_bytes
from lmdm_adapter.io.atomic import write_json
from lmdm_adapter.io.board import Board
from lmdm_adapter.io.devices import SoundPlan, SoundPort, chosen, default_index, planned, sound_library, sound_ports
from lmdm_adapter.io.midi import MidiInput
from lmdm_adapter.io.midi_hand import MidiHand
from lmdm_adapter.io.midi_map import MidiMap, read_map
from lmdm_adapter.io.osc import OscServer, require_free_port
from lmdm_adapter.io.osc_routes import Routes
from lmdm_adapter.io.outlet import most_held_seconds
from lmdm_adapter.io.reopening import Reopening
from lmdm_adapter.io.sound_device import SoundDevice
from lmdm_adapter.resampling import resampling_seconds
from lmdm_adapter.session.budget import Budget
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.jam_mode import JamMode, untrained_line
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.mode_choice import HEARING, mode_named
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.needs import require_needs
from lmdm_adapter.session.parameters import PARAMETERS
from lmdm_adapter.session.recorder import Recorder, Recording
from lmdm_adapter.session.threaded import ThreadedSession

REFRESH_SECONDS = 0.1


@dataclass
class Desk:
    """Everything that is open while a session plays."""

    request: LiveRequest
    engine: Engine
    device: SoundDevice
    session: ThreadedSession
    watch: Watch
    board: Board
    reopening: Reopening
    model_device: torch.device
    osc: OscServer | None = None
    midi: MidiHand | None = None


def play_live(request: LiveRequest, *, notice: Callable[[str], None] = lambda line: None) -> LiveReport:
    """Play until Ctrl-C, `minutes`, or the end of a device. Raises LmdmError for whatever the user can mend.

    `notice` gets a line for what a player must know before the panel covers the screen. What played has a report, also
    when it ended by an error: that is when one wants to read it.
    """
    if request.osc_port is not None:
        require_free_port(request.osc_port, host=request.osc_host)
    mapping = MidiMap() if request.midi_map is None else read_map(request.midi_map)
    library = sound_library()
    output, source = chosen_ports(request, library)
    live = open_model(request.model, device=request.device, dtype=request.dtype, threads=request.threads)
    require_needs(live.section, request.mode, model=request.model)
    start_rss = rss_bytes()
    with ExitStack() as stack:
        desk = _opened(request, live, (library, output, source), mapping, stack=stack, notice=notice)
        failure = _failure_of(desk, stack.pop_all())
    report = _report(desk, start_rss, failure)
    if request.json is not None:
        failure = _written(request.json, report, failure)
    if failure is not None:
        raise failure
    return report


def _failure_of(desk: Desk, stack: ExitStack) -> LmdmError | None:
    """Play to the end and close what `stack` opened: what went wrong with the device, the music or the recording."""
    try:
        with stack:
            _watched(desk)
    except LmdmError as failure:
        return failure
    return desk.watch.failure


def _written(path: Path, report: LiveReport, failure: LmdmError | None) -> LmdmError | None:
    """Write the report; what is left to be told. A disk that is full for the recording may be so for the report."""
    try:
        write_json(path, report.to_json())
    except LmdmError as error:
        return error if failure is None else LmdmError(f"{failure} {error}")
    return failure


def chosen_ports(request: LiveRequest, library: Any) -> tuple[SoundPort, SoundPort | None]:
    """The devices: an input where one was named, or the mode listens. Raises LmdmError for one that is not there."""
    ports = sound_ports(library)
    output = chosen(ports, request.output, "output", default=default_index(library, "output"))
    if request.source is None and request.mode not in HEARING:
        return output, None
    return output, chosen(ports, request.source, "input", default=default_index(library, "input"))


def _opened(
    request: LiveRequest, live: Any, sound: tuple[Any, SoundPort, SoundPort | None], mapping: MidiMap, *,
    stack: ExitStack, notice: Callable[[str], None],
) -> Desk:  # fmt: skip
    """All of the session, opened on `stack`: first what ends last."""
    library, output, source = sound
    facts = facts_of(live)
    if request.block_frames is not None:
        facts = replace(facts, block_frames=request.block_frames)
    plan = planned(library, output, source, sample_rate=facts.sample_rate, channels=facts.channels,
                   latency_seconds=request.latency_seconds)  # fmt: skip
    recorder = None
    if request.record is not None:
        recorder = Recorder(request.record, facts, with_input=source is not None)
    mode = mode_named(
        request.mode, live, facts, request.session_plan(), delay_seconds=request.delay_seconds, bpm=request.bpm,
        device_samples=round(_round_trip_seconds(request, plan.expected_seconds) * facts.sample_rate),
        resampling_samples=_resampling_samples(plan, facts.sample_rate),
    )  # fmt: skip
    _tell_visibility(mode, facts, notice)
    engine = Engine(
        live, facts, mode, state=live.start(seed=request.seed), plan=request.session_plan(),
        values=request.values(), source=plan.engine_source,
        tap=None if recorder is None else recorder.tap,
    )  # fmt: skip
    if recorder is not None:
        stack.enter_context(Recording(recorder, engine, seed=request.seed, model=request.model))
    watch = Watch(engine, recorder)
    session = stack.enter_context(ThreadedSession(engine, write=watch.write))
    device = stack.enter_context(SoundDevice(engine, plan, library))
    begun = {**engine.performer.values, **engine.mixer.start_values}
    board = Board(engine, values=begun, seconds_now=device.seconds_now)
    reopening = Reopening(device, library, seconds=request.reopen_seconds, announce=engine.notes.append)
    desk = Desk(request, engine, device, session, watch, board, reopening, live.device)
    _open_doors(desk, mapping, stack, notice)
    return desk


def _tell_visibility(mode: Mode, facts: Facts, notice: Callable[[str], None]) -> None:
    if isinstance(mode, JamMode) and (line := untrained_line(mode.timing, facts)) is not None:
        notice(line)


def _round_trip_seconds(request: LiveRequest, claimed_seconds: float) -> float:
    """From the input's socket to the output's: as it was measured, or as the device claims."""
    return claimed_seconds if request.round_trip_ms is None else request.round_trip_ms / 1000.0


def _resampling_samples(plan: SoundPlan, sample_rate: int) -> int:
    """What resamplers hold on the way to the device and back, in samples of the session; it moves no sample."""
    seconds = most_held_seconds(sample_rate, plan.sample_rate) + resampling_seconds(plan.sample_rate, sample_rate)
    return math.ceil(seconds * sample_rate)


def _budget(desk: Desk) -> Budget:
    """The latency as it is now, part by part; what the input's resampler holds is the engine's part."""
    seconds = _round_trip_seconds(desk.request, desk.device.claimed_seconds)
    seconds += most_held_seconds(desk.engine.facts.sample_rate, desk.device.plan.sample_rate)
    return desk.engine.budget(device_seconds=seconds, compute_seconds=desk.watch.compute_seconds)


def _open_doors(desk: Desk, mapping: MidiMap, stack: ExitStack, notice: Callable[[str], None]) -> None:
    """OSC and MIDI."""
    request = desk.request
    if request.midi_in is not None:
        desk.midi = MidiHand(desk.board, mapping, path=request.midi_map)
        for name in request.midi_learn:
            desk.midi.learn(name)
        port = stack.enter_context(MidiInput(request.midi_in, desk.midi.take))
        notice(f"MIDI input {port.name!r}.")
    if request.osc_port is not None:
        routes = Routes(desk.board, learn=None if desk.midi is None else desk.midi.learn)
        desk.osc = stack.enter_context(OscServer(routes, port=request.osc_port, host=request.osc_host))
        notice(f"OSC at {desk.osc.host}, port {desk.osc.port}; /lmdm/help lists the addresses.")


def _watched(desk: Desk) -> None:
    """Show the panel until the session is over; Ctrl-C is an end like any other. Raises LmdmError for a lost device."""
    console = Console(stderr=True)
    until = None if desk.request.minutes is None else time.monotonic() + 60.0 * desk.request.minutes
    shown = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with ExitStack() as stack:
        if shown is not None:
            stack.enter_context(shown)
        try:
            while desk.engine.player.doing != "ended" and (until is None or time.monotonic() < until):
                _require_device(desk)
                if shown is not None:
                    shown.update(panel(view_of(desk)), refresh=True)
                time.sleep(REFRESH_SECONDS)
        except KeyboardInterrupt:
            return


def _require_device(desk: Desk) -> None:
    if not desk.reopening.plays_or_waits():
        kept = "" if desk.request.record is None else f" The recording in {desk.request.record} is whole until then."
        played = desk.engine.player.sample / desk.engine.facts.sample_rate
        raise LmdmError(
            f"The sound device {desk.device.name} is gone after {played:.1f} s: {desk.reopening.reason}; connect it "
            f"and start again.{kept}"
        )


def view_of(desk: Desk) -> View:
    """The session as it is now."""
    engine, device, watch = desk.engine, desk.device, desk.watch
    rate = engine.facts.sample_rate
    return View(
        title=f"lmdm live · {engine.mode.name} · {desk.request.model} · {device.name}",
        seconds=engine.player.sample / rate, doing=_doing(desk), output_db=device.output_meter.levels_db(),
        source_db=device.input_meter.levels_db() if device.plan.source is not None else (),
        real_time_factor=watch.real_time_factor, ready_seconds=engine.ready_seconds,
        lead_seconds=engine.governed.lead_seconds, holds=engine.player.holds,
        held_seconds=engine.player.held_samples / rate, device_misses=device.underflows + device.overflows,
        steps=engine.governed.steps, values={one.name: desk.board.value(one.name) for one in PARAMETERS},
        budget=_budget(desk),
        memory_mib=mib(memory_bytes(desk.model_device)), beat=engine.beat, doors=_doors(desk), last=watch.last,
    )  # fmt: skip


def _doing(desk: Desk) -> str:
    left = desk.reopening.left_seconds
    return desk.engine.player.doing if left is None else f"no device; it may come back within {left:.0f} s"


def _doors(desk: Desk) -> str:
    parts = []
    if desk.osc is not None:
        parts.append(f"OSC {desk.osc.host}:{desk.osc.port}, {desk.osc.taken} taken, {desk.osc.refused} refused")
    if desk.midi is not None:
        learning = f", move a control for {desk.midi.learning}" if desk.midi.learning else ""
        parts.append(f"MIDI {desk.midi.taken} messages, {len(desk.midi.mapping.bindings)} bound{learning}")
    return " · ".join(parts)


def _report(desk: Desk, start_rss: int | None, failure: LmdmError | None) -> LiveReport:
    engine, device, watch = desk.engine, desk.device, desk.watch
    rate = engine.facts.sample_rate
    return LiveReport(
        model=desk.request.model, device=device.name, device_rate=device.plan.sample_rate, sample_rate=rate,
        played_seconds=engine.player.sample / rate, blocks=engine.blocks, holds=engine.player.holds,
        held_seconds=engine.player.held_samples / rate, device_underflows=device.underflows,
        device_overflows=device.overflows, device_gaps=desk.reopening.gaps,
        gap_seconds=desk.reopening.gap_seconds, governor_decisions=watch.kinds["governor"], turned=desk.board.turned,
        refused=desk.board.refused, figures=watch.figures(), budget=_budget(desk).to_json(),
        start_rss_mib=mib(start_rss), end_rss_mib=mib(rss_bytes()), rss_growth=watch.memory_growth(),
        failure=None if failure is None else str(failure),
    )  # fmt: skip
