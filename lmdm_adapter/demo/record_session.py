"""A recording of Sketch, Jam or Generative delay played again: the session from its log, and the sound beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmdm_adapter.demo.record_log import RecordLog, from_sample, require_told
from lmdm_adapter.demo.session_wish import sound_in
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.session.known_ahead import BY_SOUND
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import Facts, facts_of
from lmdm_adapter.session.replay import Replay
from lmdm_adapter.session.restored import restored_mode
from lmdm_adapter.session.session_log import SessionLog


def replayed_session(
    log: RecordLog, live: LiveModel, folder: Path, *, steps: int | None = None
) -> Iterator[np.ndarray]:
    """The recorded samples made anew, `s ch`, piece by piece: to the bit, or with so many `steps`.

    The file that was the input lies in `folder`. Raises LmdmError for a log that is not enough or of another model,
    and for an input that is not there or another one.
    """
    require_told(log)
    session = session_log_of(log)
    facts = facts_of(live, look_ahead_frames=session.facts.hold_back_frames)
    sound = _input(log, folder, facts)
    material = {} if sound is None else {BY_SOUND: sound.samples}
    state = live.start(session.header["seed"], look_ahead_frames=facts.hold_back_frames)
    replay = Replay(live, facts, session, state=state, mode=restored_mode(live, session, material), steps=steps,
                    sound=sound)  # fmt: skip
    return from_sample(log.first_sample, replay.played())


def session_log_of(log: RecordLog) -> SessionLog:
    """The session's own log, to the end of the recording. Raises LmdmError where blocks of it are missing."""
    blocks = [record["index"] for record in log.session if record["kind"] == "block"]
    if blocks != list(range(len(blocks))):
        raise LmdmError("Blocks are missing in this log; it is damaged.")
    end = {"kind": "end", "sample": log.first_sample + log.samples}
    return SessionLog(log.header["session"], (*log.session, end))


def _input(log: RecordLog, folder: Path, facts: Facts) -> LoopedSound | None:
    if (name := log.header.get("input")) is None:
        return None
    path = folder / Path(name).name
    if not path.is_file():
        raise LmdmError(f"This music followed {path.name}; put that file beside the log.")
    if hashlib.sha256(path.read_bytes()).hexdigest() != log.header["input_sha256"]:
        raise LmdmError(f"{path.name} is not the sound that this music followed; put that one beside the log.")
    return sound_in(path, facts)
