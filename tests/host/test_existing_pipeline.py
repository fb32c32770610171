"""The drop-in beside the host's own function: same signature, an untouched host, and the example that shows it."""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import configs
import pytest
import torch
from flags import flags, put_back

import lmdm_adapter as lmdm
from lmdm_adapter.hosts import stable_audio_tools as ours
from lmdm_adapter.samplers import noise

SPEC = lmdm.BlockSpec(block_frames=6, context_blocks=3)
OUTPAINT = lmdm.BlockSpec(block_frames=6, context_blocks=3, regime="outpaint")
TOLD = {"prompt": "house in a minor", "seconds_start": 0, "seconds_total": 5.0}
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "existing_pipeline.py"
CARD = {"sampler_type": "dpmpp-3m-sde", "sigma_min": 0.3, "sigma_max": 500}


@pytest.fixture(autouse=True)
def host_leaves_its_flags_here() -> Iterator[None]:
    """The host's function changes flags and the seed; the next test gets the old ones."""
    with put_back():
        yield


def theirs(model: Any, **settings: Any) -> torch.Tensor:
    """The host's own function."""
    from stable_audio_tools.inference.generation import generate_diffusion_cond

    return generate_diffusion_cond(model, **settings)


def request(**changes: Any) -> dict[str, Any]:
    """Arguments that both functions take."""
    return {"steps": 3, "cfg_scale": 3.0, "conditioning": [TOLD], "sample_size": 256, "seed": 1, "device": "cpu",
            **changes}  # fmt: skip


