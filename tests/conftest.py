"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is imported: spinning threads make a busy machine sixty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; each with threads of its own would only make them wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the project."""
    return ROOT
