"""Parts of an objective that take turns: each learns alone, with its own optimiser, and resuming is exact."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.journal import read_log
from lmdm_adapter.training.loop import OptimiserConfig, train
from tests.trained_together import CONFIG, JUDGE, Game, fit, new, points


def moved(before: nn.Module, after: nn.Module) -> set[str]:
    """The parts of a game whose weights differ."""
    other = after.state_dict()
    return {name.split(".")[0] for name, value in before.state_dict().items() if not torch.equal(value, other[name])}


def test_one_part_learns_in_each_step(tmp_path: Path) -> None:
    start = new("game")
    _, first = fit("game", tmp_path, stop_after=1)
    _, second = fit("game", tmp_path, stop_after=2)
    _, third = fit("game", tmp_path, stop_after=3)
    assert moved(start, first) == {"line"} and moved(first, second) == {"judge"} and moved(second, third) == {"line"}
    assert all(parameter.requires_grad for parameter in third.judge.parameters())
    assert not any(parameter.requires_grad for parameter in third.frozen.parameters())


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, stop_after: int) -> None:
    whole, game = fit("game", tmp_path / "whole", accumulate=2)
    fit("game", tmp_path / "parts", accumulate=2, stop_after=stop_after)
    second, resumed = fit("game", tmp_path / "parts", accumulate=2)
    assert not moved(game, resumed)
    assert all(torch.equal(whole.average[name], second.average[name]) for name in whole.average)


def test_the_first_part_alone_is_averaged_when_it_has_learnt(tmp_path: Path) -> None:
    (first, game), (second, _), (third, _) = (fit("game", tmp_path, stop_after=step) for step in (1, 2, 3))
    assert set(first.average) == {f"line.{name}" for name, _ in game.line.named_parameters()}
    assert all(torch.equal(first.average[name], second.average[name]) for name in first.average)
    assert not any(torch.equal(second.average[name], third.average[name]) for name in first.average)


def test_no_gradient_is_computed_for_weights_whose_turn_it_is_not(tmp_path: Path) -> None:
    seen = []

    class Watched(Game):
        def forward(self, x: Tensor, index: int, part: str) -> dict[str, Tensor]:
            seen.append((part, self.line[0].weight.requires_grad, self.judge.weight.requires_grad))
            return super().forward(x, index, part)

    train(Watched(), points, config=CONFIG, folder=tmp_path, title="game", stop_after=2)
    assert seen == [("line", True, False), ("judge", False, True)]


def test_each_part_has_its_own_rate_moments_and_clipping(tmp_path: Path) -> None:
    """AdamW's first step is the rate; its second moment tells how large the gradient was that it got."""
    fit("game", tmp_path, stop_after=2)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["optimizers"]
    for name, settings, step in (("line", CONFIG, 0), ("judge", JUDGE, 1)):
        group, moments = saved[name]["param_groups"][0], saved[name]["state"].values()
        assert group["lr"] == settings.rate_at(step, steps=CONFIG.steps)
        assert (group["betas"], group["weight_decay"]) == ((settings.beta1, settings.beta2), settings.weight_decay)
        squares = sum(float(one["exp_avg_sq"].sum()) for one in moments) / (1.0 - settings.beta2)
        assert squares**0.5 <= settings.clip_norm * 1.001
    assert squares**0.5 == pytest.approx(JUDGE.clip_norm, rel=1e-3), "the judge's gradient is larger than its limit"


def test_both_losses_are_reported(tmp_path: Path) -> None:
    fit("game", tmp_path)
    last = read_log(tmp_path)[-1]
    assert {"line/loss", "judge/loss", "line/gradient_norm"} < set(last) and last["line/loss"] != last["judge/loss"]


def test_a_loss_of_a_later_part_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    class Broken(Game):
        def forward(self, x: Tensor, index: int, part: str) -> dict[str, Tensor]:
            losses = super().forward(x, index, part)
            return {"loss": losses["loss"] * (float("nan") if part == "judge" else 1.0)}

    with pytest.raises(LmdmError, match="judge/loss is nan"):
        train(Broken(), points, config=CONFIG, folder=tmp_path, title="broken")


class Overlapping(Game):
    def parts(self) -> dict[str, list[nn.Parameter]]:
        return {"line": list(self.parameters())[:-2], "judge": list(self.judge.parameters())}


class Forgetful(Game):
    def parts(self) -> dict[str, list[nn.Parameter]]:
        return {"line": list(self.line.parameters()), "judge": [self.judge.weight]}


class Empty(Game):
    def parts(self) -> dict[str, list[nn.Parameter]]:
        return {**super().parts(), "nobody": []}


@pytest.mark.parametrize(
    ("broken", "told"), [(Overlapping, "share"), (Forgetful, "leave"), (Empty, "needs parameters")]
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, broken: type[Game], told: str) -> None:
    with pytest.raises(LmdmError, match=told):
        train(broken(), points, config=CONFIG, folder=tmp_path / "run", title="broken")
    assert not (tmp_path / "run").exists()


def test_an_optimiser_of_no_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="no part 'jury'.*line, judge"):
        train(Game(), points, config=CONFIG, folder=tmp_path, title="game", optimisers={"jury": OptimiserConfig()})
