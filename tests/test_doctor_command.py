"""`lmdm doctor` as a program: what it prints and writes, its exit code, and what it never imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lmdm_adapter.cli import survey
from tests.cli import done, lmdm, names, sentence

BOOM = "raise SystemExit('a host package was imported')\n"
DANGEROUS = ("torchaudio", "torchvision", "laion_clap", "stable_audio_tools", "diffusers", "k_diffusion", "gradio")


def install(folder: Path, package: str, version: str, files: dict[str, str] | None = None) -> None:
    """A package that ends the program when it is imported, with the metadata of an installed one."""
    for path, text in {"__init__.py": BOOM, **(files or {})}.items():
        place = folder / package / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    name = package.replace("_", "-")
    metadata = folder / f"{package}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_it_says_what_is_here(tmp_path: Path) -> None:
    text = done("doctor", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["can_stream"] and "lmdm can stream here." in text
    environment = report["environment"]
    assert environment["python"] in text and environment["torch"]["version"] in text
    assert "tiny" in environment["bundled"] and environment["packages"]["numpy"] in text
    assert all(finding["cure"] in text for finding in report["findings"])


def test_a_package_that_cannot_be_imported_ends_it_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert "soundfile cannot be imported" in sentence("doctor", "--json", tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["can_stream"] and report["findings"][0]["blocks"]
    output = lmdm("doctor").stdout
    assert "BLOCKS soundfile" in output and "lmdm can stream here." not in output


def test_without_the_bundled_model_it_cannot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model_config.json").write_text("{}")
    monkeypatch.setattr(survey, "MODELS_FOLDER", tmp_path)
    assert "'tiny'" in sentence("doctor")


def test_a_report_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    assert "does not exist" in sentence("doctor", "--json", tmp_path / "missing" / "report.json")
    assert names(tmp_path) == []


def test_hosts_are_looked_at_and_never_imported(root: Path, tmp_path: Path) -> None:
    files = {"inference/generation.py": "def generate(seed):\n    torch.manual_seed(seed)\n"}
    for package in DANGEROUS:
        version = "0.0.19" if package == "stable_audio_tools" else "1.2.3"
        install(tmp_path, package, version, files if package == "stable_audio_tools" else None)
    program = (
        "import sys\n"
        f"sys.path[:0] = [{str(tmp_path)!r}, {str(root)!r}]\n"
        "from lmdm_adapter.cli import app\n"
        f"app(['doctor', '--json', {str(tmp_path / 'report.json')!r}], standalone_mode=False)\n"
        f"sys.exit(str(set({DANGEROUS!r}) & set(sys.modules) or '') or 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    found = {finding["name"] for finding in report["findings"]}
    assert {"side effects", "B2", "B8"} <= found and "B6" not in found
    assert "0.0.19 (generation G1)" in result.stdout


def test_help_is_quick(root: Path) -> None:
    program = (
        "import sys\nfrom lmdm_adapter.cli import app\napp(['doctor', '--help'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert result.returncode == 0 and "doctor" in result.stdout
