"""What a loop asks of devices and packages: precision, trackers, samples; what is missing is refused in a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training import run as run_module
from lmdm_adapter.training.loop import train
from lmdm_adapter.training.processes import main_first
from tests.trained_together import CONFIG, Line, fit, new, points


def test_accumulated_batches_equal_one_large_batch(tmp_path: Path) -> None:
    """Without noise, two batches of four points are one of eight; the rows are the same in the same steps."""

    class Quiet(Line):
        def forward(self, x: Tensor, index: int) -> dict[str, Tensor]:
            return {"loss": (self.layer(x) - x.sum(1, keepdim=True)).square().mean()}

    def trained(name: str, batch: Callable[[int], tuple[Tensor]], accumulate: int) -> dict[str, Tensor]:
        line = Quiet()
        line.load_state_dict(new("line").state_dict())
        config = replace(CONFIG, accumulate=accumulate)
        return train(line, batch, config=config, folder=tmp_path / name, title=name).average

    both = trained("large", lambda index: (torch.cat([points(2 * index)[0], points(2 * index + 1)[0]]),), 1)
    summed, one = trained("accumulated", points, 2), trained("small", points, 1)
    assert all(torch.allclose(both[name], summed[name], atol=1e-6) for name in both)
    assert not all(torch.allclose(both[name], one[name], atol=1e-4) for name in both)


@pytest.mark.parametrize("accumulate", [2, 3])
def test_accumulating_runs_resume_bit_for_bit(tmp_path: Path, accumulate: int) -> None:
    whole, _ = fit("line", tmp_path / "whole", accumulate=accumulate)
    fit("line", tmp_path / "parts", accumulate=accumulate, stop_after=3)
    second, _ = fit("line", tmp_path / "parts", accumulate=accumulate)
    assert all(torch.equal(whole.average[name], second.average[name]) for name in whole.average)


def test_bf16_trains_after_fp32_in_one_program_and_resumes(tmp_path: Path) -> None:
    plain, _ = fit("line", tmp_path / "plain")
    whole, _ = fit("line", tmp_path / "whole", precision="bf16")
    fit("line", tmp_path / "parts", precision="bf16", stop_after=3)
    second, _ = fit("line", tmp_path / "parts", precision="bf16")
    assert all(torch.equal(whole.average[name], second.average[name]) for name in whole.average)
    assert not all(torch.equal(plain.average[name], whole.average[name]) for name in whole.average)


def test_fp16_on_the_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="fp16 needs a GPU; choose precision bf16"):
        fit("line", tmp_path, precision="fp16")


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale losses on the CPU as accelerate does on a GPU in fp16: the scale is halved when a gradient overflows."""
    plain = run_module.new_accelerator

    def with_scaler(*arguments: object, **settings: object) -> object:
        accelerator = plain(*arguments, **settings)
        accelerator.scaler, accelerator.native_amp = torch.amp.GradScaler("cpu", init_scale=1024.0), True
        accelerator.state._mixed_precision = "fp16"
        return accelerator

    monkeypatch.setattr(run_module, "new_accelerator", with_scaler)


def overflowing(index: int) -> tuple[Tensor]:
    """Points, of which those of the third step are too large."""
    return (points(index)[0] * (1e30 if index == 2 else 1.0),)


def test_steps_that_overflow_change_neither_weights_nor_average(tmp_path: Path, scaled: None) -> None:
    quiet = {"log_every_steps": 100, "batch": overflowing}
    (before, old), (after, new_) = (fit("line", tmp_path, stop_after=step, **quiet) for step in (2, 3))
    assert all(torch.equal(before.average[name], after.average[name]) for name in before.average)
    assert torch.equal(old.layer[0].weight, new_.layer[0].weight)
    later, newest = fit("line", tmp_path, stop_after=4, **quiet)
    assert not torch.equal(newest.layer[0].weight, new_.layer[0].weight)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["scaler"]["scale"] == 512.0


def test_clipping_sees_the_gradient_without_its_scale(tmp_path: Path, scaled: None) -> None:
    """The gradients of the first step are larger than the limit; Adam's second moment says what it got."""
    fit("line", tmp_path, stop_after=1)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["optimizers"]["objective"]["state"]
    squares = sum(float(one["exp_avg_sq"].sum()) for one in saved.values()) / (1.0 - CONFIG.beta2)
    assert squares**0.5 == pytest.approx(CONFIG.clip_norm, rel=1e-2)


def hum(_average: dict[str, Tensor], step: int) -> Audio:
    """A sound whose level says the step."""
    return Audio(np.full((2, 100), step / 10.0, dtype=np.float32), 1000)


def test_samples_are_numbered_by_their_step(tmp_path: Path) -> None:
    train(new("line"), points, config=replace(CONFIG, sample_every_steps=3), folder=tmp_path, title="x", sample=hum)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["step-000003.wav", "step-000006.wav"]
    sound, rate = soundfile.read(tmp_path / "samples" / "step-000003.wav")
    assert (rate, sound.shape) == (1000, (100, 2)) and np.allclose(sound, 0.3, atol=1e-4)


def test_no_samples_unless_asked_for(tmp_path: Path) -> None:
    train(new("line"), points, config=CONFIG, folder=tmp_path, title="line", sample=hum)
    assert not (tmp_path / "samples").exists()


def test_tensorboard_gets_losses_measures_and_sounds(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        config = replace(CONFIG, trackers=("tensorboard",), sample_every_steps=6, validate_every_steps=6)
        train(
            new("line"), points, config=config, folder=tmp_path, title="line", sample=hum,
            validate=lambda average, step: {"loss": 0.25},
        )  # fmt: skip
        events = EventAccumulator(str(tmp_path / "trackers" / "line"))
        events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4, 6]
    assert events.Scalars("held_out/loss")[0].value == 0.25
    assert [(event.step, event.sample_rate) for event in events.Audio("sample")] == [(6, 1000.0)]


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import tracking

    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(LmdmError, match="tensorboard is not there, only none: pip install tensorboard"):
        fit("line", tmp_path / "run", trackers=("tensorboard",))
    with pytest.raises(LmdmError, match="crystal ball"):
        fit("line", tmp_path / "run", trackers=("crystal ball",))
    assert not (tmp_path / "run").exists()


def test_trackers_are_asked_for_before_songs_are_rendered() -> None:
    with pytest.raises(LmdmError, match="crystal ball"), main_first(replace(CONFIG, trackers=("crystal ball",))):
        pytest.fail("the songs were begun")


def test_sharding_on_the_cpu_is_refused_because_accelerate_would_not_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.utils import DistributedType

    from lmdm_adapter.training import processes

    accelerator = processes.new_accelerator(CONFIG)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setattr(type(accelerator), "distributed_type", DistributedType.MULTI_CPU)
    with pytest.raises(LmdmError, match="shards on GPUs only"):
        processes._require_support(accelerator, CONFIG)
    monkeypatch.setattr(type(accelerator), "distributed_type", DistributedType.DEEPSPEED)
    with pytest.raises(LmdmError, match="DEEPSPEED"):
        processes._require_support(accelerator, CONFIG)