def test_the_signature_is_the_hosts() -> None:
    """Names, kinds, order and defaults; ours has two more, by keyword only."""
    from stable_audio_tools.inference.generation import generate_diffusion_cond

    expected = list(inspect.signature(generate_diffusion_cond).parameters.values())
    for function in (ours.generate_diffusion_cond, ours.stream_diffusion_cond):
        have = list(inspect.signature(function).parameters.values())
        more = [parameter.name for parameter in have if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
        have = [parameter for parameter in have if parameter.name not in more]
        assert more == ["spec", "callback"]
        assert [(p.name, p.kind, p.default) for p in have] == [(p.name, p.kind, p.default) for p in expected]


@pytest.mark.parametrize(("config", "sampling"), [("small", {}), ("1.0", {}), ("1.0", CARD)])
def test_the_result_has_the_hosts_shape(config: str, sampling: dict[str, Any], host_model: Any) -> None:
    """Also for a length that is not a whole number of frames, several rows, and latents."""
    host = host_model({"small": configs.open_small(), "1.0": configs.open_1_0()}[config], 3)
    known = set(host.conditioner.conditioners)
    told = {key: value for key, value in TOLD.items() if key in known}
    for changes in ({"sample_size": 260}, {"return_latents": True}):
        asked = request(conditioning=[told, told], batch_size=2, **changes, **sampling)
        expected, have = theirs(host, **asked), ours.generate_diffusion_cond(lmdm.convert(host, SPEC), **asked)
        assert have.shape == expected.shape and have.dtype == expected.dtype
        assert torch.isfinite(have).all() and have.std() > 0


@pytest.mark.parametrize(
    ("config", "sampler", "purpose"), [("small", "euler", "denoise"), ("1.0", "dpmpp-2m", "k-diffusion")]
)
def test_the_first_block_outpainted_is_the_hosts_own(config: str, sampler: str, purpose: str, host_model: Any) -> None:
    """From the same noise: prompt, guidance, levels and sampler are the host's; of other noise it is other music."""
    from stable_audio_tools.inference.sampling import sample_k, sample_rf

    host = host_model({"small": configs.open_small(), "1.0": configs.open_1_0()}[config], 3)
    told = {key: value for key, value in TOLD.items() if key in host.conditioner.conditioners}
    window, host_sampler = OUTPAINT.context_frames + OUTPAINT.block_frames, sample_rf if config == "small" else sample_k
    asked = {"steps": 6, "cfg_scale": 3.0, "sampler_type": sampler, "device": "cpu"}
    with torch.no_grad():
        heard = host.get_conditioning_inputs(host.conditioner([told], "cpu"))
        start = noise(7, 0, 0, purpose, shape=(4, window))[None]
        expected = host_sampler(host.model, start, **asked, **heard)[..., : OUTPAINT.block_frames]
    settings = request(**asked, conditioning=[told], seed=7, return_latents=True, sample_size=16 * 6)
    have = ours.generate_diffusion_cond(host, **settings, spec=OUTPAINT)
    scale = float(expected.abs().max())
    torch.testing.assert_close(have / scale, expected / scale, atol=1e-4, rtol=0)
    other = ours.generate_diffusion_cond(host, **{**settings, "seed": 8}, spec=OUTPAINT)
    assert float((other - expected).abs().max()) > 1e-2 * scale


def test_a_host_object_is_played_and_left_as_it_was(host_model: Any) -> None:
    """Longer than it ever saw; its own function gives the same bits before and after."""
    host = host_model(configs.open_small(), 3).train()
    asked = request(conditioning=[{"prompt": "house", "seconds_total": 5.0}])
    before, modes = theirs(host, **asked), [module.training for module in host.modules()]
    longer = ours.generate_diffusion_cond(host, **{**asked, "sample_size": 1024}, spec=OUTPAINT)
    assert longer.shape == (1, 2, 1024) and longer.std() > 0
    assert torch.equal(theirs(host, **asked), before)
    assert [module.training for module in host.modules()] == modes


def test_the_hosts_tensors_are_heard_as_its_values(host_model: Any) -> None:
    host = host_model(configs.open_small(), 3)
    live, asked = lmdm.convert(host, SPEC), request(conditioning=[{"prompt": "house", "seconds_total": 5.0}])
    with torch.no_grad():
        tensors = host.conditioner(asked["conditioning"], "cpu")
        against = host.conditioner([{"prompt": "punk drums", "seconds_total": 5.0}], "cpu")
    by_tensors = ours.generate_diffusion_cond(live, **{**asked, "conditioning": None}, conditioning_tensors=tensors)
    by_values = ours.generate_diffusion_cond(live, **asked)
    scale = float(by_values.abs().max())
    torch.testing.assert_close(by_tensors / scale, by_values / scale, atol=1e-4, rtol=0)
    other = ours.generate_diffusion_cond(live, **asked, negative_conditioning_tensors=against)
    assert float((other - by_values).abs().max()) > 1e-2 * scale


def test_only_the_host_touches_what_belongs_to_everyone(host_model: Any) -> None:
    """Ours leaves seed and flags alone; the host's does not, so the comparison sees."""
    host = host_model(configs.open_small(), 3)
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = True
    asked = request(conditioning=[{"prompt": "house", "seconds_total": 5.0}])
    before, random_state = flags(), torch.get_rng_state()
    ours.generate_diffusion_cond(host, **asked, spec=OUTPAINT)
    assert flags() == before and torch.equal(torch.get_rng_state(), random_state)
    theirs(host, **asked)
    assert flags() != before and not torch.equal(torch.get_rng_state(), random_state)


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    made = runpy.run_path(str(EXAMPLE))["main"](steps=3)
    assert torch.equal(made["before"], made["after"])
    for name in ("outpainted", "streamed"):
        assert made[name].shape == (1, 2, 3 * made["before"].shape[-1])
        assert torch.isfinite(made[name]).all() and made[name].std() > 0
    said = capsys.readouterr().out
    assert "identical" in said and "block 1 of" in said


def test_the_example_reads_a_checkpoint(host_model: Any, tmp_path: Path, tiny_t5: None) -> None:
    """As the hub has it: config and weights in a folder."""
    import json

    from safetensors.torch import save_file

    config = configs.without_text(configs.open_small())
    save_file({key: value.contiguous() for key, value in host_model(config, 3).state_dict().items()},
              tmp_path / "model.safetensors")  # fmt: skip
    (tmp_path / "model_config.json").write_text(json.dumps(config))
    made = runpy.run_path(str(EXAMPLE))["main"](str(tmp_path), steps=2)
    assert torch.equal(made["before"], made["after"]) and made["streamed"].shape == (1, 2, 3 * 256)
