"""Inpainting models beside the real host: its forward with concatenated inputs, and its own inpainting function."""

from __future__ import annotations

from typing import Any

import configs
import pytest
import torch
from flags import put_back
from torch import Tensor

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.k_diffusion import KSampling, k_next_block, named_sampler
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.state import Conditioning

CONFIGS = {"small": configs.inpainting(configs.open_small()), "1.0": configs.inpainting(configs.open_1_0())}
SPEC = lmdm.BlockSpec(block_frames=4, context_blocks=3, regime="outpaint")
WINDOW_FRAMES = SPEC.context_frames + SPEC.block_frames
TOLD = {"prompt": "house in a minor", "seconds_start": 0, "seconds_total": 5.0}
SEED = 3


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference in units of scale."""
    return float((one - other).abs().max() / other.abs().max())


def conditioning_of(host: Any) -> Conditioning:
    """The prompt and numbers as the host encodes them; its inputs beside the latents are not among them."""
    features = host.conditioner([TOLD], "cpu")
    cross = torch.cat([features[name][0] for name in host.cross_attn_cond_ids], dim=1)
    global_cond = torch.cat([features[name][0][:, 0] for name in host.global_cond_ids], dim=-1)
    return Conditioning(cross, global_cond=global_cond)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_the_forward_with_concatenated_inputs_is_the_hosts(name: str, guidance: float, host_model: Any) -> None:
    """Law 1; the null branch of guidance is given the same mask and latents."""
    host = host_model(CONFIGS[name], 3)
    dit, told = lmdm.convert(host, SPEC).network.dit, conditioning_of(host)
    x, t, latents = draw(1, 4, 12, seed=1), torch.tensor([0.7]), draw(1, 4, 12, seed=2)
    mask = (draw(1, 1, 12, seed=5) > 0).float()

    def theirs(mask: Tensor, masked: Tensor) -> Tensor:
        heard = host.conditioner([TOLD], "cpu")
        heard |= {"inpaint_mask": [mask], "inpaint_masked_input": [masked]}
        return host(x, t, cond=heard, cfg_scale=guidance)

    beside = torch.cat([mask, latents * mask], dim=1)
    one, null = (dit(x, t, cross=cross, global_cond=told.global_cond, given=beside)
                 for cross in (told.cross, torch.zeros_like(told.cross)))  # fmt: skip
    ours = null + guidance * (one - null)
    assert difference(ours, theirs(mask, latents * mask)) < 1e-5
    for other in (theirs(mask, latents), theirs(1 - mask, latents * mask)):
        assert difference(ours, other) > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("regime", ["outpaint", "block-causal"])
def test_a_host_object_tells_what_its_config_tells(name: str, regime: Any, host_model: Any) -> None:
    host, spec = host_model(CONFIGS[name], 3), lmdm.BlockSpec(4, 3, regime)
    live, with_config = lmdm.convert(host, spec), lmdm.convert(host, spec, config=CONFIGS[name])
    assert live.network.config.dit == with_config.network.config.dit
    assert live.network.config.dit.input_concat_dim == 5
    sound = [piece.samples for piece in live.stream("house", 0.01, sampling=lmdm.Sampling(2, "euler"))]
    assert sum(piece.shape[1] for piece in sound) == 441 and max(abs(piece).max(initial=0) for piece in sound) > 0


def inpainted(host: Any, latents: Tensor, monkeypatch: pytest.MonkeyPatch, **sampling: Any) -> Tensor:
    """The host's own function over one window, whose context is given; its codec's draw is replaced by `latents`."""
    from stable_audio_tools.inference.generation import generate_diffusion_cond_inpaint

    monkeypatch.setattr(host.pretransform, "encode", lambda audio: latents)
    mask = torch.zeros(1, 16 * WINDOW_FRAMES)
    mask[:, : 16 * SPEC.context_frames] = 1.0
    with put_back():
        return generate_diffusion_cond_inpaint(
            host, cfg_scale=3.0, conditioning=[TOLD], sample_size=16 * WINDOW_FRAMES, seed=SEED, device="cpu",
            inpaint_audio=(host.sample_rate, torch.zeros(2, 16 * WINDOW_FRAMES)), inpaint_mask=mask,
            return_latents=True, **sampling,
        )  # fmt: skip


def hosts_noise(_seed: int, _block: int, _step: int, _purpose: str, *, shape: tuple[int, ...]) -> Tensor:
    """The noise that the host starts from."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_outpainting_is_the_hosts_own_inpainting(name: str, host_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same noise and context, through the host's own sampler; of another context it is other music."""
    host = host_model(CONFIGS[name], 3)
    dit = lmdm.convert(host, SPEC).network.dit
    told = Told.of(dit, conditioning_of(host), guidance=3.0)
    latents = draw(1, 4, WINDOW_FRAMES, seed=2)

    def ours(context: Tensor) -> Tensor:
        state = begin(context, seeds=(0,), spec=SPEC)
        if name == "small":
            sampling = lmdm.Sampling(6, "euler", 3.0)
            return next_block(dit, state, told, spec=SPEC, sampling=sampling, draw=hosts_noise)[0]
        k_sampling = KSampling(named_sampler("dpmpp-2m"), 6, 0.01, 100.0, guidance=3.0)
        return k_next_block(dit, state, told, spec=SPEC, sampling=k_sampling, draw=hosts_noise)[0]

    sampler = {"sampler_type": "euler" if name == "small" else "dpmpp-2m", "steps": 6}
    expected = inpainted(host, latents, monkeypatch, **sampler)[..., SPEC.context_frames :]
    context = latents[..., : SPEC.context_frames]
    assert difference(ours(context), expected) < 1e-4
    assert difference(ours(context + 1.0), expected) > 1e-2


def test_what_conversion_saves_is_loaded_strictly_by_the_host(host_model: Any, tmp_path: Any) -> None:
    """Law 5 for the wider input layer."""
    host, other = host_model(CONFIGS["small"], 3), host_model(CONFIGS["small"], 9)
    lmdm.convert(host, lmdm.BlockSpec(4, 3), config=CONFIGS["small"]).save(tmp_path / "live")
    other.load_state_dict(dict(read_checkpoint(tmp_path / "live").tensors), strict=True)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in host.state_dict().items())
