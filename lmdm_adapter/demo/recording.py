"""One recording while it grows: a WAV file and its log, both whole at every moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmdm_adapter.demo.input_wav import InputWav
from lmdm_adapter.demo.record_log import line_of
from lmdm_adapter.demo.voice import Heard
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.wav import HEADER_BYTES, SAMPLE_BYTES, CrashSafeWav


class Recording:
    """`NAME.wav` and `NAME.jsonl` in a folder. Raises LmdmError where they cannot be made or written.

    `header` is the log's first record, `earlier` are lines about the time before. The file `sound`, which was the
    input, is copied beside them; of what `hears` a microphone, the input grows in a WAV file of its own. The header
    says what either is called.
    """

    def __init__(
        self, folder: Path, name: str, *, header: Mapping[str, Any], earlier: Iterable[str], channels: int,
        sample_rate: int, sound: Path | None = None, hears: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.sample_rate, self.log_bytes, self.open = name, sample_rate, 0, True
        self._sample_bytes, self.replays = SAMPLE_BYTES * channels, bool(header.get("replays"))
        self.wav_path, self.log_path = folder / f"{name}.wav", folder / f"{name}.jsonl"
        suffix = ".wav" if hears else None if sound is None else sound.suffix.lower()
        self.input_path = None if suffix is None else folder / f"{name}-input{suffix}"
        lines = [line_of({**header, **self._keep(None if hears else sound)}), *earlier]
        self._wav = CrashSafeWav(self.wav_path, channels=channels, sample_rate=sample_rate)
        self._heard = None if self.input_path is None or not hears else InputWav(
            self.input_path, channels=channels, sample_rate=sample_rate, first_sample=header["first_sample"]
        )  # fmt: skip
        try:
            self._log = open(self.log_path, "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise LmdmError(f"Cannot write {self.log_path.name}: {error.strerror or error}.") from error
        self.write(lines)

    @property
    def samples(self) -> int:
        """Samples per channel in the WAV file."""
        return self._wav.samples_written

    @property
    def seconds(self) -> float:
        """Length of the WAV file's sound."""
        return self.samples / self.sample_rate

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files: the sound, the log, and the input where it was a file."""
        return tuple(path for path in (self.wav_path, self.log_path, self.input_path) if path is not None)

    @property
    def bytes(self) -> int:
        """What its files take of the disk."""
        input_bytes = self._input_bytes if self._heard is None else self._heard.bytes
        return HEADER_BYTES + self.samples * self._sample_bytes + self.log_bytes + input_bytes

    def _keep(self, sound: Path | None) -> dict[str, Any]:
        """Copy the input where it is a file; what the log says of it."""
        self._input_bytes = 0
        if self.input_path is None:
            return {}
        if sound is None:
            return {"heard": self.input_path.name}
        try:
            content = sound.read_bytes()
            self.input_path.write_bytes(content)
        except OSError as error:
            raise LmdmError(f"Your sound cannot be kept: {error.strerror or error}.") from error
        self._input_bytes = len(content)
        return {"input": self.input_path.name, "input_sha256": hashlib.sha256(content).hexdigest()}

    def write(self, lines: Iterable[str], samples: np.ndarray | None = None, heard: Heard | None = None) -> None:
        """Append to the files; what was given is in them when this returns. `samples` is `s ch` float32.

        Raises LmdmError when the disk is full; what was written before stays.
        """
        text = "".join(lines)
        try:
            self._log.write(text)
            self._log.flush()
        except OSError as error:
            raise LmdmError(f"The recording ended: {error.strerror or error}.") from error
        self.log_bytes += len(text.encode())
        if samples is not None:
            self._wav.write(samples)
        if heard is not None and self._heard is not None:
            self._heard.write(heard)

    def close(self, lines: Iterable[str] = (), *, why: str | None = None) -> None:
        """End it with last lines; closing twice is no mistake. Raises nothing: all samples are there."""
        if not self.open:
            return
        self.open = False
        try:
            self.write([*lines, line_of({"kind": "end", "samples": self.samples, "why": why})])
            self._log.close()
        except (LmdmError, OSError):
            # A log without its last line is read as one that was cut off.
            return
        finally:
            self._wav.close()
            if self._heard is not None:
                self._heard.close()
