"""`lmdm live`: a session on sound devices, played by hand, OSC and MIDI."""

from __future__ import annotations

from lmdm_adapter.cli.live_options import (
    BeatsOption,
    BlockFramesOption,
    BpmOption,
    CalibrateOption,
    GuidanceOption,
    InputOption,
    LatencyOption,
    LeadOption,
    ListDevicesOption,
    MidiInOption,
    MidiLearnOption,
    MidiMapOption,
    MinutesOption,
    ModeName,
    ModeOption,
    OscHostOption,
    OscPortOption,
    OutputOption,
    PromptArgument,
    RecordOption,
    ReopenOption,
    RoundTripOption,
    StepsOption,
)
from lmdm_adapter.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelOption,
    SeedOption,
    ThreadsOption,
    VerboseOption,
)


def live(
    prompt: PromptArgument = "",
    model: ModelOption = "tiny",
    mode: ModeOption = ModeName.stream,
    list_devices: ListDevicesOption = False,
    calibrate: CalibrateOption = False,
    input: InputOption = None,
    output: OutputOption = None,
    block_frames: BlockFramesOption = None,
    latency: LatencyOption = None,
    round_trip_ms: RoundTripOption = None,
    lead: LeadOption = 1.0,
    reopen_seconds: ReopenOption = 30.0,
    bpm: BpmOption = None,
    beats: BeatsOption = None,
    osc_port: OscPortOption = None,
    osc_host: OscHostOption = "127.0.0.1",
    midi_in: MidiInOption = None,
    midi_map: MidiMapOption = None,
    midi_learn: MidiLearnOption = None,
    record: RecordOption = None,
    minutes: MinutesOption = None,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Play on sound devices. Ctrl-C fades out.

    Every parameter can be turned while the music plays, by OSC (--osc-port) and by MIDI knobs (--midi-in); see
    docs/live.md. The report (--json) carries underruns, real-time factors, memory and the latency budget.
    """
    from lmdm_adapter.cli.live_calibration import calibrated
    from lmdm_adapter.cli.live_request import LiveRequest
    from lmdm_adapter.cli.live_session import play_live
    from lmdm_adapter.cli.live_view import show_devices
    from lmdm_adapter.cli.screen import say

    if list_devices:
        show_devices()
        return
    request = LiveRequest(
        prompt=prompt, model=model, mode=mode.value, source=input, output=output, block_frames=block_frames,
        latency_seconds=latency, round_trip_ms=round_trip_ms, lead_seconds=lead, reopen_seconds=reopen_seconds, bpm=bpm,
        beats=beats, osc_port=osc_port, osc_host=osc_host, midi_in=midi_in, midi_map=midi_map,
        midi_learn=tuple(midi_learn or ()), record=record, minutes=minutes, steps=steps, guidance=guidance, seed=seed,
        json=json, device=device, dtype=dtype.value, threads=threads,
    )  # fmt: skip
    if calibrate:
        calibrated(request, notice=say)
        return
    report = play_live(request, notice=say)
    say(report.line())
