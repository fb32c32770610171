"""The drop-in for host pipelines: the host's arguments, any length, nothing outside touched, nothing ignored."""

from __future__ import annotations

import dataclasses
import inspect
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmdm_adapter import k_diffusion
from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import read_config
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosted import create_model_from_config
from lmdm_adapter.hosts import stable_audio_tools as drop_in
from lmdm_adapter.k_diffusion import KSampling, k_step
from lmdm_adapter.loading import load
from lmdm_adapter.pipeline import Progress
from lmdm_adapter.spec import Sampling
from tests.cli import save_live
from tests.host_requests import FRAME, HOUSE, SAMPLES, TECHNO, ask, streamed
from tests.models import SAMPLE_RATE, SPEC, tiny_live

REGIMES = ("block-causal", "encoder-decoder", "outpaint")


def euler(model: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigmas: Tensor) -> Tensor:
    """Euler's method as k-diffusion calls it."""
    for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        x = x + (following - sigma) * (x - model(x, sigma.expand(len(x)))) / sigma
    return x


def test_it_plays_what_the_live_model_streams() -> None:
    """Same seed, prompt and settings: the first samples of the endless stream, as a tensor."""
    live = tiny_live()
    audio = ask(live, conditioning=[{"prompt": "house"}], sampler_type="pingpong")
    pieces = live.stream("house", seconds=SAMPLES / SAMPLE_RATE, seed=5, sampling=Sampling(steps=3))
    ours = np.concatenate([piece.samples for piece in pieces], axis=1)
    assert audio.shape == (1, 1, SAMPLES) and audio.dtype == torch.float32
    assert np.array_equal(audio[0].numpy(), ours)


@pytest.mark.parametrize("regime", REGIMES)
def test_pieces_are_the_whole(regime: str) -> None:
    live = tiny_live(spec=dataclasses.replace(SPEC, regime=regime))
    pieces = list(streamed(live))
    assert torch.equal(torch.cat(pieces, dim=-1), ask(live))
    assert len(pieces) > 3 and all(piece.shape[-1] for piece in pieces)
    assert not torch.allclose(ask(live), ask(live, seed=6))


def test_pieces_come_while_the_rest_is_not_made() -> None:
    pieces = streamed(tiny_live(), sample_size=10**9)
    assert next(pieces).shape[-1] > 0


def test_lengths_are_whole_frames_as_in_the_host() -> None:
    live = tiny_live()
    assert ask(live, sample_size=SAMPLES + FRAME - 1).shape[-1] == SAMPLES
    assert torch.equal(ask(live, sample_size=10 * FRAME), ask(live)[..., : 10 * FRAME])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_row_is_the_same_request_alone(guidance: float) -> None:
    """Law 10: row i has the noise of `seed + i`, its own prompt and nothing of its neighbours."""
    live = tiny_live()
    together = ask(live, conditioning=[HOUSE, TECHNO], batch_size=2, cfg_scale=guidance)
    alone = torch.cat([ask(live, conditioning=[row], seed=5 + i, cfg_scale=guidance)
                       for i, row in enumerate((HOUSE, TECHNO))])  # fmt: skip
    assert together.shape == (2, 1, SAMPLES)
    scale = float(alone.abs().max())
    torch.testing.assert_close(together / scale, alone / scale, atol=1e-4, rtol=0)
    assert float((together - alone.flip(0)).abs().max()) > 1e-2 * scale


def test_one_dict_serves_all_rows() -> None:
    live = tiny_live()
    once, twice = (ask(live, conditioning=[HOUSE] * count, batch_size=2) for count in (1, 2))
    torch.testing.assert_close(once, twice, atol=1e-4 * float(twice.abs().max()), rtol=0)
    assert not torch.allclose(once[0], once[1])


def test_everything_that_is_asked_for_is_heard() -> None:
    live = tiny_live(diffusion_objective="v")
    base = ask(live, cfg_scale=3.0)
    changes: list[dict[str, Any]] = [
        {"steps": 5}, {"cfg_scale": 4.0}, {"conditioning": [{**HOUSE, "prompt": "drums"}]}, {"sampler_type": "v-ddim"},
        {"conditioning": [{**HOUSE, "seconds_total": 50.0}]}, {"negative_conditioning": [TECHNO]}, {"seed": 6},
        {"init_audio": (SAMPLE_RATE, torch.randn(1, 400, generator=torch.Generator().manual_seed(0)))},
    ]  # fmt: skip
    for change in changes:
        assert not torch.allclose(ask(live, **{"cfg_scale": 3.0, **change}), base), change


