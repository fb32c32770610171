"""The released 0.0.20: objects with the networks of 0.0.19 are taken over, others are refused by option and name.

GitHub main had the same network files when it was last read (docs/hosts.md), so this is what its objects meet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from released import HOST_20, LIGHTNING, fetched, run, unpacked


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `later_host.py` found, in a process of its own with the released wheel."""
    copy = unpacked([fetched(HOST_20, tmp_path_factory.mktemp("wheel"))], tmp_path_factory.mktemp("site-packages"),
                    first=[LIGHTNING])  # fmt: skip
    result = run("later_host.py", copy)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert Path(told["host"]).is_relative_to(copy)
    return told


@pytest.mark.parametrize("config", ["small", "1.0", "inpainting"])
def test_its_objects_with_known_networks_are_taken_over(config: str, found: dict[str, Any]) -> None:
    """Law 1 against the later release, from attributes alone."""
    far = found["parity"][config]
    assert far["velocity"] < 1e-5 and far["decoded"] < 1e-8
    assert far["moved"] > 1e-3


def test_its_objects_with_other_networks_are_refused_by_name(found: dict[str, Any]) -> None:
    assert len(found["refusals"]) == 13
    for option, told in found["refusals"].items():
        assert told is not None, f"{option} went through"
        assert "stable-audio-tools 0.0.20 and Stable Audio 3" in told, f"{option}: {told}"
