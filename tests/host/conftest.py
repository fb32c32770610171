"""The real host for the parity tests: `tests/host/install.sh VENV && VENV/bin/python -m pytest -n 0 -m host`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
HostModel = Callable[..., Any]


def _selected(config: pytest.Config) -> bool:
    expression = (config.option.markexpr or "").replace("not host", "")
    return "host" in expression


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder alone unless host tests are asked for: its files may import the host."""
    return None if _selected(config) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder `host`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.host)


def pytest_configure(config: pytest.Config) -> None:
    """Make the host importable: no network, stand-ins for what its networks never call."""
    if _selected(config):
        _prepare()


def _prepare() -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # transformers looks for torchvision and PIL when it is imported: it must look before the stubs are there.
    import stubs
    from transformers import AutoTokenizer, T5EncoderModel  # noqa: F401

    stubs.install()


@pytest.fixture
def tiny_t5(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every T5 that is asked for by name is a tiny random one, made on the spot."""
    import tiny_t5 as tiny

    tiny.patch(monkeypatch)


@pytest.fixture
def host_model(tiny_t5: None) -> HostModel:
    """`host_model(config, seed)`: the real host's model in eval mode with every parameter drawn anew.

    `fresh=True` keeps the host's own initialisation instead, for negative controls.
    """
    from stable_audio_tools.models.factory import create_model_from_config

    from tests.randomise import randomise

    def build(config: dict[str, Any], seed: int = 0, *, fresh: bool = False) -> Any:
        model = create_model_from_config(config).eval()
        return model if fresh else randomise(model, seed)

    return build
