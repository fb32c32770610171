"""The log of a session: one JSON object a line, the first about the session, the rest in the order of what happened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.performer import Cue
from lmdm_adapter.session.played_on import played_on
from lmdm_adapter.spec import Sampling

FORMAT = 1
KINDS = ("session", "block", "event", "governor", "wait", "hold", "resume", "fade_out", "silence", "input", "refused",
         "clock", "failure", "recording", "device", "end")  # fmt: skip


def header_of(
    engine: Engine, *, seed: int, versions: Mapping[str, str], model: str | None = None
) -> dict[str, Any]:  # fmt: skip
    """What a replay must know before the first block; `model` is the name that it was loaded by, if it had one."""
    rate = engine.facts.sample_rate
    return {
        "kind": "session", "format": FORMAT, "versions": dict(versions), "seed": seed, "mode": engine.mode.name,
        "model": model, **played_on(engine.performer.maker),
        "mode_settings": engine.mode.settings(),
        "facts": asdict(engine.facts), "fade_samples": engine.plan.fade_samples(rate),
        "history_samples": engine.plan.history_samples(rate), "mix_values": dict(engine.mixer.start_values),
        "model_values": dict(engine.performer.values),
    }  # fmt: skip


def json_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """One record as a JSON object."""
    cue = record.get("cue")
    return {**record, "cue": cue.to_json()} if isinstance(cue, Cue) else dict(record)


def line_of(record: Mapping[str, Any]) -> str:
    """One record as a line of JSON."""
    return json.dumps(json_of(record), allow_nan=False, separators=(",", ":"))


@dataclass(frozen=True)
class SessionLog:
    """A log that was read: the header, what a replay takes from it, and all records."""

    header: Mapping[str, Any]
    records: tuple[Mapping[str, Any], ...]

    @property
    def facts(self) -> Facts:
        """Rate, channels and lengths of the model that played."""
        values = dict(self.header["facts"])
        return from_json(Facts, {**values, "sampling": from_json(Sampling, values["sampling"])})

    @property
    def cues(self) -> tuple[Cue, ...]:
        """What decided each block."""
        return tuple(Cue.from_json(record["cue"]) for record in self.of("block"))

    def of(self, *kinds: str) -> list[Mapping[str, Any]]:
        """The records of some kinds, in order."""
        return [record for record in self.records if record["kind"] in kinds]


def read_log(path: str | os.PathLike[str]) -> SessionLog:
    """Read a session's log; a last line that was cut off by a crash is left out.

    Raises LmdmError for a file that is missing, no log, or of a later format.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise LmdmError(f"{path} is no session log; it is no text.") from None
    except OSError as error:
        raise LmdmError(f"Cannot read the session log {path}: {error.strerror or error}.") from None
    if not lines[0].startswith("{"):
        raise LmdmError(f"{path} is no session log; its first line must tell about the session.")
    # A line that was written whole ends with a line feed; what follows the last one was cut off.
    records = [_record(line, number, path) for number, line in enumerate(lines[:-1], start=1)]
    if not records or records[0]["kind"] != "session":
        raise LmdmError(f"{path} is no session log; its first line must tell about the session.")
    if records[0].get("format") != FORMAT:
        raise LmdmError(f"{path} is of format {records[0].get('format')!r}; this version reads {FORMAT}.")
    return SessionLog(records[0], tuple(records[1:]))


def _record(line: str, number: int, path: object) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        raise LmdmError(f"Line {number} of {path} is no JSON; the log is damaged.") from None
    if not isinstance(record, dict) or record.get("kind") not in KINDS:
        raise LmdmError(f"Line {number} of {path} is no record of a session; the log is damaged.")
    return record
