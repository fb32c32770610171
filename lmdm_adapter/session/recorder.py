"""Recording a session: what was played, what came in, and the log, all crash-safe, in one folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.played_on import versions
from lmdm_adapter.session.ring import AudioRing
from lmdm_adapter.session.session_log import header_of, line_of
from lmdm_adapter.session.wav import CrashSafeWav

KEPT_SECONDS = 20.0
WORK_SAMPLES = 65_536
LOG_NAME = "log.jsonl"
RECORDED = ("played", "input", "dry")
"""Sounds of a recording, by the names of their files."""
MATERIAL_NAME = "material.npz"


def require_unrecorded(folder: str | os.PathLike[str]) -> Path:
    """The folder of a recording that is to be made. Raises LmdmError for one that holds a session already."""
    place = Path(folder).expanduser()
    if (place / LOG_NAME).exists():
        raise LmdmError(f"{place} holds a session already; record into another folder.")
    return place


class Recorder:
    """`played.wav`, `input.wav` and `dry.wav` (where there is an input) and `log.jsonl` in a folder.

    What the mode knew before it began, such as a sketch that was drawn, lies beside them in `material.npz`.

    `tap` takes audio from the threads of the session through rings, without files or locks; `write`, called by one
    other thread, brings it to the disk. What is taken while the disk stalls for longer than 20 s is lost, and the log
    says how much. Raises LmdmError for a place where no file can be made, or a folder that holds a log already.
    """

    def __init__(self, folder: str | os.PathLike[str], facts: Facts, *, with_input: bool = False) -> None:
        self.folder = require_unrecorded(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._log = open(self.folder / LOG_NAME, "x", encoding="utf-8")
        except OSError as error:
            raise LmdmError(f"Cannot record into {folder}: {error.strerror or error}; choose another place.") from error
        names, room = RECORDED if with_input else RECORDED[:1], round(KEPT_SECONDS * facts.sample_rate)
        self._rings = {name: AudioRing(facts.channels, room) for name in names}
        self._files = {name: self._file(name, facts) for name in names}
        self._work = np.empty((WORK_SAMPLES, facts.channels), np.float32)
        self._lost = dict.fromkeys(names, 0)

    def begin(self, engine: Engine, *, seed: int, model: str | None = None) -> None:
        """Write the log's first line, and what the mode knows already. Before the first block.

        `model` is the name that the model was loaded by.
        """
        if material := engine.mode.material():
            with _sentences(self.folder / MATERIAL_NAME):
                np.savez(self.folder / MATERIAL_NAME, **material)
        self._line(header_of(engine, seed=seed, versions=versions(), model=model))

    def tap(self, name: str, samples: np.ndarray) -> None:
        """Take audio, `s ch`; for `Engine(tap=...)`."""
        if name in self._rings:
            self._rings[name].write(samples)

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Bring log records, and all audio that was taken, to the disk. For one thread."""
        for record in records:
            self._line(record)
        for name, ring in self._rings.items():
            while count := ring.read(self._work[: ring.readable_samples]):
                self._files[name].write(self._work[:count])
            if ring.samples_refused > self._lost[name]:
                self._line({"kind": "recording", "what": name, "lost_samples": ring.samples_refused - self._lost[name]})
                self._lost[name] = ring.samples_refused

    def close(self, engine: Engine) -> None:
        """Write what is left, and the log's last line."""
        self.write(engine.noted())
        played = self._files["played"].samples_written
        self._line({"kind": "end", "sample": played, "blocks": engine.blocks})
        for file in (self._log, *self._files.values()):
            file.close()

    def _file(self, name: str, facts: Facts) -> CrashSafeWav:
        return CrashSafeWav(self.folder / f"{name}.wav", channels=facts.channels, sample_rate=facts.sample_rate)

    def _line(self, record: Mapping[str, Any]) -> None:
        with _sentences(self.folder / LOG_NAME):
            self._log.write(line_of(record) + "\n")
            self._log.flush()


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LmdmError(f"Cannot write {path}: {error.strerror or error}.") from error


class Recording:
    """A recorder and its session from the first line of the log to the last, as a `with` block."""

    def __init__(self, recorder: Recorder, engine: Engine, *, seed: int, model: str | None = None) -> None:
        self.recorder, self.engine = recorder, engine
        recorder.begin(engine, seed=seed, model=model)

    def __enter__(self) -> Recording:
        return self

    def write(self) -> None:
        """Bring everything so far to the disk."""
        self.recorder.write(self.engine.noted())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.recorder.close(self.engine)
