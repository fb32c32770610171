"""Law 11: imports point down the list of layers only (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "lmdm_adapter"

# From the top down. Siblings of one row may import each other only where SIBLINGS says so.
# fmt: off
LAYERS = (
    ("__main__", "cli", "demo", "io"),
    ("session", "training", "recipes", "evaluation", "bench"),
    (
        "loading", "live", "conversion", "checkpoint", "section", "hosted", "prime", "rollout", "regimes", "told",
        "state_file", "state_fit", "sound_file",
        "codec", "codec_stream", "codec_encode_stream", "codec_residual", "controls", "pipeline", "host_request",
        "k_diffusion",
    ),
    ("hosts",),
    ("network",),
    ("masks", "samplers"),
    ("spec", "state", "audio", "resampling", "fields", "extras", "errors"),
)
# fmt: on
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
MUSIC_MAY_IMPORT = {"music", "audio", "errors"}
MAY_IMPORT_MUSIC = {"music", "training", "recipes", "evaluation", "cli", "demo"}
# Playing never knows training, and training never knows playing.
STRANGERS = {("session", other) for other in ("training", "recipes", "evaluation", "bench")}
STRANGERS |= {(other, "session") for _, other in STRANGERS}
HOST_PACKAGES = {"stable_audio_tools", "stable_audio_3", "diffusers"}
NEVER_IMPORTED = {"torchaudio", "torchvision"}


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            yield node.module or ""
            if node.module == "lmdm_adapter":
                yield from (f"lmdm_adapter.{alias.name}" for alias in node.names)


def part_of(path: Path, package: Path) -> str:
    """The part of the package that a file belongs to: its folder, or its own name."""
    first = path.relative_to(package).parts[0]
    return first.removesuffix(".py")


def complaint(part: str, imported: str) -> str | None:
    """Why a file of `part` must not import the module `imported`, or None."""
    root, _, rest = imported.partition(".")
    if root in NEVER_IMPORTED:
        return f"{root} is never imported"
    if root in HOST_PACKAGES:
        return None if part == "hosts" else f"only hosts/ may import {root}"
    if root != "lmdm_adapter" or not rest or part == "__init__":
        return None
    target = rest.split(".")[0]
    if "music" in (part, target):
        allowed = target in MUSIC_MAY_IMPORT if part == "music" else part in MAY_IMPORT_MUSIC
        return None if allowed else f"{part} and music are apart"
    if target not in DEPTH or part not in DEPTH:
        return f"{target if part in DEPTH else part} has no layer; give it one in tests/test_layers.py"
    if (part, target) in STRANGERS:
        return f"{part} and {target} are apart"
    return None if DEPTH[part] <= DEPTH[target] else f"{part} lies below {target}"


def complaints(package: Path) -> list[str]:
    """All violations in a package folder, as "file: reason"."""
    found = []
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for imported in imported_modules(tree):
            reason = complaint(part_of(path, package), imported)
            if reason:
                found.append(f"{path.relative_to(package)}: {reason} ({imported})")
    return found


def test_imports_point_down():
    assert not complaints(PACKAGE)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("masks.py", "import lmdm_adapter.network.dit"),
        ("network/dit.py", "from lmdm_adapter import rollout"),
        ("network/dit.py", "from stable_audio_tools.models import dit"),
        ("session/engine.py", "from lmdm_adapter.training.losses import mse"),
        ("training/loop.py", "from lmdm_adapter.session import engine"),
        ("music/song.py", "from lmdm_adapter.io.files import write"),
        ("live.py", "from lmdm_adapter.music import song"),
        ("io/files.py", "def later():\n    import torchaudio"),
        ("live.py", "from lmdm_adapter.somewhere import new"),
    ],
)
def test_a_wrong_import_is_found(file, line, tmp_path):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(line)
    assert len(set(complaints(tmp_path))) == 1


def test_the_picture_names_every_module():
    picture = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    there = {part_of(path, PACKAGE) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert not {name for name in there if f"`{name}`" not in picture and f"`{name}/`" not in picture}


def test_right_imports_pass(tmp_path):
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "one.py").write_text("def load():\n    import stable_audio_tools\n")
    (tmp_path / "live.py").write_text("from lmdm_adapter.network.dit import DiT\nfrom lmdm_adapter.rollout import x\n")
    (tmp_path / "__init__.py").write_text("from lmdm_adapter.live import LiveModel\n")
    assert not complaints(tmp_path)
