"""Models by hub id: downloaded by the real client from a local stand-in, with a token where a licence asks for one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli import save_live, save_offline
from tests.hub_server import TOKEN, Hub, serving

ROOT = Path(__file__).resolve().parent.parent
PLAY = ("stream", "house", "--seconds", "0.2", "--out", "out.wav", "--model")


def lmdm(hub: Hub, home: Path, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `lmdm` in a process of its own, which knows no hub but this one."""
    code = "import sys; sys.argv[0] = 'lmdm'; from lmdm_adapter.cli import main; main()"
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.address, "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    environment = {name: value for name, value in environment.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    if token:
        environment["HF_TOKEN"] = token
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=home, env=environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def test_a_live_model_is_downloaded_once_and_plays(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with serving(save_live(tmp_path / "model")) as hub:
        first = lmdm(hub, tmp_path / "home", *PLAY, "owner/little")
        assert first.returncode == 0, first.stderr
        fetched = [path for path in hub.asked if path.endswith(".safetensors")]
        assert fetched and (tmp_path / "home" / "out.wav").stat().st_size > 0
        assert lmdm(hub, tmp_path / "home", *PLAY, "owner/little").returncode == 0
        assert len([path for path in hub.asked if path.endswith(".safetensors")]) <= 2 * len(fetched)


def test_a_stock_checkpoint_plays_by_its_hub_id_alone(tmp_path: Path) -> None:
    """The one line for someone who has accepted the licence."""
    (tmp_path / "home").mkdir()
    with serving(save_offline(tmp_path / "model"), gated=True) as hub:
        arguments = (*PLAY, "owner/little", "--regime", "outpaint", "--steps", "1")
        allowed = lmdm(hub, tmp_path / "home", *arguments, token=TOKEN)
        assert allowed.returncode == 0, allowed.stderr


@pytest.mark.parametrize(
    ("name", "says"), [("owner/little", "accept its licence"), ("owner/none", "no such public model")]
)
def test_what_cannot_be_had_is_one_sentence(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "home").mkdir()
    with serving(save_live(tmp_path / "model"), gated=True) as hub:
        refused = lmdm(hub, tmp_path / "home", *PLAY, name)
    assert refused.returncode == 1 and says in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr and not (tmp_path / "home" / "out.wav").exists()


def test_a_repository_of_diffusers_is_told_apart(tmp_path: Path) -> None:
    for folder in ("home", "model"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "model_index.json").write_text('{"_class_name": "StableAudioPipeline"}')
    with serving(tmp_path / "model") as hub:
        refused = lmdm(hub, tmp_path / "home", *PLAY, "owner/little")
    assert refused.returncode == 1 and "diffusers (StableAudioPipeline)" in refused.stderr, refused.stderr


def test_a_checkpoint_in_a_ckpt_file_is_downloaded_too(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    folder = save_offline(tmp_path / "model")
    torch.save({"state_dict": load_file(folder / "model.safetensors")}, folder / "model.ckpt")
    (folder / "model.safetensors").unlink()
    with serving(folder) as hub:
        played = lmdm(hub, tmp_path / "home", *PLAY, "owner/little", "--regime", "outpaint", "--steps", "1")
    assert played.returncode == 0, played.stderr
