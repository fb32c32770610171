"""Models that hear harmony and models that do not are compared on the same songs, each as it hears them."""

from __future__ import annotations

import pytest
import torch

from lmdm_adapter.controls.accompaniment import Heard
from lmdm_adapter.controls.declared import HARMONY, HEARD
from lmdm_adapter.evaluation.jam import evaluate_jam, heard_late
from lmdm_adapter.evaluation.jam_material import JamPlan
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.spec import Sampling
from tests.mode_models import listening_live

MODELS = {"new": listening_live(harmony=True), "old": listening_live()}
PLAN = JamPlan(songs=2, seconds=10.0, warm_up_seconds=1.0, visibility_seconds=(-1.0,), draws=10)


def test_everyone_is_told_what_it_declares() -> None:
    heard = [Heard(torch.ones(4, 20), harmony=torch.ones(24, 20))]
    (told,), (plain,) = (heard_late(heard, MODELS[name], 0.0)(8, 6) for name in ("new", "old"))
    assert set(told) == {*HEARD, HARMONY} and told[HARMONY].any() and set(plain) == set(HEARD)


@pytest.mark.parametrize(("model", "other"), [("new", "old"), ("old", "new")])
def test_either_may_be_the_baseline(model: str, other: str) -> None:
    """Whichever is first, the one that hears harmony is told some, and the other one none."""
    told: dict[int, set[str]] = {}

    def play(live, prompts, *, seconds, seeds, sampling, controls):
        from lmdm_adapter.audio import Audio

        if controls is not None:
            told.setdefault(id(live), set()).update(
                name for row in controls(200, 6) for name, values in row.items() if values.any()
            )
        return [Audio(torch.zeros(1, round(seconds * live.codec.sample_rate)).numpy(), live.codec.sample_rate)
                for _ in prompts]  # fmt: skip

    one, two = (Contender(name, MODELS[name], Sampling(steps=1)) for name in (model, other))
    evaluate_jam(one, PLAN, other=two, play=play)
    assert HARMONY in told[id(MODELS["new"])] and HARMONY not in told[id(MODELS["old"])]
