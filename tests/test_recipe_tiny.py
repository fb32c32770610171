"""The whole chain as one command: every stage in its turn, none begun after a stop, nothing begun with a bad config."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import tiny
from lmdm_adapter.training.loop import Trained
from tests.cli import lmdm


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages that only note what they were given; "base" is stopped when `stop` is in the list."""
    done: list[str] = []

    def noted(stage: str, config: object) -> Trained:
        done.append(f"{stage} {config.output}")
        return Trained(1, finished="stop" not in done or stage != "base", average={})

    for stage, (cls, _run) in tiny.STAGES.items():
        monkeypatch.setitem(tiny.STAGES, stage, (cls, lambda config, stage=stage: noted(stage, config)))
    return done


def test_stages_follow_each_other(begun: list[str]) -> None:
    assert lmdm("train", "tiny").exit_code == 0
    assert begun == ["codec runs/codec", "decoder runs/decoder", "base runs/base", "finetune runs/finetune"]


def test_a_stop_ends_the_chain(begun: list[str]) -> None:
    begun.append("stop")
    assert lmdm("train", "tiny").exit_code == 130
    assert [line.split()[0] for line in begun] == ["stop", "codec", "decoder", "base"]


def test_a_config_of_ones_own_takes_the_place_of_a_stage(begun: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"output": "mine", "codec": "c", "data": {"kind": "songs", "folder": "l"}}')
    tiny.run(tiny.TinyRecipe(base=str(tmp_path / "mine.json")))
    assert begun[2] == "base mine"


def test_all_configs_are_read_before_the_first_stage(begun: list[str]) -> None:
    with pytest.raises(LmdmError, match="missing.json"):
        tiny.run(tiny.TinyRecipe(finetune="missing.json"))
    assert not begun
