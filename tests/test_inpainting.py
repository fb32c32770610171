"""Inpainting checkpoints: their context is given beside the window, in every regime and from every source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import read_checkpoint, write_checkpoint
from lmdm_adapter.conversion import context_projection
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import INPAINTING_IDS, network_config
from lmdm_adapter.k_diffusion import KSampling, k_next_block
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.rollout import Told, begin, block_velocity, denoised_span, next_block
from lmdm_adapter.samplers import alpha_sigma, noise, noise_levels
from lmdm_adapter.spec import Sampling
from tests.cli import done
from tests.models import HOST_CONFIG, LATENT_CHANNELS, host_config, tiny_live, tiny_offline
from tests.models import SPEC as TINY_SPEC
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

OUTPAINT, SEED = replace(SPEC, regime="outpaint"), 7
WINDOW_FRAMES = SPEC.context_frames + SPEC.block_frames
INPUTS = 1 + CHANNELS


def inpainting_dit(**changes: object) -> DiT:
    return toy_dit(input_concat_dim=INPUTS, **changes)


def inpainting(*, ids: tuple[str, ...] = INPAINTING_IDS, inputs: int = 1 + LATENT_CHANNELS) -> dict[str, object]:
    """The entries of `model.diffusion` that make the tiny host an inpainting model."""
    dit = {**HOST_CONFIG["model"]["diffusion"]["config"], "input_concat_dim": inputs}
    return {"input_concat_ids": list(ids), "config": dit}


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference in units of scale."""
    return float((one - other).abs().max() / other.abs().max())


def outpainted(dit: DiT, context: Tensor, sampling: Sampling) -> Tensor:
    """The next block, from the context that is to be heard."""
    ready = Told.of(dit, conditioning(), guidance=1.0)
    with torch.inference_mode():
        return next_block(dit, begin(context, seeds=(SEED,), spec=OUTPAINT), ready, spec=OUTPAINT, sampling=sampling)[0]


def written_out(dit: DiT, sampling: Sampling, mask: Tensor, masked: Tensor) -> Tensor:
    """The host's way: the whole window starts as noise, mask and masked latents stand beside it at every step."""
    given, objective = conditioning(), dit.config.objective
    levels, beside = noise_levels(sampling.steps, objective), torch.cat([mask, masked], dim=1)
    starts = [noise(SEED, 0, step, "denoise", shape=(CHANNELS, WINDOW_FRAMES))[None] for step in range(sampling.steps)]
    x = starts[0]
    for step, (t, t_next) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        v = dit(x, torch.full((1,), t), cross=given.cross, global_cond=given.global_cond, given=beside)
        (alpha, sigma), (alpha_next, sigma_next) = alpha_sigma(t, objective), alpha_sigma(t_next, objective)
        clean = alpha * x - sigma * v if objective == "v" else x - t * v
        eps = sigma * x + alpha * v if objective == "v" else x + (1 - t) * v
        fresh = eps if sampling.sampler == "euler" else starts[min(step + 1, sampling.steps - 1)]
        x = clean if step == sampling.steps - 1 else alpha_next * clean + sigma_next * fresh
    return x[..., SPEC.context_frames :]


@pytest.mark.parametrize("objective", ["rectified_flow", "v"])
@pytest.mark.parametrize("sampler", ["euler", "pingpong"])
def test_outpainting_gives_the_context_beside_the_window(sampler: str, objective: str) -> None:
    """Nothing is re-noised; both the mask and the masked latents are heard."""
    dit, sampling = inpainting_dit(objective=objective), Sampling(steps=3, sampler=sampler)
    context = draw(1, CHANNELS, SPEC.context_frames, seed=3)
    padded = torch.nn.functional.pad(context, (0, SPEC.block_frames))
    mask = torch.cat([torch.ones(1, 1, SPEC.context_frames), torch.zeros(1, 1, SPEC.block_frames)], dim=-1)
    ours = outpainted(dit, context, sampling)
    assert difference(ours, written_out(dit, sampling, mask, padded)) < 1e-5
    assert difference(ours, written_out(dit, sampling, mask, torch.zeros_like(padded))) > 1e-3
    assert difference(ours, written_out(dit, sampling, torch.zeros_like(mask), padded)) > 1e-3