def test_latents_are_those_of_the_audio() -> None:
    live = tiny_live()
    latents = ask(live, return_latents=True, batch_size=2)
    assert latents.shape == (2, 4, SAMPLES // FRAME)
    longer = ask(live, return_latents=True, batch_size=2, sample_size=2 * SAMPLES)
    with torch.no_grad():
        whole = live.codec.decode(longer)[..., :SAMPLES]
    torch.testing.assert_close(ask(live, batch_size=2), whole, atol=1e-4 * float(whole.abs().max()), rtol=0)


def test_tensors_are_what_values_become() -> None:
    live = tiny_live()
    with torch.no_grad():
        told, against = (live.network.conditioners([row], "cpu") for row in (HOUSE, TECHNO))
    flat = {**told, "seconds_total": (told["seconds_total"][0][:, 0], told["seconds_total"][1][:, 0])}
    by_values = ask(live, cfg_scale=3.0, negative_conditioning=[TECHNO])
    for tensors in (told, flat):
        settings = {"conditioning": None, "conditioning_tensors": tensors, "negative_conditioning_tensors": against}
        assert torch.equal(ask(live, cfg_scale=3.0, **settings), by_values)
    assert not torch.allclose(ask(live, cfg_scale=3.0), by_values)


def test_masked_tokens_of_a_negative_are_silent() -> None:
    """As in the host: where the mask is false the null branch hears nothing."""
    live = tiny_live()
    with torch.no_grad():
        against = live.network.conditioners([TECHNO], "cpu")
    silent = {name: (features, torch.zeros_like(mask)) for name, (features, mask) in against.items()}
    assert torch.equal(ask(live, cfg_scale=3.0, negative_conditioning_tensors=silent), ask(live, cfg_scale=3.0))
    assert not torch.allclose(ask(live, cfg_scale=3.0, negative_conditioning_tensors=against), ask(live, cfg_scale=3.0))


def test_init_audio_is_what_comes_before() -> None:
    """The music goes on from its end, in each row; one or two axes, or a batch of one."""
    live = tiny_live()
    before = torch.randn(1, 400, generator=torch.Generator().manual_seed(1))
    shapes = [ask(live, init_audio=(SAMPLE_RATE, audio)) for audio in (before, before[0], before[None])]
    assert all(torch.equal(one, shapes[0]) for one in shapes)
    two = ask(live, init_audio=(SAMPLE_RATE, before), batch_size=2)
    torch.testing.assert_close(two[:1], shapes[0], atol=1e-4, rtol=1e-4)
    pieces = live.stream("house", SAMPLES / SAMPLE_RATE, seed=5, prime=Audio(before.numpy(), SAMPLE_RATE))
    played = ask(live, init_audio=(SAMPLE_RATE, before), conditioning=[{"prompt": "house"}])
    assert np.array_equal(played[0].numpy(), np.concatenate([piece.samples for piece in pieces], axis=1))
    later = before.clone()
    later[:, -50:] += 1.0
    assert not torch.allclose(ask(live, init_audio=(SAMPLE_RATE, later)), shapes[0])


def test_a_callback_hears_of_every_block() -> None:
    live, heard = tiny_live(), []
    ask(live, callback=heard.append)
    assert [one.block for one in heard] == list(range(heard[0].blocks))
    assert heard[-1].seconds == pytest.approx(SAMPLES / SAMPLE_RATE)
    seconds = [one.seconds for one in heard]
    assert seconds == sorted(seconds) and seconds[0] < seconds[-1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        heard[0].block = 3
    latents: list[Progress] = []
    ask(live, callback=latents.append, return_latents=True)
    assert len(latents) == -(-SAMPLES // FRAME // SPEC.block_frames) < len(heard)


def globals_of_everyone() -> tuple[Any, ...]:
    """What the host's function changes."""
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return (
        torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate(), cuda.allow_tf32,
        cudnn.allow_tf32, cudnn.benchmark, cuda.allow_fp16_reduced_precision_reduction,
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
    )  # fmt: skip


@pytest.mark.parametrize("seed", [-1, 5])
def test_nothing_outside_is_touched(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    live, before = tiny_live(), globals_of_everyone()
    pieces = streamed(live, seed=seed)
    next(pieces)
    assert globals_of_everyone() == before, "between two pieces"
    list(pieces)
    assert globals_of_everyone() == before and not emptied
    torch.rand(1)
    assert globals_of_everyone() != before, "the comparison is blind"


def test_minus_one_draws_a_seed_and_says_which(caplog: pytest.LogCaptureFixture) -> None:
    """So that the music can be had again."""
    caplog.set_level("INFO", "lmdm_adapter")
    live = tiny_live()
    drawn = ask(live, seed=-1)
    assert not torch.allclose(ask(live, seed=-1), drawn)
    said = re.fullmatch(r"The seed is (\d+)\.", caplog.messages[0])
    assert said is not None and torch.equal(ask(live, seed=int(said[1])), drawn)


def test_the_result_may_be_changed_in_place() -> None:
    """It is an ordinary tensor, as the host's: pipelines normalise it."""
    for audio in (ask(tiny_live()), next(streamed(tiny_live()))):
        audio.div_(audio.abs().max())
        assert float(audio.abs().max()) == 1.0 and not audio.requires_grad


def test_the_signature_is_the_hosts() -> None:
    """Names, order and defaults of stable-audio-tools 0.0.19; tests/host compares with the function itself."""
    names = list(inspect.signature(drop_in.generate_diffusion_cond).parameters)
    assert names[:5] == ["model", "steps", "cfg_scale", "conditioning", "conditioning_tensors"]
    assert names[-3:] == ["spec", "callback", "sampler_kwargs"]
    one, other = drop_in.generate_diffusion_cond, drop_in.stream_diffusion_cond
    assert inspect.signature(one).parameters == inspect.signature(other).parameters
    with pytest.raises(AttributeError, match="generate_everything"):
        drop_in.generate_everything  # noqa: B018


def test_a_sampler_of_k_diffusion_plays_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call of Stable Audio Open 1.0's model card, with its sigmas."""
    monkeypatch.setattr("lmdm_adapter.host_request.named_sampler", lambda name: euler)
    live, state, played = tiny_live(diffusion_objective="v"), None, []
    card = {"sampler_type": "dpmpp-3m-sde", "sigma_min": 0.3, "sigma_max": 500, "cfg_scale": 3.0}
    audio = ask(live, conditioning=[{"prompt": "house"}], **card)
    sampling, state = KSampling(euler, steps=3, guidance=3.0), live.start(5)
    while sum(piece.shape[1] for piece in played) < SAMPLES:
        piece, state = k_step(live, state, "house", sampling=sampling)
        played.append(piece.samples)
    assert np.array_equal(audio[0].numpy(), np.concatenate(played, axis=1)[:, :SAMPLES])
    assert not torch.allclose(ask(live, conditioning=[{"prompt": "house"}], **{**card, "sigma_max": 50}), audio)
    with pytest.raises(LmdmError, match="cond_fn"):
        streamed(live, **card, cond_fn=print)


@pytest.mark.parametrize("regime", REGIMES)
def test_k_diffusion_rows_are_the_same_rows_alone(regime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(model: Any, x: Tensor, sigmas: Tensor, noise_sampler: Any) -> Tensor:
        denoised = model(x, sigmas[0].expand(len(x)))
        return model(denoised + noise_sampler(sigmas[0], 1.0), torch.ones(len(x)))

    monkeypatch.setattr("lmdm_adapter.host_request.named_sampler", lambda name: noisy)
    live = tiny_live(spec=dataclasses.replace(SPEC, regime=regime), diffusion_objective="v")
    settings = {"sampler_type": next(iter(k_diffusion.SAMPLERS)), "return_latents": True, "sample_size": 20 * FRAME}
    together = ask(live, batch_size=2, **settings)
    alone = torch.cat([ask(live, seed=seed, **settings) for seed in (5, 6)])
    torch.testing.assert_close(together, alone, atol=1e-4 * float(alone.abs().max()), rtol=1e-3)


def test_a_model_that_a_host_loaded_is_played(tmp_path: Path) -> None:
    """What the patched factory of a host hands over."""
    folder = save_live(tmp_path / "live")
    hosted = create_model_from_config(read_config(folder))
    live = load(folder)
    hosted.load_state_dict(live.network.state_dict())
    assert torch.equal(ask(hosted), ask(live))
