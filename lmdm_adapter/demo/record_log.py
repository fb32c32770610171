"""The event log beside a recording: what was played by which voice, every turn, every block; and the music from it.

One JSON object a line. The first is of kind `recording`: the voice's mode, values and origin, and the sample of its
music at which the WAV file begins. Then, also for the time before the recording, `turn`: a parameter, numbered, with
the sample that was reached when it was turned; and `block`: its first sample and, of voices that tell, how many turns
were in force. `failure` and `end` close it. Samples count from the first one of the voice.

The log of sessions (`session/session_log.py`) has no words for moments that are kept and gone back to, nor for a new
seed in mid-stream, which a `LiveVoice` plays; hence this one. Of a voice that is a session it holds that log whole: its
first line as `session` of the header, and every record as one of kind `session`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmdm_adapter.demo.voice import MakeVoice, Wish, origin_of
from lmdm_adapter.errors import LmdmError

FORMAT = 1
KINDS = ("recording", "turn", "session", "block", "failure", "end")


def line_of(record: Mapping[str, Any]) -> str:
    """One record as a line of JSON. Raises LmdmError for values that JSON does not have."""
    try:
        return json.dumps(record, allow_nan=False, separators=(",", ":")) + "\n"
    except (TypeError, ValueError) as error:
        raise LmdmError(f"This cannot be written to a log of events: {error}.") from None


@dataclass(frozen=True)
class RecordLog:
    """A log that was read: its first record, turns in their order, blocks by their index, and a session's records.

    Blocks before the recording are there only where the turns in force changed.
    """

    header: Mapping[str, Any]
    turns: tuple[Mapping[str, Any], ...]
    blocks: tuple[Mapping[str, Any], ...]
    session: tuple[Mapping[str, Any], ...] = ()

    @property
    def samples(self) -> int:
        """How many samples were recorded."""
        return sum(block["samples"] for block in self.blocks if block["sample"] >= self.first_sample)

    @property
    def first_sample(self) -> int:
        """Where in the voice's music the WAV file begins."""
        return self.header["first_sample"]

    @property
    def wish(self) -> Wish:
        """What the visitor wanted to hear."""
        return Wish(self.header["mode"], self.header["values"])

    def in_force(self) -> Iterator[int]:
        """How many turns are in force in each block of the music, from its first to the last that was recorded."""
        known = {block["index"]: block["turns"] for block in self.blocks}
        count = 0
        for index in range(max(known, default=-1) + 1):
            count = known.get(index, count)
            yield count


def read_record_log(path: str | Path) -> RecordLog:
    """Read a log; a last line that was cut off by a crash is left out.

    Raises LmdmError for a file that is missing, no log of a recording, damaged, or of a later format.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")[:-1]
    except (OSError, UnicodeDecodeError) as error:
        raise LmdmError(f"Cannot read the log {path}: {getattr(error, 'strerror', None) or error}.") from None
    records = [_record(line, number, path) for number, line in enumerate(lines, start=1)]
    if not records or records[0]["kind"] != "recording":
        raise LmdmError(f"{path} is no log of a recording; its first line must tell about it.")
    if records[0].get("format") != FORMAT:
        raise LmdmError(f"{path} is of format {records[0].get('format')!r}; this version reads {FORMAT}.")
    turns, blocks = (tuple(r for r in records if r["kind"] == kind) for kind in ("turn", "block"))
    return RecordLog(records[0], turns, blocks, tuple(r["record"] for r in records if r["kind"] == "session"))


def _record(line: str, number: int, path: object) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("kind") not in KINDS:
        raise LmdmError(f"Line {number} of {path} is no record of a recording; the log is damaged.")
    return record


def replayed(log: RecordLog, make_voice: MakeVoice, *, steps: int | None = None) -> Iterator[np.ndarray]:
    """The recorded samples made anew, `s ch`, piece by piece: as in the WAV file to the bit, for one device and build.

    With `steps` every block is made with so many. Raises LmdmError for a log that does not hold all that was turned,
    and for a voice of another model.
    """
    return from_sample(log.first_sample, _made_anew(log, make_voice, steps))


def from_sample(first_sample: int, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The pieces, `s ch`, without what is before that sample of theirs."""
    reached = 0
    for piece in pieces:
        kept = piece[max(0, first_sample - reached) :]
        reached += len(piece)
        if len(kept):
            yield kept


def _made_anew(log: RecordLog, make_voice: MakeVoice, steps: int | None) -> Iterator[np.ndarray]:
    _require_whole(log)
    finer = {} if steps is None else {"steps": steps}
    voice = make_voice(replace(log.wish, values={**log.wish.values, **finer}))
    try:
        if origin_of(voice).get("digest") != log.header["origin"].get("digest"):
            raise LmdmError(f"This was played by another model, {log.header['origin'].get('model')}; load that one.")
        turned = 0
        for count in log.in_force():
            for turn in log.turns[turned:count]:
                if turn["name"] not in finer:
                    voice.set(turn["name"], turn["value"])
            turned = max(turned, count)
            yield voice.next_chunk().samples
    finally:
        voice.close()


def require_told(log: RecordLog) -> None:
    """Raises LmdmError for a log that says of itself that it is not enough."""
    if not log.header["replays"]:
        raise LmdmError("This log does not hold all that its voice was told, so it cannot be played again.")


def _require_whole(log: RecordLog) -> None:
    require_told(log)
    if [turn["number"] for turn in log.turns] != list(range(1, len(log.turns) + 1)):
        raise LmdmError("Turns are missing in this log; it is damaged.")
    if any(block["turns"] > len(log.turns) for block in log.blocks):
        raise LmdmError("A block of this log was told more than the log holds; it is damaged.")
