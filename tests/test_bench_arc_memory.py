"""Memory of an ARC step: peaks are of what was alive at one time, and checkpointing lowers what a block takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lmdm_adapter.bench.arc_memory import ROLLOUT_BLOCKS, ArcMemory, growth_mib, measure
from lmdm_adapter.bench.live_memory import peak_bytes
from tests.cli import done, sentence

MIB = 2**20


def mebibyte() -> torch.Tensor:
    return torch.zeros(MIB // 4)


def test_the_peak_is_what_was_alive_at_one_time() -> None:
    def one_after_the_other() -> None:
        for _ in range(5):
            mebibyte()

    def together() -> list[torch.Tensor]:
        return [mebibyte() for _ in range(5)]

    assert peak_bytes(one_after_the_other) == MIB
    assert peak_bytes(together) == 5 * MIB


def test_views_and_what_was_there_before_do_not_count() -> None:
    before = mebibyte()

    def call() -> None:
        before.view(2, -1)[0].mul_(2.0)
        (before + 1.0).view(2, -1).t()

    assert peak_bytes(call) == MIB


def test_what_is_kept_for_the_backward_pass_counts() -> None:
    weight = torch.ones(MIB // 4, requires_grad=True)

    def chain() -> None:
        x = weight
        for _ in range(4):
            x = x.exp()
        x.sum().backward()

    assert 5 * MIB <= peak_bytes(chain) < 8 * MIB


def test_growth_is_a_slope_for_each_sample() -> None:
    assert growth_mib((2, 4, 8), [10 * MIB, 16 * MIB, 28 * MIB]) == pytest.approx(3.0)
    memory = ArcMemory("tiny", 2, (1, 2), (4 * MIB, 10 * MIB), (), 7 * MIB).to_json()
    assert memory["mib_per_block_and_sample"] == {"checkpointed": pytest.approx(3.0)}
    assert (memory["weights_mib"], memory["gradients_mib"], memory["adamw_mib"]) == (7.0, 7.0, 14.0)


def test_checkpointing_lowers_what_a_block_takes() -> None:
    growth = measure("tiny", blocks=(1, 3), steps=1).to_json()["mib_per_block_and_sample"]
    assert 0.0 < growth["checkpointed"] < 0.5 * growth["kept"]


def test_a_rolled_block_takes_at_most_25_mib_at_full_size(root: Path) -> None:
    """The figures that ship, of Stable Audio Open Small's shape in fp32, and their line through the peaks."""
    shipped = json.loads((root / "docs" / "results" / "arc-memory-sao-small.json").read_text())
    assert (shipped["shape"], shipped["rows"], shipped["blocks"]) == ("sao-small", 1, list(ROLLOUT_BLOCKS))
    growth = shipped["mib_per_block_and_sample"]
    assert 0.0 < growth["checkpointed"] <= 25.0 and growth["kept"] > 172.0
    for name, peaks_mib in shipped["peak_mib"].items():
        peaks = [round(one * MIB) for one in peaks_mib]
        assert growth[name] == pytest.approx(growth_mib(shipped["blocks"], peaks), rel=1e-2)
    table = (root / "docs" / "training.md").read_text()
    assert f"| for each block | {growth['checkpointed']:.1f} | {growth['kept']:.1f} |" in table
    assert shipped["adamw_mib"] == 2 * shipped["weights_mib"] == 2 * shipped["gradients_mib"]


@pytest.mark.slow
def test_a_full_size_block_takes_at_most_25_mib_when_measured() -> None:
    """The law itself; takes minutes and 8 GB."""
    growth = measure("sao-small", blocks=(2, 6), steps=1, without=False).to_json()["mib_per_block_and_sample"]
    assert 0.0 < growth["checkpointed"] <= 25.0


def test_the_command_says_what_it_found(tmp_path) -> None:
    out = done("bench-arc-memory", "--shape", "tiny", "--blocks", "1,2", "--only-checkpointed",
               "--json", tmp_path / "memory.json")  # fmt: skip
    assert "for each block and sample: checkpointed" in out and "adamw" in out
    assert json.loads((tmp_path / "memory.json").read_text())["blocks"] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--shape", "huge"), "'huge'"), (("--blocks", "2"), "two rollout lengths"), (("--blocks", "a,2"), "'a,2'"),
     (("--blocks", "0,2"), "at least 1 block")],
)  # fmt: skip
def test_bad_settings_are_sentences(arguments, word) -> None:
    assert word in sentence("bench-arc-memory", *arguments)