def test_every_context_frame_is_heard() -> None:
    dit, sampling = inpainting_dit(), Sampling(steps=2)
    context = draw(1, CHANNELS, SPEC.context_frames, seed=3)
    before = outpainted(dit, context, sampling)
    for frame in range(SPEC.context_frames):
        moved = context.clone()
        moved[..., frame] += 1.0
        assert difference(outpainted(dit, moved, sampling), before) > 1e-4


def test_the_first_block_is_given_nothing() -> None:
    """A cold start is the host's own generation: mask and masked latents are zeros, and the block comes first."""
    dit, ready = inpainting_dit(), Told.of(inpainting_dit(), conditioning(), guidance=1.0)
    state = begin(None, seeds=(SEED,), spec=OUTPAINT)
    velocity, _ = block_velocity(dit, state, ready, spec=OUTPAINT)
    x, t = draw(1, CHANNELS, WINDOW_FRAMES), torch.full((1,), 0.7)
    stock = dit(x, t, cross=conditioning().cross, global_cond=conditioning().global_cond)
    assert difference(velocity(x, 0.7), stock) < 1e-5
    assert denoised_span(dit, state, 5, OUTPAINT).block == slice(0, 5)


def test_samplers_of_k_diffusion_cut_the_same_block_out_of_the_window() -> None:
    """A sampler that leaves its noise alone shows which frames of the window become the block."""
    dit, sampling = inpainting_dit(objective="v"), KSampling(lambda model, x, sigmas: x / sigmas[0], steps=2)
    state = begin(draw(1, CHANNELS, SPEC.context_frames), seeds=(SEED,), spec=OUTPAINT)
    ready = Told.of(dit, conditioning(), guidance=1.0)
    block, _ = k_next_block(dit, state, ready, spec=OUTPAINT, sampling=sampling)
    window = noise(SEED, 0, 0, "k-diffusion", shape=(CHANNELS, WINDOW_FRAMES))
    torch.testing.assert_close(block[0], window[:, SPEC.context_frames :])


def test_guidance_gives_the_context_to_both_branches() -> None:
    """As in the host, the null branch loses the prompt alone."""
    dit = inpainting_dit()
    context, x = draw(1, CHANNELS, SPEC.context_frames, seed=3), draw(1, CHANNELS, WINDOW_FRAMES, seed=4)
    state, told = begin(context, seeds=(SEED,), spec=OUTPAINT), conditioning()
    velocity, _ = block_velocity(dit, state, Told.of(dit, told, guidance=3.0), spec=OUTPAINT)
    beside = torch.nn.functional.pad(torch.cat([torch.ones_like(context[:, :1]), context], dim=1), (0, 5))
    settings = {"global_cond": told.global_cond, "given": beside}
    one, null = (dit(x, torch.full((1,), 0.7), cross=cross, **settings)
                 for cross in (told.cross, torch.zeros_like(told.cross)))  # fmt: skip
    assert difference(velocity(x, 0.7), null + 3.0 * (one - null)) < 1e-5


def test_fresh_context_looks_like_a_clean_frame_that_is_given() -> None:
    """What conversion adds is read off the wider input layer; target tokens are given nothing."""
    dit = inpainting_dit()
    dit.to_input_add_embed.weight = torch.nn.Parameter(context_projection(dit), requires_grad=False)
    clean = draw(1, CHANNELS, 6, seed=3)
    marked = torch.cat([torch.ones_like(clean[:, :1]), clean], dim=1)
    assert difference(dit.context_tokens(clean, None), dit.noisy_tokens(clean, marked)) < 1e-5
    assert difference(dit.context_tokens(clean, None), dit.noisy_tokens(clean)) > 1e-3
    assert torch.equal(dit.target_tokens(clean, None), dit.noisy_tokens(clean))


