"""The recipe of ARC-Forcing: what it refuses, what it hands on to the training, and what it leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import write_checkpoint
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.recipes import arc_forcing
from lmdm_adapter.recipes.arc_forcing import ArcForcingRecipe
from lmdm_adapter.spec import Sampling
from lmdm_adapter.training.arc_objective import ArcConfig
from lmdm_adapter.training.data import RecordingData
from lmdm_adapter.training.latent_judge import LatentJudgeConfig
from lmdm_adapter.training.loop import LoopConfig
from tests.cli import save_offline
from tests.models import SPEC, tiny_offline
from tests.recordings import write_library

ROLLED_BLOCKS = 2


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with an offline model, the live one that was made of it, and some music."""
    monkeypatch.chdir(tmp_path)
    lmdm.convert(save_offline(tmp_path / "base"), SPEC).save("student")
    write_library(tmp_path / "music")
    return tmp_path


def recipe(**settings: object) -> ArcForcingRecipe:
    """Two steps on the music of `place`."""
    loop = LoopConfig(steps=2, learning_rate=1e-2, warmup_steps=0, average_decay=0.5, log_every_steps=1, cpu=True)
    plain = ArcForcingRecipe(
        output="run", student="student", base="base", data=RecordingData("music", "latents", 0.2), batch_size=2,
        jitter_frames=0, example_seconds=0.2, judge=LatentJudgeConfig(channels=(8,), strides=(1,)), loop=loop,
        arc=ArcConfig(sampling=Sampling(steps=2), rollout_blocks=ROLLED_BLOCKS),
    )  # fmt: skip
    return replace(plain, **settings)


def test_the_judge_is_the_offline_model_that_the_student_came_from(place: Path) -> None:
    arc_forcing.student_and_base("student", "base")
    arc_forcing.student_and_base("tiny", "tiny-base")
    with pytest.raises(LmdmError, match="tiny is a live model; the judge needs the offline checkpoint"):
        arc_forcing.student_and_base("tiny", "tiny")
    network, config = tiny_offline()
    config["model"]["pretransform"]["scale"] = 2.0
    write_checkpoint("base", network, config)
    with pytest.raises(LmdmError, match="base and student have different codecs"):
        arc_forcing.student_and_base("student", "base")


def test_codecs_are_compared_by_what_they_hear(place: Path) -> None:
    """As many channels are not enough; half precision and another decoder make no difference."""
    own = lmdm.load("student").network
    half, decoder, encoder = (tiny_offline()[0] for _ in range(3))
    half.half().float()
    with torch.no_grad():
        next(decoder.autoencoder.decoder.parameters()).add_(0.1)
        next(encoder.autoencoder.encoder.parameters()).add_(0.1)
    assert arc_forcing.same_latents(own, half) and arc_forcing.same_latents(own, decoder)
    assert not arc_forcing.same_latents(own, encoder)


def test_a_stopped_run_leaves_a_model_that_plays(place: Path) -> None:
    assert arc_forcing.run(recipe(), stop_after=1).step == 1
    stopped = lmdm.load("run/model")
    assert stopped.section.trained_steps == 1 and stopped.sampling == recipe().arc.sampling
    before, after = (live.network.dit.state_dict() for live in (lmdm.load("student"), stopped))
    assert any(not torch.equal(before[name], after[name]) for name in before), "it has learned"
    assert not Path("run/example.wav").exists()
    assert arc_forcing.run(recipe()).finished and Path("run/example.wav").exists()
