"""Dataset configs of stable-audio-tools, and its layout of latents: arrays with a JSON file beside each.

Read from the format of release 0.0.19; nothing of the host is imported. Config keys and their meaning: its
`create_dataloader_from_config`; the layout: its `pre_encode.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.training.clips import LatentClip
from lmdm_adapter.training.recordings import Skipped, tidied

DATASET_ID = re.compile(r"[\w][\w. -]*")


@dataclass(frozen=True)
class HostFolder:
    """One entry of `datasets`. The host's documents put `latent_crop_length` here, its code reads it one level up."""

    id: str
    path: str
    custom_metadata_module: str | None = None
    latent_crop_length: int | None = None

    def __post_init__(self) -> None:
        if self.custom_metadata_module is not None:
            raise LmdmError(
                f"The dataset {self.id!r} names a custom_metadata_module, which is code and is not run; write prompts "
                'beside the files instead (NAME.txt, or NAME.json with "prompt") and remove the key.'
            )
        if not DATASET_ID.fullmatch(self.id):
            raise LmdmError(f"A dataset id names a folder: letters, digits, dots and dashes, got {self.id!r}.")


@dataclass(frozen=True)
class HostDataset:
    """A dataset config. Where crops begin is always drawn here; `drop_last` means nothing, as no batch is partial.

    Of a pre-encoded set without `random_crop` only the first `latent_crop_length` frames of each clip are used, which
    is all that the host ever sees of it.
    """

    dataset_type: Literal["audio_dir", "pre_encoded"]
    datasets: tuple[HostFolder, ...]
    random_crop: bool | None = None
    drop_last: bool = True
    latent_crop_length: int | None = None
    min_length_sec: float | None = None
    max_length_sec: float | None = None
    latent_extension: str = "npy"

    def __post_init__(self) -> None:
        if not self.datasets:
            raise LmdmError("The dataset config names no datasets; give at least one.")
        ids = [folder.id for folder in self.datasets]
        if len(set(ids)) < len(ids):
            raise LmdmError(f"Two datasets share an id among {', '.join(ids)}; give each its own.")
        if self.dataset_type == "audio_dir" and self.random_crop is False:
            raise LmdmError("random_crop false is not supported for sound files: crops begin anywhere; remove it.")

    def last_frame(self, folder: HostFolder) -> int | None:
        """How many frames from the beginning of each clip are used; None for all."""
        return None if self.random_crop else folder.latent_crop_length or self.latent_crop_length


