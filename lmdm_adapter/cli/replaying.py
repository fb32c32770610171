"""Playing a recorded session again into a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.cli.opened_again import opened_again
from lmdm_adapter.cli.replaying_recording import is_recording, replay_recording
from lmdm_adapter.cli.screen import counting
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.atomic import require_apart
from lmdm_adapter.io.files import AudioWriter, require_audio_target
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.session.recorder import LOG_NAME, RECORDED
from lmdm_adapter.session.replay import Replay
from lmdm_adapter.session.restored import recorded_material, restored_mode
from lmdm_adapter.session.session_log import read_log
from lmdm_adapter.sound_file import read_audio


@dataclass(frozen=True)
class ReplayRequest:
    """What `lmdm replay` was asked for. Raises LmdmError for an output that cannot be written, or is recorded."""

    log: Path
    out: Path
    model: str | None = None
    steps: int | None = None
    device: str = "cpu"
    dtype: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        target, log = require_audio_target(self.out), _log_in(self.log)
        demo = (log.stem, f"{log.stem}-input")
        require_apart((target,), (log.with_name(f"{name}.wav") for name in (*RECORDED, *demo)))


def replay_session(request: ReplayRequest, *, notice: Callable[[str], None]) -> float:
    """Write the session again; its length in seconds. Raises LmdmError for whatever the user can mend.

    `notice` gets a line where it was played in other ways than it is here. Without a `dtype` it is that of the log.
    """
    path = _log_in(request.log)
    if is_recording(path):
        return replay_recording(request, path, notice=notice)
    log = read_log(path)
    name = request.model or log.header.get("model")
    if name is None:
        raise LmdmError(f"{path} does not name the model that played it; give it with --model.")
    live = opened_again(request, name, log.header, digest=log.facts.model, notice=notice)
    hold_back, folder = log.facts.hold_back_frames, path.parent
    replay = Replay(
        live, facts_of(live, look_ahead_frames=hold_back), log, steps=request.steps,
        state=live.start(log.header["seed"], look_ahead_frames=hold_back),
        mode=restored_mode(live, log, recorded_material(folder)),
        heard=_recorded(folder / "input.wav"), dry=_recorded(folder / "dry.wav"),
    )  # fmt: skip
    rate, end = log.facts.sample_rate, log.of("end")
    total = end[0]["sample"] if end else 0
    with AudioWriter(request.out, rate, log.facts.channels) as writer, counting(f"replay {folder.name}") as show:
        for piece in replay.played():
            writer.write(Audio(np.ascontiguousarray(piece.T), rate))
            show(writer.samples_written // rate, max(total, writer.samples_written) // rate)
    return writer.samples_written / rate


def _log_in(place: Path) -> Path:
    """The log that is meant by a file or folder. Raises LmdmError for one that holds several recordings of the demo."""
    if not place.is_dir() or (place / LOG_NAME).exists():
        return place / LOG_NAME if place.is_dir() else place
    found = sorted(path for path in place.glob("*.jsonl") if is_recording(path))
    if len(found) > 1:
        raise LmdmError(f"{place} holds {len(found)} recordings; give one: {', '.join(path.name for path in found)}.")
    return found[0] if found else place / LOG_NAME


def _recorded(path: Path) -> np.ndarray | None:
    """The samples `s ch` of a part of the recording, None where there is no such part, or nothing in it."""
    if not path.exists():
        return None
    try:
        return read_audio(path).samples.T
    except LmdmError:
        if path.stat().st_size < 1024:  # a header alone: nothing was heard
            return None
        raise
