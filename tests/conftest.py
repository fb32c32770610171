"""What every test may use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lmdm_adapter.demo.records import Records

# Before torch is imported: spinning threads make a busy machine sixty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; each with threads of its own would only make them wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# numba (librosa's) crashes processes that fill one folder of compiled functions together (numba issue 10128).
_COMPILED = tempfile.TemporaryDirectory(prefix="lmdm-numba-", ignore_cleanup_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Every worker compiles into a folder of its own: kept beside pytest's cache, or for this run where that is off."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        kept = getattr(config, "cache", None)
        os.environ["NUMBA_CACHE_DIR"] = str(kept.mkdir(f"numba-{worker}") if kept else _COMPILED.name)


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the project."""
    return ROOT


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Launched processes have one thread each; sums of more are rounded otherwise, and AdamW magnifies that."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def records() -> Iterator[Records]:
    """What visitors of the demo record, which is gone with the test."""
    from lmdm_adapter.demo.records import Records

    made = Records()
    yield made
    made.discard_all()
