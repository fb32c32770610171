"""What `lmdm live` was asked for, refused early where it cannot be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.atomic import require_writable
from lmdm_adapter.io.midi_map import require_knob
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.mode_choice import HEARING
from lmdm_adapter.session.parameters import parameter_named
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.recorder import require_unrecorded

LONGEST_MINUTES = 24 * 60.0
LONGEST_REOPEN_SECONDS = 3600.0
MOST_ROUND_TRIP_MS = 2000.0
MOST_PORT = 65_535


@dataclass(frozen=True)
class LiveRequest:
    """All options of `lmdm live`; None leaves a setting to the model or the system.

    Raises LmdmError for values that cannot be, before anything is loaded or opened.
    """

    prompt: str
    model: str
    mode: str
    source: str | None
    output: str | None
    block_frames: int | None
    latency_seconds: float | None
    round_trip_ms: float | None
    lead_seconds: float
    reopen_seconds: float
    bpm: float | None
    beats: float | None
    osc_port: int | None
    osc_host: str
    midi_in: str | None
    midi_map: Path | None
    midi_learn: tuple[str, ...]
    record: Path | None
    minutes: float | None
    steps: int | None
    guidance: float | None
    seed: int
    json: Path | None
    device: str
    dtype: str
    threads: int | None

    def __post_init__(self) -> None:
        for name, value in self.values().items():
            parameter_named(name).checked(value)
        self._require_lengths()
        if self.osc_port is not None and not 0 <= self.osc_port <= MOST_PORT:
            raise LmdmError(f"--osc-port must lie between 0 and {MOST_PORT}, got {self.osc_port}.")
        for name in self.midi_learn:
            require_knob(name)
        if (self.midi_learn or self.midi_map is not None) and self.midi_in is None:
            raise LmdmError("--midi-learn and --midi-map need a MIDI input; give --midi-in.")
        for path in (self.json, self.midi_map):
            if path is not None:
                require_writable(path)
        if self.record is not None:
            require_unrecorded(self.record)

    def _require_lengths(self) -> None:
        self.session_plan()
        if self.latency_seconds is not None and not 0.0 <= self.latency_seconds <= 10.0:
            raise LmdmError(f"--latency must lie between 0 and 10 s, got {self.latency_seconds:g}.")
        if self.round_trip_ms is not None:
            self._require_round_trip(self.round_trip_ms)
        if not 0.0 <= self.reopen_seconds <= LONGEST_REOPEN_SECONDS:
            raise LmdmError(
                f"--reopen-seconds must lie between 0 and {LONGEST_REOPEN_SECONDS:g}, got {self.reopen_seconds:g}."
            )
        if self.beats is not None and (self.bpm is None or not 0.0 < self.beats <= 256.0):
            raise LmdmError(f"--beats is a positive number of beats with a --bpm, got {self.beats:g}.")
        if self.minutes is not None and not 0.0 < self.minutes <= LONGEST_MINUTES:
            raise LmdmError(f"--minutes must be positive and at most {LONGEST_MINUTES:g}, got {self.minutes:g}.")

    def _require_round_trip(self, round_trip_ms: float) -> None:
        if self.mode not in HEARING:
            raise LmdmError(f"--round-trip-ms is for the modes that listen: {', '.join(HEARING)}; not {self.mode}.")
        if not 0.0 <= round_trip_ms <= MOST_ROUND_TRIP_MS:
            raise LmdmError(f"--round-trip-ms must lie between 0 and {MOST_ROUND_TRIP_MS:g}, got {round_trip_ms:g}.")

    @property
    def delay_seconds(self) -> float | None:
        """How late the delay answers, for the mode delay."""
        return None if self.beats is None or self.bpm is None else self.beats * 60.0 / self.bpm

    def values(self) -> dict[str, Any]:
        """The parameters that a session begins with."""
        asked = {"prompt": self.prompt, "tempo_bpm": self.bpm, "steps": self.steps, "guidance": self.guidance}
        return {name: value for name, value in asked.items() if value is not None}

    def session_plan(self) -> SessionPlan:
        """How far ahead it plays. Raises LmdmError for a lead that is none."""
        if not math.isfinite(self.lead_seconds) or not 0.05 <= self.lead_seconds <= 30.0:
            raise LmdmError(f"--lead must lie between 0.05 and 30 s, got {self.lead_seconds:g}.")
        # Where the mode listens, its latency is made of the lead, which must not grow then.
        most = self.lead_seconds if self.mode in HEARING else max(self.lead_seconds, GovernorPlan().most_lead_seconds)
        return SessionPlan(GovernorPlan(lead_seconds=self.lead_seconds, most_lead_seconds=most))
