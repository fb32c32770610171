"""Outputs that appear whole or not at all: written under a temporary name beside the target, then moved into place."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lmdm_adapter.errors import LmdmError

PART_MARK = ".lmdm-part-"


def beside(path: Path) -> Path:
    """A fresh hidden name in the folder of `path` with the same suffix; nothing is created."""
    return path.parent / f".{path.stem}{PART_MARK}{uuid.uuid4().hex[:8]}{path.suffix}"


def output_path(path: str | os.PathLike[str]) -> Path:
    """The real place that writing to `path` would fill: symbolic links followed.

    Raises LmdmError when the target is a folder or a device, or when its folder is missing or is a file.
    """
    target = Path(path).expanduser().resolve()
    if target.is_dir():
        raise LmdmError(f"Cannot write {path}: it is a folder; give a file name inside it.")
    if target.exists() and not target.is_file():
        # A rename onto a device or a pipe would replace it with a plain file.
        raise LmdmError(f"Cannot write {path}: it is no regular file; give the name of a file.")
    _require_folder(target.parent, path)
    return target


def require_writable(path: str | os.PathLike[str]) -> Path:
    """`output_path`, and proof that a file can be made there: one is made beside the target and removed at once.

    Permission bits do not tell (root, read-only mounts, network drives), so this tries.
    Raises LmdmError when the file cannot be made.
    """
    target = output_path(path)
    with _sentence_for(path), replacing(target, keep=False) as part:
        part.touch(exist_ok=False)
    return target


def require_apart(written: Iterable[Path | None], read: Iterable[Path | None]) -> None:
    """Refuse to write where something is read or recorded. Raises LmdmError that names it; None is nothing."""
    taken = {path.expanduser().resolve(): path for path in read if path is not None}
    for target in written:
        if target is not None and (path := taken.get(target.expanduser().resolve())) is not None:
            raise LmdmError(f"Writing {target} would overwrite {path}, which this reads or records; give another name.")


@contextmanager
def replacing(target: Path, *, keep: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `target`; move it onto `target` on success, remove it on any error or Ctrl-C.

    With `keep=False` it is always removed.
    """
    part = beside(target)
    try:
        yield part
        if keep:
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN and infinity are no JSON and raise ValueError."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with _sentence_for(path), replacing(output_path(path)) as part:
        part.write_text(text, encoding="utf-8")


def require_new_folder(path: str | os.PathLike[str], *, force: bool = False, marker: str = "model_config.json") -> Path:
    """The folder that `replacing_folder` may fill: absent or empty, or with `force` one that holds `marker`.

    The marker keeps `force` from wiping a home folder by a slip of the keyboard. Raises LmdmError otherwise.
    """
    target = Path(path).expanduser().resolve()
    if target.exists() and not target.is_dir():
        raise LmdmError(f"Cannot write a model to {path}: it is a file; give the name of a folder.")
    _require_folder(target.parent, path)
    if target.is_dir() and any(target.iterdir()):
        if not force:
            raise LmdmError(f"{path} exists and is not empty; choose another folder or add --force to replace it.")
        if not (target / marker).is_file():
            raise LmdmError(f"{path} holds no {marker}, so --force will not replace it; remove it by hand.")
    with _sentence_for(path):
        probe = beside(target)
        probe.mkdir()
        probe.rmdir()
    return target


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; move it into the place of `target` on success, else remove it.

    A folder that stood there is moved aside first and deleted last, so that it survives a failed move.
    """
    part, old = beside(target), beside(target)
    part.mkdir()
    try:
        yield part
        if target.exists():
            os.replace(target, old)
        try:
            os.replace(part, target)
        except OSError:
            if old.exists():
                os.replace(old, target)
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _sentence_for(path: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LmdmError(f"Cannot write {path}: {error.strerror or error}; choose another place.") from error


def _require_folder(folder: Path, path: object) -> None:
    if not folder.exists():
        raise LmdmError(f"Cannot write {path}: the folder {folder} does not exist; make it first.")
    if not folder.is_dir():
        raise LmdmError(f"Cannot write {path}: {folder} is a file, not a folder.")