def read_host_dataset(path: Path) -> HostDataset:
    """A dataset config from a JSON file. Raises LmdmError for what is missing, unknown or not supported, by name."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LmdmError(f"Cannot read the dataset config {path}: {error.strerror}.") from error
    except ValueError as error:
        raise LmdmError(f"The dataset config {path} is no JSON: {error}.") from error
    if isinstance(values, Mapping) and values.get("dataset_type") in ("wds", "s3"):
        raise LmdmError(
            f"The dataset type {values['dataset_type']!r} is not supported; unpack its tar files and use audio_dir."
        )
    if isinstance(values, Mapping) and isinstance(values.get("datasets"), list):
        values = {**values, "datasets": [from_json(HostFolder, folder) for folder in values["datasets"]]}
    return from_json(HostDataset, values)


@dataclass(frozen=True, eq=False)
class ArrayClip:
    """A clip of the pre-encoded layout: an array `c n` that stays in its file until a crop is taken.

    The host saves latents before its scale is applied; `scale` divides them.
    """

    path: Path
    name: str
    prompt: str
    frames: int
    frame_rate_hz: float
    scale: float

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.frame_rate_hz

    @property
    def controls(self) -> Mapping[str, Tensor]:
        """Nothing: only the music was encoded."""
        return {}

    def crop(self, first_frame: int, frames: int, *, draws: np.random.Generator) -> LatentClip:
        """`frames` frames from `first_frame` on, in fp32."""
        latents = _array(self.path)[:, first_frame : first_frame + frames].astype(np.float32) / self.scale
        return LatentClip(torch.from_numpy(latents), self.prompt, frames / self.frame_rate_hz, self.name)


def read_arrays(dataset: HostDataset, codec: Codec) -> tuple[list[ArrayClip], list[Skipped]]:
    """The clips of all folders of a pre-encoded dataset, and what cannot be used, with reasons.

    Nothing in the layout says which codec made it; only the number of channels is checked.
    Raises LmdmError for a folder that is not there.
    """
    clips: list[ArrayClip] = []
    skipped: list[Skipped] = []
    for folder in dataset.datasets:
        for path in _array_paths(Path(folder.path), dataset.latent_extension):
            name = f"{folder.id}/{_below(Path(folder.path), path)}"
            try:
                clips.append(_clip(path, name, dataset, folder, codec))
            except LmdmError as error:
                skipped.append(Skipped(name, str(error)))
    return clips, skipped


def _array_paths(folder: Path, extension: str) -> list[Path]:
    """The files that `filelist.txt` lists, else all arrays in the folder and below it; hidden ones are left alone."""
    if not folder.is_dir():
        raise LmdmError(f"The dataset folder {folder} is not there; check its path.")
    listed = folder / "filelist.txt"
    if listed.is_file():
        return [folder / line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    return sorted(path for path in folder.rglob(f"*.{extension}") if not path.name.startswith("."))


def _clip(path: Path, name: str, dataset: HostDataset, folder: HostFolder, codec: Codec) -> ArrayClip:
    latents, facts = _array(path), _facts(path.with_suffix(".json"))
    if latents.ndim != 2 or latents.shape[0] != codec.latent_channels or latents.dtype.kind != "f":
        raise LmdmError(
            f"{path} holds {latents.dtype} of shape {latents.shape}; the codec's latents are numbers of shape "
            f"({codec.latent_channels}, frames)."
        )
    _require_length(path, facts, dataset)
    frames = _sounding_frames(path, facts.get("padding_mask"), latents.shape[1])
    frames = min(frames, dataset.last_frame(folder) or frames)
    return ArrayClip(path, name, _prompt(path, facts), frames, codec.frame_rate_hz, codec.scale)


def _array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise LmdmError(f"{path} cannot be read as an array: {str(error).rstrip('.')}.") from error


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LmdmError(f"{path} cannot be read as JSON: {str(error).rstrip('.')}.") from error
    if not isinstance(facts, dict):
        raise LmdmError(f"{path} must hold one JSON object.")
    return facts


def _prompt(path: Path, facts: Mapping[str, Any]) -> str:
    """The prompt, else the name of the sound file that the latents are from."""
    prompt, source = facts.get("prompt"), facts.get("relpath")
    if prompt is None and isinstance(source, str):
        return tidied(Path(source).stem)
    if not isinstance(prompt, str) or not prompt.strip():
        raise LmdmError(f'{path.with_suffix(".json")} has no text "prompt".')
    return " ".join(prompt.split())


def _sounding_frames(path: Path, mask: object, frames: int) -> int:
    """Frames up to the last one that is no padding."""
    if not isinstance(mask, list) or len(mask) != frames or not any(mask):
        raise LmdmError(f"{path.with_suffix('.json')} needs a padding_mask of {frames} numbers, not all of them 0.")
    return max(number for number, sounds in enumerate(mask, start=1) if sounds)


def _require_length(path: Path, facts: Mapping[str, Any], dataset: HostDataset) -> None:
    low, high = dataset.min_length_sec or 0.0, dataset.max_length_sec or math.inf
    seconds = facts.get("seconds_total", 0.0 if (low, high) == (0.0, math.inf) else None)
    if not isinstance(seconds, (int, float)) or not low <= seconds <= high:
        raise LmdmError(f"{path} is of {seconds} s, outside min_length_sec and max_length_sec.")


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
