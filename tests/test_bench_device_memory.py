"""`lmdm bench --dry`: what is counted without values is what a real allocator gives out, and nothing is forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from lmdm_adapter.bench.device_memory import META, TARGET_BYTES, device_budget, held_bytes, stage_peaks
from lmdm_adapter.bench.live_memory import counted, peak_bytes
from lmdm_adapter.bench.rig import Rig, network_of, rig_on
from lmdm_adapter.bench.shapes import SHAPES, T5_BASE_PARAMETERS, Shape
from lmdm_adapter.network.oobleck import OobleckConfig
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.cli import done, sentence
from tests.toy import toy_dit

CPU = torch.device("cpu")
SPEC = BlockSpec(16, 3)
TOY = Shape(
    replace(toy_dit().config, frame_controls=(), cond_token_dim=16),
    OobleckConfig(audio_channels=2, channels=8, c_mults=(1, 2), strides=(4, 8), latent_channels=4),
    sample_rate=1000, prompt_tokens=3, spec=SPEC,
)  # fmt: skip


def toy_rig(device: torch.device, *, guidance: float = 1.0) -> Rig:
    network = network_of(TOY, device=device, dtype=torch.float32)
    return rig_on(network, TOY, Sampling(2, guidance=guidance))


def allocated_peak(call: Callable[[], object]) -> int:
    """The most that torch's allocator had given out at one time during `call`, by the allocator's own record."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        result = call()
    del result
    live = peak = 0
    events = [one for one in profile.profiler.kineto_results.events() if one.name() == "[memory]"]
    for one in sorted(events, key=lambda event: event.start_ns()):
        live += one.nbytes()
        peak = max(peak, live)
    return peak


def played(rig: Rig) -> Callable[[], object]:
    state = rig.in_mid_stream(SPEC)
    return lambda: rig.played(state, SPEC)


def decoded(rig: Rig) -> Callable[[], object]:
    long = BlockSpec(96, 1)  # enough for the kernels that large convolutions take
    state = rig.decoder(long)
    return lambda: rig.decoded(state, long)


@torch.no_grad()
def test_the_count_without_values_is_what_the_allocator_gives_out() -> None:
    """To the byte for the network. Convolutions on a CPU take a rearranged input of their own, which is no tensor."""
    for call, slack in ((played, 1.0), (decoded, 1.35)):
        measured, counted_bytes = allocated_peak(call(toy_rig(CPU))), peak_bytes(call(toy_rig(META)), device=META)
        assert 50_000 < counted_bytes <= measured <= slack * counted_bytes


@torch.no_grad()
def test_a_call_that_keeps_what_it_made_is_told_from_one_that_does_not() -> None:
    """The negative control: the count goes down when something is freed."""
    once, kept = decoded(toy_rig(META)), list[object]()

    def again(keep: Callable[[object], object]) -> None:
        for _ in range(5):
            keep(once())

    assert peak_bytes(lambda: again(lambda _: None)) < 1.3 * peak_bytes(once)
    assert peak_bytes(lambda: again(kept.append)) > 1.2 * peak_bytes(once)


@torch.no_grad()
def test_every_stage_takes_the_same_with_values_and_without() -> None:
    """A prefix is copied to the device first, which on a CPU it is on already."""
    real, meta = (stage_peaks(toy_rig(device), SPEC) for device in (CPU, META))
    assert {name: meta[name] - real[name] for name in ("encode", "decode")} == {"encode": 0, "decode": 0}
    assert real["prime"] <= meta["prime"] < 1.1 * real["prime"]
    assert real["denoise and commit"] <= meta["denoise and commit"] < 1.5 * real["denoise and commit"]


@torch.no_grad()
def test_other_devices_do_not_count_and_a_question_about_values_is_answered() -> None:
    """Noise is drawn on the CPU; streaming encode asks whether its audio is finite."""
    both = lambda: (torch.zeros(1000), torch.zeros(10, device=META))  # noqa: E731
    assert (peak_bytes(both), peak_bytes(both, device=META), peak_bytes(both, device=CPU)) == (4040, 40, 4000)
    assert counted(lambda: bool(torch.isfinite(torch.zeros(3, device=META)).all())).result is True
    with pytest.raises(RuntimeError):
        bool(torch.isfinite(torch.zeros(3, device=META)).all())


def test_the_budget_has_all_parts_and_sums_them() -> None:
    budget = device_budget(TOY, SPEC, sampling=Sampling(2), dtype=torch.float16)
    network = network_of(TOY, device=CPU, dtype=torch.float16)
    real = rig_on(network, TOY, Sampling(2))
    assert budget.kept["network"] == held_bytes(network.dit)
    assert budget.kept["codec"] + budget.kept["codec's folded kernels"] == held_bytes(
        network.autoencoder, real.codec.autoencoder
    )
    assert budget.kept["prompts' keys and values"] == 16 * held_bytes(real.told)
    assert budget.total_bytes == (sum(budget.kept.values()) + max(budget.peaks.values()) + sum(budget.assumed.values()))
    guided = device_budget(TOY, SPEC, sampling=Sampling(2, guidance=3.0), dtype=torch.float32)
    assert guided.kept["network"] > 1.9 * budget.kept["network"] - 4096
    assert guided.kept["context's keys and values"] > 1.8 * budget.kept["context's keys and values"]


def test_t5_base_has_as_many_parameters_as_are_budgeted() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12)
    with META:
        encoder = transformers.T5EncoderModel(config)
    assert sum({id(one): one.numel() for one in encoder.parameters()}.values()) == T5_BASE_PARAMETERS
    assert SHAPES["sao-small"].text_encoder_parameters == T5_BASE_PARAMETERS


def test_the_command_shows_and_writes_a_budget(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(SHAPES, "toy", TOY)  # type: ignore[index]
    out = done("bench", "--shape", "toy", "--dry", "--block-frames", 12, "--context-frames", 48,
               "--json", tmp_path / "dry.json")  # fmt: skip
    assert "fits into 4 GB" in out and "assumed, CUDA context" in out and "float16" in out
    (budget,) = json.loads((tmp_path / "dry.json").read_text())["budgets"]
    assert (budget["block_frames"], budget["context_frames"], budget["fits"]) == (12, 48, True)
    assert "no whole number" in sentence("bench", "--dry", "--block-frames", 10, "--context-frames", 192)


@pytest.mark.slow
def test_stable_audio_open_small_with_its_codec_fits_a_gaming_laptop(tmp_path) -> None:
    done("bench", "--dry", "--guidance", 3, "--json", tmp_path / "dry.json")
    budgets = json.loads((tmp_path / "dry.json").read_text())["budgets"]
    assert [(one["block_frames"], one["context_frames"]) for one in budgets] == [(10, 230), (48, 192)]
    for one in budgets:
        assert one["fits"] and one["dtype"] == "float16"
        assert 3_000_000_000 < one["total_bytes"] < TARGET_BYTES
