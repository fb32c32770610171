"""Look around: make the `Environment` of this process, without importing anything that could break it."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.metadata
import importlib.util
import inspect
import platform
import re
import shutil
from pathlib import Path

from lmdm_adapter.cli.environment import SHOWN, Environment, TorchBuild
from lmdm_adapter.cli.source_signs import signs_in

OURSELVES = "lmdm-adapter"
# Streaming needs these; each has the name of its distribution.
NEEDED = ("torch", "numpy", "safetensors", "einops", "soundfile", "soxr", "huggingface_hub")
LOOKED_FOR = ("pkg_resources", "pytorch_lightning", "torchaudio", "torchvision", "torchcodec", "laion_clap")
DISTRIBUTIONS = (*NEEDED, *SHOWN, "torchvision", "torchcodec", "laion-clap", OURSELVES)
MODELS_FOLDER = Path(__file__).resolve().parent.parent / "models"
MODEL_FILES = ("model_config.json", "model.safetensors")


def survey() -> Environment:
    """The environment of this process."""
    failures = {name: reason for name in NEEDED if (reason := _import_failure(name)) is not None}
    return Environment(
        python=platform.python_version(),
        system=platform.system(),
        packages={name: version for name in DISTRIBUTIONS if (version := _version(name)) is not None},
        torch=None if "torch" in failures else _torch_build(),
        minimums=_minimums(),
        failures=failures,
        modules=frozenset(name for name in LOOKED_FOR if _folder(name) is not None),
        signs=signs_in(_source),
        bundled=tuple(sorted(folder.name for folder in MODELS_FOLDER.glob("*") if _is_model(folder))),
        ffmpeg=shutil.which("ffmpeg"),
        portaudio=_portaudio(),
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_failure(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken package raises is the finding
        return f"{type(error).__name__}: {error}".strip().splitlines()[0].rstrip(".")
    return None


def _torch_build() -> TorchBuild:
    import torch

    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    scheduler = inspect.signature(torch.optim.lr_scheduler.LRScheduler.__init__)
    return TorchBuild(str(torch.__version__), torch.version.cuda, tuple(devices), "verbose" in scheduler.parameters)


def _minimums() -> dict[str, str]:
    """The oldest versions that our own metadata allows, by name; empty where we are not installed."""
    try:
        requirements = importlib.metadata.requires(OURSELVES) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    matches = (re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", text) for text in requirements if "extra ==" not in text)
    return {match[1].replace("-", "_"): match[2] for match in matches if match}


def _folder(module: str) -> Path | None:
    """Where Python would find a top-level module; a stand-in without a place counts as absent."""
    try:
        spec = importlib.util.find_spec(module)
    except ValueError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None if spec is None or spec.origin is None else Path(spec.origin).parent
    return Path(next(iter(spec.submodule_search_locations)))


def _source(file: str) -> str | None:
    """The text of "package/path" of an installed package, or None."""
    package, _, path = file.partition("/")
    folder = _folder(package)
    if folder is None or not (folder / path).is_file():
        return None
    return (folder / path).read_text(encoding="utf-8", errors="replace")


def _is_model(folder: Path) -> bool:
    return all((folder / name).is_file() for name in MODEL_FILES)


def _portaudio() -> bool:
    """Whether sounddevice would find its library; its wheels bring one, except on Linux."""
    return platform.system() != "Linux" or ctypes.util.find_library("portaudio") is not None
