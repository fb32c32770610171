"""The training loop: resuming is exact, SIGTERM saves, bad runs are refused."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.draws import normal, torch_draws
from lmdm_adapter.training.journal import read_log
from lmdm_adapter.training.loop import LoopConfig, Trained, train

CONFIG = LoopConfig(steps=8, learning_rate=1e-2, warmup_steps=2, average_decay=0.9, log_every_steps=2, cpu=True)


class Line(nn.Module):
    """Fits a line to points that are drawn per step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor, step: int) -> dict[str, Tensor]:
        noise = normal(x.shape, seed=5, step=step, purpose="noise", device=x.device)
        return {"loss": (self.layer(x + 0.1 * noise) - x.sum(1, keepdim=True)).square().mean()}


def points(step: int) -> tuple[Tensor]:
    return (torch.randn(4, 3, generator=torch_draws(0, step, "points")),)


def fit(folder: Path, *, config: LoopConfig = CONFIG, stop_after: int | None = None) -> tuple[Trained, Line]:
    torch.manual_seed(0)
    line = Line()
    return train(line, points, config=config, folder=folder, title="line", stop_after=stop_after), line


def saved(folder: Path) -> tuple[int, bool]:
    """The step of a checkpoint, and whether all of its weights are finite."""
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state["step"], all(bool(value.isfinite().all()) for value in state["objective"].values())


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path) -> None:
    whole, line = fit(tmp_path / "whole")
    first, half = fit(tmp_path / "parts", stop_after=3)
    assert (first.step, first.finished) == (3, False)
    second, resumed = fit(tmp_path / "parts")
    assert (second.step, second.finished) == (8, True)
    assert torch.equal(line.layer.weight, resumed.layer.weight)
    assert not torch.equal(half.layer.weight, resumed.layer.weight)
    assert all(torch.equal(whole.average[name], second.average[name]) for name in whole.average)


def test_average_lags_behind_the_weights(tmp_path: Path) -> None:
    trained, line = fit(tmp_path)
    assert not torch.equal(trained.average["layer.weight"], line.layer.weight)


def test_without_averaging_the_weights_themselves_are_saved(tmp_path: Path) -> None:
    """After a resumption too, and without a copy of them."""
    config = replace(CONFIG, average_decay=0.0)
    assert not fit(tmp_path, config=config, stop_after=3)[0].finished
    trained, line = fit(tmp_path, config=config)
    assert trained.average.keys() == {"layer.weight", "layer.bias"}
    assert torch.equal(trained.average["layer.weight"], line.layer.weight)
    assert trained.average["layer.weight"].data_ptr() == line.layer.weight.data_ptr()
    assert not trained.average["layer.weight"].requires_grad
    whole, _ = fit(tmp_path / "whole", config=config)
    assert torch.equal(whole.average["layer.weight"], trained.average["layer.weight"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_ctrl_c_save_and_stop(tmp_path: Path, number: signal.Signals) -> None:
    def asked_at_4(step: int) -> tuple[Tensor]:
        if step == 4:
            os.kill(os.getpid(), number)
        return points(step)

    def unheard(*_: object) -> None: ...

    before = signal.signal(number, unheard)
    try:
        torch.manual_seed(0)
        stopped = train(Line(), asked_at_4, config=CONFIG, folder=tmp_path, title="line")
        assert signal.getsignal(number) is unheard, "the old handler comes back"
    finally:
        signal.signal(number, before)
    assert (stopped.step, stopped.finished) == (5, False) and saved(tmp_path) == (5, True)
    assert fit(tmp_path)[0].finished


@pytest.mark.parametrize(("minutes", "kept"), [(0.0, 5), (60.0, None)])
def test_checkpoints_are_written_when_their_time_has_come(tmp_path: Path, minutes: float, kept: int | None) -> None:
    """A run that is killed loses what it did since, and no more."""

    def killed_at_5(step: int) -> tuple[Tensor]:
        if step == 5:
            raise MemoryError
        return points(step)

    with pytest.raises(MemoryError):
        train(Line(), killed_at_5, config=replace(CONFIG, checkpoint_minutes=minutes), folder=tmp_path, title="line")
    assert (saved(tmp_path)[0] if (tmp_path / "checkpoint.pt").exists() else None) == kept


def test_gradients_are_clipped_to_the_norm(tmp_path: Path) -> None:
    """The second moment of Adam after one step says how large the gradient was that it got."""

    def largest(folder: Path, clip_norm: float) -> float:
        fit(folder, config=replace(CONFIG, clip_norm=clip_norm), stop_after=1)
        state = torch.load(folder / "checkpoint.pt", weights_only=True)["optimizers"]["objective"]["state"]
        return sum(float(one["exp_avg_sq"].sum()) for one in state.values()) / (1.0 - CONFIG.beta2)

    clipped, free = largest(tmp_path / "clipped", 0.01), largest(tmp_path / "free", 1e9)
    assert clipped == pytest.approx(1e-4, rel=0.01) and free > 1e-3


def test_log_and_picture(tmp_path: Path) -> None:
    fit(tmp_path)
    assert [record["step"] for record in read_log(tmp_path)] == [2, 4, 6, 8]
    assert (tmp_path / "loss.png").stat().st_size > 0


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, stop_after=2)
    with pytest.raises(LmdmError, match="does not fit"):
        train(nn.Sequential(nn.Linear(2, 2)), points, config=CONFIG, folder=tmp_path, title="other")


def test_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="loss is nan"):
        train(Line(), lambda step: (torch.full((4, 3), torch.nan),), config=CONFIG, folder=tmp_path, title="line")


