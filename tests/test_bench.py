"""`lmdm bench`: what it counts is what the method says, what it times is what plays, and bad settings are sentences."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
import torch

from lmdm_adapter.bench import run as bench_run
from lmdm_adapter.bench import shapes
from lmdm_adapter.bench.figures import BenchReport, RegimeFigures, StageTime
from lmdm_adapter.bench.floor import Activation, floor_seconds, recorded
from lmdm_adapter.bench.passes import counted, formula_frames
from lmdm_adapter.bench.rig import rig_of
from lmdm_adapter.loading import load
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.oobleck import OobleckConfig
from lmdm_adapter.network.packing import PackedLinear
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.cli import done, sentence
from tests.toy import toy_dit

TOY = shapes.Shape(
    replace(toy_dit().config, frame_controls=(), cond_token_dim=16),
    OobleckConfig(audio_channels=1, channels=4, c_mults=(1, 2), strides=(2, 4), latent_channels=4),
    sample_rate=1000, prompt_tokens=3, spec=BlockSpec(6, 3),
)  # fmt: skip
STEPS = 3
FORMULA = {"outpaint": STEPS * (18 + 6), "encoder-decoder": 18 + STEPS * 6, "block-causal": 6 + STEPS * 6}


@pytest.fixture(autouse=True)
def toy_shape(monkeypatch):
    monkeypatch.setattr(bench_run, "SHAPES", {**shapes.SHAPES, "toy": TOY})


def toy_rig(**changes):
    sampling = Sampling(**{"steps": STEPS, **changes})
    return rig_of(TOY, sampling, device=torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("regime", FORMULA)
def test_frames_through_the_network_are_those_of_the_method(regime, guidance):
    rig, spec = toy_rig(guidance=guidance), replace(TOY.spec, regime=regime)
    state = rig.in_mid_stream(spec)
    with torch.inference_mode():
        passes = counted(rig.dit, lambda: rig.played(state, spec))
    assert passes.frames == FORMULA[regime] == formula_frames(spec, steps=STEPS)
    assert passes.evaluations == STEPS + (regime == "encoder-decoder")


def test_counting_stops_afterwards():
    rig = toy_rig()
    state = rig.in_mid_stream(TOY.spec)
    passes = counted(rig.dit, lambda: rig.played(state, TOY.spec))
    frames = passes.frames
    rig.played(state, TOY.spec)
    assert passes.frames == frames


def test_the_separate_stages_make_the_block_that_is_played():
    """What is timed as commit and denoise is the whole work of a block: no pass more or less but the fused one."""
    rig = toy_rig()
    state = rig.in_mid_stream(TOY.spec)
    with torch.inference_mode():
        commit = counted(rig.dit, lambda: rig.opened(state, TOY.spec))
        velocity = rig.opened(state, TOY.spec)
        denoise = counted(rig.dit, lambda: rig.denoised(velocity, TOY.spec))
    assert (commit.frames, commit.evaluations) == (6, 1)
    assert (denoise.frames, denoise.evaluations) == (STEPS * 6, STEPS)


def test_the_floor_is_the_arithmetic_of_the_call():
    first, second = torch.nn.Linear(8, 16), torch.nn.Conv1d(16, 4, 3)
    x = torch.randn(2, 5, 8)
    with torch.inference_mode():
        operations = recorded(lambda: second(first(x).relu().transpose(1, 2)), first, second)
    assert [one.kernel.overloadpacket.__name__ for one in operations] == ["addmm", "convolution"]
    kept = [argument for one in operations for argument in one.arguments if isinstance(argument, torch.Tensor)]
    assert {tensor.untyped_storage().data_ptr() for tensor in kept} == {
        parameter.data_ptr() for module in (first, second) for parameter in module.parameters()
    }, "weights are read where they are"
    assert Activation((2, 16, 5), (80, 1, 16), torch.float32, torch.device("cpu")) in operations[1].arguments


def test_the_floor_has_every_product_of_packed_layers():
    """All linear layers of a denoise step, but those of the prompt, which is projected once."""
    rig = toy_rig()
    state = rig.in_mid_stream(TOY.spec)
    velocity = rig.opened(state, TOY.spec)
    operations = recorded(lambda: rig.denoised(velocity, TOY.spec), rig.dit)
    kernels = [one.kernel.overloadpacket.__name__ for one in operations]
    once = [name for name, module in rig.dit.named_modules() if isinstance(module, PackedLinear)
            if "to_cond_embed" not in name and "cross_attn.to_kv" not in name]  # fmt: skip
    assert kernels.count("_linear_pointwise") == STEPS * len(once)
    assert kernels.count("_scaled_dot_product_flash_attention_for_cpu") == STEPS * 2 * TOY.dit.depth


def test_the_floor_is_the_fastest_replay():
    linear = torch.nn.Linear(4, 4)
    operations = recorded(lambda: linear(torch.randn(3, 4)), linear)
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0])
    assert floor_seconds(operations, lambda: next(times)) == 2.0
    assert floor_seconds([], lambda: next(times)) == 0.0


def test_a_report_has_every_figure(tmp_path):
    report = bench_run.bench(bench_run.BenchPlan("toy", sampling=Sampling(STEPS), blocks=3)).to_json()
    assert list(report["regimes"]) == ["block-causal", "outpaint", "encoder-decoder"]
    for regime, one in report["regimes"].items():
        assert one["network_frames_per_block"] == one["formula_frames_per_block"] == FORMULA[regime]
        for stage in ("denoise", "played", "decode"):
            figures = one["stages"][stage]
            assert 0 < figures["floor"] and 0 < figures["median"] <= figures["p95"]
    assert report["stages"] == report["regimes"]["block-causal"]["stages"]
    assert report["regimes"]["outpaint"]["stages"]["commit"]["floor"] == 0.0
    assert report["regimes"]["block-causal"]["state_bytes"] > report["regimes"]["outpaint"]["state_bytes"] > 0
    assert report["weights_bytes"]["dit"] > report["weights_bytes"]["packed"] > 0
    assert report["peak_rss_bytes"] > 0 and report["peak_device_bytes"] is None
    json.dumps(report)


def test_times_are_of_whole_stages(monkeypatch):
    """With a clock that ticks once a reading every stage lasts one tick, so none is left out or counted twice."""
    ticks = itertools.count()
    monkeypatch.setattr(bench_run, "clock_of", lambda _device: lambda: float(next(ticks)))
    report = bench_run.bench(bench_run.BenchPlan("toy", against=("encoder-decoder",), blocks=2)).to_json()
    medians = {name: stage["median"] for name, stage in report["regimes"]["encoder-decoder"]["stages"].items()}
    assert medians == {"denoise": 1.0, "commit": 1.0, "played": 3.0, "decode": 1.0}
    assert report["stages"]["played"]["median"] == 1.0, "the fused block is timed on its own"
    worst = [stage["p95"] for one in report["regimes"].values() for stage in one["stages"].values()]
    assert max(worst) == 3.0, "the first round is not counted"


def _tick(reading, slow):
    """Seconds at a reading: the first `slow` readings lie 100 apart, the others 1."""
    return 100.0 * min(reading, slow - 1) + max(0, reading - slow + 1)


def figures(regime, played):
    time = StageTime(1.0, 1.0, 1.0)
    return RegimeFigures(regime, time, time, StageTime(played, 9.0, 0.5), 1, 1, 1, 1)


def test_ratios_are_of_medians_and_leave_decoding_out():
    regimes = (figures("block-causal", 2.0), figures("outpaint", 8.0))
    report = BenchReport({}, 4.0, StageTime(1.0, 1.0, 1.0), regimes, {}, None, None)
    assert report.times_faster("outpaint") == {"block-causal": 4.0, "outpaint": 1.0}
    assert report.times_faster("encoder-decoder") == {}
    assert report.real_time_factor(regimes[0]) == 0.75


def test_the_tiny_shape_is_the_bundled_model():
    live, shape = load("tiny"), shapes.SHAPES["tiny"]
    assert replace(live.network.config.dit, frame_controls=()) == shape.dit
    assert (live.network.config.codec, live.codec.sample_rate) == (shape.codec, shape.sample_rate)
    assert live.spec == shape.spec


@pytest.mark.parametrize(("name", "millions"), [("sao-small", 341), ("sao-1.0", 1057)])
def test_published_shapes_have_the_published_size(name, millions):
    with torch.device("meta"):
        dit = DiT(shapes.SHAPES[name].dit)
    assert sum(parameter.numel() for parameter in dit.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


def test_the_command_prints_a_table_and_writes_a_report(tmp_path):
    out = done("bench", "--shape", "tiny", "--blocks", 2, "--steps", 1, "--against", "outpaint",
               "--json", tmp_path / "bench.json")  # fmt: skip
    assert "outpaint" in out and "encoder-decoder" not in out and "real-time factor" in out
    report = json.loads((tmp_path / "bench.json").read_text())
    assert report["steps"] == 1 and report["times_faster_than"]["outpaint"]["outpaint"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shape", "huge"), ("'huge'", "sao-small")),
        (("--shape", "tiny", "--context-frames", 100), ("100", "12", "96")),
        (("--shape", "tiny", "--blocks", 1), ("2 to", "1")),
        (("--shape", "tiny", "--guidance", "nan"), ("Guidance", "nan")),
        (("--shape", "tiny", "--device", "toaster"), ("toaster",)),
        (("--shape", "tiny", "--json", "/dev/null/x.json"), ("/dev/null",)),
    ],
)
def test_bad_settings_are_sentences(arguments, words):
    said = sentence("bench", *arguments)
    assert all(word in said for word in words), said