def test_a_converted_inpainting_model_streams_as_it_trains() -> None:
    """Law 2 with the wider input layer."""
    dit, given = inpainting_dit(), conditioning()
    context, x = draw(1, CHANNELS, SPEC.context_frames, seed=3), draw(1, CHANNELS, SPEC.block_frames, seed=4)
    ready = Told.of(dit, given, guidance=1.0)
    velocity, _ = block_velocity(dit, begin(context, seeds=(SEED,), spec=SPEC), ready, spec=SPEC)
    both = torch.cat([context, x], dim=-1)
    whole = parallel_velocity(
        dit, both, both, torch.full((1, 3), 0.7), lengths_frames=(SPEC.block_frames,) * 3, cross=given.cross,
        context_blocks=SPEC.context_blocks, prefix_distance=SPEC.prefix_distance, global_cond=given.global_cond,
    )[..., SPEC.context_frames :]  # fmt: skip
    assert difference(velocity(x, 0.7), whole) < 1e-5 < 1e-3 < difference(velocity(x, 0.6), whole)


@pytest.mark.parametrize("regime", ["outpaint", "encoder-decoder", "block-causal"])
def test_an_inpainting_checkpoint_is_converted_saved_and_played(tmp_path: Path, regime: str) -> None:
    """Its keys and shapes are the host's, strictly; the wider layer has the mask and the latents beside its own."""
    write_checkpoint(tmp_path / "offline", *tiny_offline(**inpainting()))
    live = lmdm.convert(tmp_path / "offline", replace(TINY_SPEC, regime=regime))
    live.save(tmp_path / "live")
    saved, stock = read_checkpoint(tmp_path / "live"), read_checkpoint(tmp_path / "offline")
    assert saved.tensors.keys() == stock.tensors.keys()
    assert all(torch.equal(saved.tensors[key], stock.tensors[key]) for key in stock.tensors)
    assert saved.tensors["model.model.preprocess_conv.weight"].shape == (9, 9, 1)
    sound = [np.concatenate([piece.samples for piece in one.stream("house", 0.1, seed=1)], axis=1)
             for one in (live, lmdm.load(tmp_path / "live"))]  # fmt: skip
    assert np.array_equal(*sound) and sound[0].std() > 0


def test_a_stock_inpainting_checkpoint_plays_from_the_command_line(tmp_path: Path) -> None:
    network, config = tiny_offline(**inpainting())
    write_checkpoint(tmp_path / "offline", network, {**config, "model_type": "diffusion_cond_inpaint"})
    done("stream", "house", "--model", tmp_path / "offline", "--regime", "outpaint", "--seconds", 0.4, "--steps", 2,
         "--out", tmp_path / "out.wav")  # fmt: skip
    assert (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (inpainting(ids=("inpaint_mask", "melody")), "'melody'"),
        (inpainting(ids=INPAINTING_IDS[::-1]), "in order"),
        (inpainting(ids=("inpaint_mask",)), "inpaint_masked_input"),
        (inpainting(ids=()), "do not go together"),
        (inpainting(inputs=0), "do not go together"),
        (inpainting(inputs=3), "input_concat_dim 3 is not supported"),
    ],
)
def test_other_inputs_are_refused_by_name(changes: dict[str, object], says: str) -> None:
    with pytest.raises(LmdmError, match=says):
        network_config(host_config(**changes))


def test_inspecting_tells_them_apart(tmp_path: Path) -> None:
    for name, changes in (("stock", {}), ("inpainting", inpainting())):
        write_checkpoint(tmp_path / name, *tiny_offline(**changes))
        done("inspect", tmp_path / name, "--json", tmp_path / f"{name}.json")
    told = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in ("stock", "inpainting")}
    assert (told["stock"]["inpainting_inputs"], told["inpainting"]["inpainting_inputs"]) == (False, True)


def test_other_models_have_no_such_inputs() -> None:
    assert tiny_live().network.dit.config.input_concat_dim == 0
    assert tiny_live(**inpainting()).network.dit.config.input_concat_dim == INPUTS