def broken_from(first: int) -> Callable[[int], tuple[Tensor]]:
    """Points that are no numbers from a step on."""
    return lambda step: (points(step)[0] * (torch.nan if step >= first else 1.0),)


def test_a_run_that_broke_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    """A checkpoint is due before every step, and the loss is reported much later."""
    config = replace(CONFIG, log_every_steps=100, validate_every_steps=5, checkpoint_minutes=0.0)
    with pytest.raises(LmdmError, match="At step 5 .* no finite number.*go on from the last checkpoint"):
        train(
            Line(), broken_from(4), config=config, folder=tmp_path, title="line",
            validate=lambda average, step: pytest.fail("broken weights were measured"),
        )  # fmt: skip
    assert saved(tmp_path) == (4, True)
    assert fit(tmp_path)[0].finished


def test_a_broken_run_that_is_stopped_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    fit(tmp_path, stop_after=3)
    quiet = replace(CONFIG, log_every_steps=100)
    with pytest.raises(LmdmError, match="At step 6 .* no finite number"):
        train(Line(), broken_from(4), config=quiet, folder=tmp_path, title="line", stop_after=6)
    assert saved(tmp_path) == (3, True)


class Odd(Line):
    """A line of which one thing alone is no finite number: the loss, or the norm of its gradient."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor, step: int) -> dict[str, Tensor]:
        loss = super().forward(x, step)["loss"]
        return {"loss": {"loss": loss + torch.inf, "gradient": loss * 1e30, "weight": loss}[self.what]}


@pytest.mark.parametrize("what", ["loss", "gradient", "weight"])
def test_each_thing_that_is_no_finite_number_is_reason_enough(tmp_path: Path, what: str) -> None:
    huge = {"learning_rate": 1e30, "weight_decay": 1e30} if what == "weight" else {}
    config, odd = replace(CONFIG, log_every_steps=100, **huge), Odd(what)
    with pytest.raises(LmdmError, match="At step 1 .* no finite number.*begin again"):
        train(odd, points, config=config, folder=tmp_path, title="odd", stop_after=1)
    assert bool(odd.layer.weight.isfinite().all()) == (what != "weight") and not (tmp_path / "checkpoint.pt").exists()


def test_a_term_is_reported_for_the_steps_that_had_it(tmp_path: Path) -> None:
    """What a batch did not have is neither zero nor what it was some steps ago."""

    class Partnered(Line):
        def forward(self, x: Tensor, step: int) -> dict[str, Tensor]:
            contrast = {"contrast": x.mean()} if step % 4 == 1 else {}
            return {**contrast, **super().forward(x, step)}

    train(Partnered(), points, config=CONFIG, folder=tmp_path / "one", title="line")
    told = [record.get("contrast") for record in read_log(tmp_path / "one")]
    expected = [pytest.approx(float(points(index)[0].mean()), abs=1e-6) for index in (1, 5)]
    assert told == [expected[0], None, expected[1], None]
    train(Partnered(), points, config=replace(CONFIG, accumulate=4), folder=tmp_path / "four", title="line")
    last = read_log(tmp_path / "four")[-1]
    assert last["contrast"] == pytest.approx(float(points(29)[0].mean()), abs=1e-6), "one of the four batches has it"


def test_learning_rate_warms_up_and_falls() -> None:
    config = LoopConfig(steps=100, learning_rate=1.0, warmup_steps=10, final_share=0.1)
    rates = [config.learning_rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == pytest.approx(1.0)
    assert rates[9] == pytest.approx(1.0) and rates[55] == pytest.approx(0.55, abs=0.01)
    assert rates[99] == pytest.approx(0.1, abs=0.01)


NAN, INF = float("nan"), float("inf")
BAD = {
    "steps": (0, -1), "accumulate": (0, -1), "learning_rate": (0.0, -1.0, NAN, INF), "warmup_steps": (-1,),
    "final_share": (-0.1, 1.1, NAN), "beta1": (-0.1, 1.0, NAN), "beta2": (-0.1, 1.0, NAN),
    "weight_decay": (-0.1, NAN, INF), "clip_norm": (0.0, -1.0, NAN, INF), "average_decay": (-0.1, 1.0, NAN),
    "precision": ("bf8", ""), "checkpoint_minutes": (-1.0, NAN), "log_every_steps": (0, -1),
    "validate_every_steps": (-1,), "sample_every_steps": (-1,), "trackers": (("tensorboard", "tensorboard"),),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_are_refused_by_name(name: str) -> None:
    for value in BAD[name]:
        with pytest.raises(LmdmError, match=f"LoopConfig.{name} must be .*, got "):
            LoopConfig(**{name: value})  # type: ignore[arg-type]


def test_every_setting_is_checked() -> None:
    assert {field.name for field in fields(LoopConfig)} - set(BAD) == {"cpu"}
