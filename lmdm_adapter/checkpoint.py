"""Checkpoints on disk: read them strictly, write them whole or not at all."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.diffusers import refuse_diffusers
from lmdm_adapter.network.model import Network

log = logging.getLogger(__name__)

CONFIG_NAME, MODEL_NAME, ADAPTER_NAME = "model_config.json", "model.safetensors", "adapter.safetensors"
WEIGHT_NAMES = (MODEL_NAME, "model.ckpt")
WRITTEN_NAMES = (CONFIG_NAME, MODEL_NAME, ADAPTER_NAME)
TRAINING_PREFIX, EMA_PREFIX = "diffusion.", "diffusion_ema.ema_model."


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as it lies on disk: the host's config, the host's tensors, and the adapter's."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    adapter: Mapping[str, Tensor]
    path: Path


def read_checkpoint(path: str | Path, *, ema: bool = True) -> Checkpoint:
    """Read a folder (`model_config.json` beside `model.safetensors` or `model.ckpt`), or one weight file in it.

    Training checkpoints are unwrapped, with a line in the log: their averaged weights, or with `ema=False` the last
    ones. Raises LmdmError for what is no checkpoint, and for the format of diffusers by its name.
    """
    path = Path(path)
    if not path.exists():
        raise LmdmError(f"There is no checkpoint at {path}.")
    folder = path if path.is_dir() else path.parent
    if not (folder / CONFIG_NAME).is_file():
        refuse_diffusers(folder)
    weights = path if path.is_file() else _weights_in(folder)
    config = read_config(folder)
    tensors = unwrapped(read_tensors(weights), ema=ema)
    adapter_path = folder / ADAPTER_NAME
    adapter = read_tensors(adapter_path) if adapter_path.exists() else {}
    return Checkpoint(config, tensors, adapter, folder)


def _weights_in(folder: Path) -> Path:
    for name in WEIGHT_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise LmdmError(f"{folder} is no checkpoint: it holds none of {', '.join(WEIGHT_NAMES)}.")


def read_config(folder: Path) -> Mapping[str, Any]:
    """The `model_config.json` of a folder. Raises LmdmError when it is missing or not a JSON object."""
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise LmdmError(f"{folder} is no checkpoint: {CONFIG_NAME} is missing beside the weights.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LmdmError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(config, dict):
        raise LmdmError(f"{path} must hold a JSON object, not a {type(config).__name__}.")
    return config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file, or of the `state_dict` in a `.ckpt` (read with `weights_only`).

    Raises LmdmError for a file that is truncated or something else altogether.
    """
    if path.suffix not in (".safetensors", ".ckpt"):
        raise LmdmError(f"{path} is no checkpoint: weights come as .safetensors or .ckpt.")
    if not path.is_file():
        raise LmdmError(f"{path} is missing or no file; copy or download the model again.")
    if path.suffix == ".ckpt":
        return _state_dict_of(_unpickled(path), path)
    try:
        return load_file(path)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        message = f"{path} is truncated or no .safetensors file ({reason}); copy or download it again."
        raise LmdmError(message) from None


def _unpickled(path: Path) -> object:
    """What a `.ckpt` holds. Strange bytes raise anything, and torch advises to trust them: neither is passed on.

    Neither are torch's warnings about how old or strange the pickle is: what it holds is judged here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception:
        raise LmdmError(
            f"{path} is truncated, no .ckpt file, or holds objects besides tensors, which are never run; "
            "copy or download it again, or export its tensors as .safetensors."
        ) from None


def _state_dict_of(content: object, path: Path) -> dict[str, Tensor]:
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    named = isinstance(tensors, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in tensors.items())
    if not named:
        raise LmdmError(f"{path} holds no state_dict of tensors; export the model from its training run first.")
    return tensors


def unwrapped(tensors: Mapping[str, Tensor], *, ema: bool = True) -> dict[str, Tensor]:
    """The model inside a stable-audio-tools training checkpoint, with `ema` its EMA weights where there are some.

    Anything else is returned as it is.
    """
    if not any(key.startswith(TRAINING_PREFIX) for key in tensors):
        return dict(tensors)
    model = {k.removeprefix(TRAINING_PREFIX): v for k, v in tensors.items() if k.startswith(TRAINING_PREFIX)}
    average = {f"model.{k.removeprefix(EMA_PREFIX)}": v for k, v in tensors.items() if k.startswith(EMA_PREFIX)}
    average = average if ema else {}
    log.info("Unwrapped a training checkpoint: %d tensors, %d of them EMA.", len(model), len(average))
    return {**model, **average}


def write_checkpoint(folder: str | Path, network: Network, config: Mapping[str, Any]) -> None:
    """Write a model folder; the host loads `model.safetensors` strictly with the same config.

    Raises LmdmError when the place cannot be written.
    """
    ours = network.adapter_keys()
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    added = {key: tensors.pop(key) for key in ours}
    write_tensors(folder, tensors, added, config)


def write_tensors(
    folder: str | Path, tensors: Mapping[str, Tensor], adapter: Mapping[str, Tensor], config: Mapping[str, Any]
) -> None:
    """Write the three files of a model folder, which appears whole or not at all.

    An existing model is replaced only after the new one is complete. Raises LmdmError when it cannot be written, and
    for a place that holds anything but a model.
    """
    try:
        with _replacing(_place_of(Path(folder))) as new:
            _write_files(new, tensors, adapter, config)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise LmdmError(f"Cannot write {folder}: {reason}; choose another place.") from None


def _place_of(folder: Path) -> Path:
    """The real path of a folder that may be written: it is not there, empty, or a model and nothing else."""
    place = folder.resolve()
    if not place.exists():
        return place
    if not place.is_dir():
        raise LmdmError(f"Cannot write a model to {folder}: it is a file; give the name of a folder.")
    if Path.cwd().is_relative_to(place):
        raise LmdmError(f"Cannot replace {folder}: this program runs in it; give the name of a folder inside it.")
    there = sorted(place.iterdir())
    for path in there:
        if path.name not in WRITTEN_NAMES or not path.is_file():
            raise LmdmError(f"Cannot replace {folder}: it holds {path.name}, which would be lost; give a new folder.")
    if there and not (place / CONFIG_NAME).exists():
        raise LmdmError(f"Cannot replace {folder}: it holds {there[0].name} but no {CONFIG_NAME}; give a new folder.")
    return place


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `folder` when the body succeeds; else what stood there stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    new, old = temporary / "new", temporary / "old"
    try:
        new.mkdir()
        yield new
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        shutil.rmtree(temporary, ignore_errors=True)


def _write_files(
    folder: Path, tensors: Mapping[str, Tensor], adapter: Mapping[str, Tensor], config: Mapping[str, Any]
) -> None:
    save_file(dict(tensors), folder / MODEL_NAME)
    if adapter:
        save_file(dict(adapter), folder / ADAPTER_NAME)
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes private files, a model is not
