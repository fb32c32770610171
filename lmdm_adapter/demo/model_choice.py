"""Which model, where and how precise: what a visitor chooses."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from lmdm_adapter.checkpoint import ADAPTER_NAME, CONFIG_NAME, MODEL_NAME
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.loading import HUB_ID, locate

DTYPES = ("float32", "bfloat16", "float16")
MOST_LETTERS, MOST_CONFIG_BYTES = 1000, 1 << 20
WEIGHTS = ".safetensors"


def devices() -> tuple[str, ...]:
    """Where this machine can compute."""
    cards = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    others = ["cuda"] if len(cards) == 1 else cards
    return ("cpu", *others, *(["mps"] if torch.backends.mps.is_available() else []))


@dataclass(frozen=True)
class ModelChoice:
    """A bundled name, a folder or a hub id; or `files`, a config and weights that were uploaded, which come first.

    Raises LmdmError for devices and number formats that are not there, and for files of other kinds: pickles, which
    can hold programs, are never opened.
    """

    name: str
    device: str = "cpu"
    dtype: str = "float32"
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.device not in devices():
            raise LmdmError(f"There is no device {self.device!r} here; there are {', '.join(devices())}.")
        if self.dtype not in DTYPES:
            raise LmdmError(f"There is no precision {self.dtype!r}; there are {', '.join(DTYPES)}.")
        if len(self.name) > MOST_LETTERS or "\0" in self.name:
            raise LmdmError(f"A model's name has at most {MOST_LETTERS} letters.")
        if self.files:
            _named(self.files)

    @property
    def shown(self) -> str:
        """What the page calls it; paths of this machine are shown to nobody."""
        if self.files:
            return "an upload"
        return self.name if HUB_ID.fullmatch(self.name) else Path(self.name).name or "a folder"

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Where its `model_config.json` and `model.safetensors` lie, fetched from the hub if need be.

        Raises LmdmError when they are not to be found, and for weights in a pickle.
        """
        if not self.files:
            yield _with_safetensors(locate(self.name.strip()))
            return
        with tempfile.TemporaryDirectory(prefix="lmdm-upload-", ignore_cleanup_errors=True) as folder:
            for name, path in _named(self.files).items():
                shutil.copyfile(path, Path(folder) / name)
            yield Path(folder)


def _with_safetensors(place: Path) -> Path:
    if place.is_dir() and (place / CONFIG_NAME).is_file() and not (place / MODEL_NAME).is_file():
        raise LmdmError(f"{place.name} has no {MODEL_NAME}; the page opens no other weights: convert it with `lmdm "
                        "convert`.")  # fmt: skip
    if place.is_file() and place.suffix != WEIGHTS:
        raise LmdmError(f"{place.name} is no {WEIGHTS} file; the page opens no other weights. Give the model's folder.")
    return place


def _named(files: tuple[Path, ...]) -> dict[str, Path]:
    """Uploaded files by the names that they have in a model's folder."""
    for path in files:
        if path.suffix.lower() not in (".json", WEIGHTS):
            raise LmdmError(f"{path.name} is neither a config (.json) nor weights ({WEIGHTS}); pickles are not opened.")
    configs = [path for path in files if path.suffix.lower() == ".json"]
    adapters = [path for path in files if path.suffix.lower() == WEIGHTS and "adapter" in path.stem.lower()]
    weights = [path for path in files if path not in (*configs, *adapters)]
    if len(configs) != 1 or len(weights) != 1 or len(adapters) > 1:
        raise LmdmError(f"A model is one {CONFIG_NAME}, one {MODEL_NAME} and, where it has one, its {ADAPTER_NAME}; "
                        f"got {', '.join(path.name for path in files)}.")  # fmt: skip
    if configs[0].stat().st_size > MOST_CONFIG_BYTES:
        raise LmdmError(f"{configs[0].name} is larger than {MOST_CONFIG_BYTES >> 20} MiB; that is no config.")
    named = {CONFIG_NAME: configs[0], MODEL_NAME: weights[0]}
    return {**named, ADAPTER_NAME: adapters[0]} if adapters else named
