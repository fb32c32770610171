"""Streams of audio: laws 4 and 8 through the public handle, priming, saving, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import lmdm_adapter as lmdm
from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import write_checkpoint
from lmdm_adapter.live import LiveModel
from lmdm_adapter.prime import prime_latents
from tests.models import SAMPLE_RATE, SPEC, tiny_live, tiny_offline

PROMPT = "house 120 bpm"


def joined(pieces: object) -> np.ndarray:
    """Pieces of a stream as one array (channels, samples)."""
    return np.concatenate([piece.samples for piece in pieces], axis=1)


def sound(seconds: float, *, sample_rate: int = SAMPLE_RATE, channels: int = 1, seed: int = 0) -> Audio:
    """Noise of a length."""
    samples = np.random.default_rng(seed).normal(size=(channels, round(seconds * sample_rate))) * 0.1
    return Audio(samples, sample_rate)


def test_seconds_are_the_first_of_the_endless_stream() -> None:
    live = tiny_live()
    short = joined(live.stream(PROMPT, seconds=0.25, seed=3))
    longer = joined(live.stream(PROMPT, seconds=0.6, seed=3))
    assert short.shape == (1, 250) and longer.shape == (1, 600)
    assert np.array_equal(short, longer[:, :250])
    assert not np.array_equal(short, joined(live.stream(PROMPT, seconds=0.25, seed=4)))


def test_streamed_audio_is_the_one_shot_decode_of_its_latents() -> None:
    """Exact mode: pieces of a stream concatenate to the decode of all latents at once, to 1e-5 of peak."""
    live, latents, pieces = tiny_live(), [], []
    state = live.start(seed=5)
    for _ in range(8):
        audio, state = live.step(state, PROMPT)
        latents.append(state.pending[-1].latents)
        pieces.append(audio)
    with torch.inference_mode():
        whole = live.codec.decode(torch.cat(latents, dim=-1))[0].numpy()
    played = joined(pieces)
    assert played.shape[1] > 0
    assert np.abs(played - whole[:, : played.shape[1]]).max() < 1e-5 * np.abs(whole).max()


def test_two_futures_of_one_moment() -> None:
    live = tiny_live()
    _, state = live.step(live.start(seed=7), PROMPT)
    once, _ = live.step(state, "techno")
    again, _ = live.step(state, "techno")
    states = [live.step(state, prompt)[1] for prompt in ("techno", "a minor")]
    assert np.array_equal(once.samples, again.samples)
    assert not torch.equal(*(s.pending[-1].latents for s in states))


def test_priming_hears_the_last_context_frames() -> None:
    """The end of the prefix is the context: its beginning is not heard, its last frames are."""
    live = tiny_live()
    prefix = sound(2.0)
    latents = prime_latents(live.codec, prefix, live.spec)
    with torch.inference_mode():
        whole = live.codec.encode(torch.from_numpy(prefix.samples)[None])
    assert latents.shape[-1] == SPEC.context_frames
    torch.testing.assert_close(latents, whole[..., -SPEC.context_frames :], atol=1e-5, rtol=1e-4)
    early, late = (prefix.samples.copy() for _ in range(2))
    early[:, :100] += 1.0
    late[:, -100:] += 1.0
    play = lambda samples: joined(live.stream(PROMPT, seconds=0.2, prime=Audio(samples, SAMPLE_RATE)))  # noqa: E731
    assert np.array_equal(play(prefix.samples), play(early))
    assert not np.array_equal(play(prefix.samples), play(late))


def test_a_primed_stream_goes_on_where_its_prefix_ended() -> None:
    """Its audio is what follows the prefix in one decode of prefix and new latents: no edge at the seam."""
    live, prefix = tiny_live(), sound(1.0)
    state, latents, pieces = live.start(seed=5, prime=prefix), [prime_latents(live.codec, prefix, SPEC)], []
    for _ in range(6):
        audio, state = live.step(state, PROMPT)
        latents.append(state.pending[-1].latents)
        pieces.append(audio)
    with torch.inference_mode():
        whole = live.codec.decode(torch.cat(latents, dim=-1))[0].numpy()
        edged = live.codec.decode(torch.cat(latents[1:], dim=-1))[0].numpy()
    played, start = joined(pieces), SPEC.context_frames * live.codec.frame_samples
    assert np.abs(played - whole[:, start : start + played.shape[1]]).max() < 1e-5 * np.abs(whole).max()
    assert np.abs(played - edged[:, : played.shape[1]]).max() > 1e-2 * np.abs(whole).max()


def test_a_primed_stream_differs_from_a_cold_one() -> None:
    live = tiny_live()
    cold, primed = (joined(live.stream(PROMPT, seconds=0.2, prime=prime)) for prime in (None, sound(1.0)))
    assert not np.array_equal(cold, primed)


@pytest.mark.parametrize(
    ("prefix", "says"),
    [
        (sound(0.02, sample_rate=2000), "at least one block"),
        (sound(1.0, sample_rate=2_000_000), "2000000 Hz"),
        (sound(0.0), "empty"),
        (sound(0.01), "at least one block"),
        (Audio(np.full((1, 500), np.nan), SAMPLE_RATE), "NaN"),
    ],
    ids=["short at another rate", "rate", "empty", "short", "nan"],
)
def test_an_unfit_prefix_is_refused(prefix: Audio, says: str) -> None:
    with pytest.raises(lmdm.LmdmError, match=says):
        tiny_live().start(prime=prefix)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_unplayable_lengths_are_refused(seconds: float) -> None:
    with pytest.raises(lmdm.LmdmError, match="seconds"):
        tiny_live().stream(PROMPT, seconds=seconds)


def test_saving_and_loading_is_bit_exact(tmp_path: Path) -> None:
    """Law 5: keys and values survive the round trip, and the loaded model plays the same bits."""
    live = tiny_live()
    live.save(tmp_path / "model")
    loaded = lmdm.load(tmp_path / "model")
    ours, theirs = live.network.state_dict(), loaded.network.state_dict()
    assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert loaded.spec == live.spec and loaded.sampling == live.sampling
    play = lambda model: joined(model.stream(PROMPT, seconds=0.3, seed=1))  # noqa: E731
    assert np.array_equal(play(live), play(loaded))


def test_conversion_keeps_the_hosts_tensors_and_adds_its_own_beside(tmp_path: Path) -> None:
    network, config = tiny_offline()
    write_checkpoint(tmp_path / "base", network, config)
    lmdm.convert(tmp_path / "base", SPEC).save(tmp_path / "live")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "live"))
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    added = (
        load_file(tmp_path / "live" / "adapter.safetensors").keys()
        - load_file(tmp_path / "base" / "adapter.safetensors").keys()
    )
    assert added == {"model.model.to_input_add_embed.weight"}


def test_a_fresh_context_frame_looks_like_a_clean_frame() -> None:
    """Conversion starts the context columns as the model's own input projection, and the mask column at zero."""
    network, config = tiny_offline()
    live = convert_in_memory(network, config)
    clean = torch.randn(1, 4, 6, generator=torch.Generator().manual_seed(0))
    dit = live.network.dit
    torch.testing.assert_close(dit.context_tokens(clean, None), dit.noisy_tokens(clean))


def convert_in_memory(network: object, config: dict[str, object]) -> LiveModel:
    """Convert an offline network through a temporary folder."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder) / "base", network, config)
        return lmdm.convert(Path(folder) / "base", SPEC)


def spoil_key(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.model.surprise"] = torch.zeros(1)


def drop_key(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.model.transformer.project_in.weight"]


def reshape_key(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.model.transformer.project_in.weight"] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(spoil_key, "surprise"), (drop_key, "project_in"), (reshape_key, r"\(3, 3\)")],
    ids=["unknown", "missing", "shape"],
)
def test_keys_are_strict(tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], None], says: str) -> None:
    tiny_live().save(tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    tensors = load_file(weights)
    spoil(tensors)
    save_file(tensors, weights)
    with pytest.raises(lmdm.LmdmError, match=says):
        lmdm.load(tmp_path / "model")


def test_a_training_checkpoint_is_unwrapped_with_its_ema(tmp_path: Path) -> None:
    network, config = tiny_offline()
    write_checkpoint(tmp_path / "base", network, config)
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    key = "model.model.transformer.project_in.weight"
    wrapped = {f"diffusion.{name}": value for name, value in tensors.items()}
    wrapped[f"diffusion_ema.ema_{key}"] = tensors[key] * 2
    (tmp_path / "base" / "model.safetensors").unlink()
    torch.save({"state_dict": wrapped}, tmp_path / "base" / "model.ckpt")
    live = lmdm.convert(tmp_path / "base", SPEC)
    assert torch.equal(live.network.state_dict()[key], tensors[key] * 2)
    last = lmdm.convert(tmp_path / "base", SPEC, ema=False)
    assert torch.equal(last.network.state_dict()[key], tensors[key])


def test_changing_weights_are_noticed_by_the_prompt_cache() -> None:
    """A model in training plays with its newest weights, not with prompt features of an older step."""
    live = tiny_live().copied()
    before = live.step(live.start(seed=1), PROMPT)[1].pending[0].latents
    with torch.no_grad():
        live.network.dit.to_cond_embed[0].weight.mul_(1.5)
    fresh = LiveModel(live.network, live.section, live.host_config)
    after, expected = (model.step(model.start(seed=1), PROMPT)[1].pending[0].latents for model in (live, fresh))
    assert torch.equal(after, expected) and not torch.equal(after, before)


def test_a_stream_may_change_its_block_length() -> None:
    """Blocks one frame shorter or longer follow a tempo grid; audio keeps count."""
    live = tiny_live()
    state, samples = live.start(seed=2), 0
    for frames in (6, 7, 5, 6, 7, 7):
        audio, state = live.step(state, PROMPT, frames=frames)
        samples += audio.samples.shape[1]
    assert state.frame_index == 38
    assert samples == (38 - live.codec.hold_back_frames) * live.codec.frame_samples


def test_buffers_stay_buffers(tmp_path: Path) -> None:
    """Rotary frequencies and the constant beta of norms are loaded, not learned."""
    live = tiny_live()
    live.save(tmp_path / "model")
    loaded = lmdm.load(tmp_path / "model").network
    assert dict(loaded.named_buffers()).keys() == dict(live.network.named_buffers()).keys()
    assert not any(name.endswith(("inv_freq", "beta")) and "norm" in name for name, _ in loaded.named_parameters())


def test_a_copy_has_tensors_of_its_own() -> None:
    live = tiny_live()
    copied = live.copied()
    pairs = zip(live.network.parameters(), copied.network.parameters(), strict=True)
    assert all(a.data_ptr() != b.data_ptr() and torch.equal(a, b) for a, b in pairs)


def test_weights_in_half_precision_are_computed_in_full(tmp_path: Path) -> None:
    """Bundled models lie on disk in fp16; nothing of them is computed in it unless asked for."""
    live = tiny_live().copied()
    live.network.half()
    live.save(tmp_path / "half")
    loaded = lmdm.load(tmp_path / "half")
    assert {parameter.dtype for parameter in loaded.network.parameters()} == {torch.float32}
    assert all(np.isfinite(audio.samples).all() for audio in loaded.stream("house", 0.2))


def test_an_untrained_conversion_is_played_with_many_steps_and_guidance(tmp_path: Path) -> None:
    """Few ping-pong steps are for models that were post-trained for them (arXiv 2605.22717)."""
    network, config = tiny_offline()
    write_checkpoint(tmp_path / "offline", network, config)
    sampling = lmdm.convert(tmp_path / "offline", SPEC).sampling
    assert sampling.sampler == "euler" and sampling.steps >= 50 and 4.0 <= sampling.guidance <= 7.0


def test_lengths_are_rounded_to_the_nearest_sample() -> None:
    pieces = tiny_live().stream("house", 0.2006)
    assert sum(piece.samples.shape[1] for piece in pieces) == 201


def test_sampling_settings_reach_the_stream() -> None:
    live = tiny_live()
    base = joined(live.stream(PROMPT, seconds=0.2))
    for changed in (replace(live.sampling, steps=5), replace(live.sampling, sampler="euler"),
                    replace(live.sampling, guidance=3.0)):  # fmt: skip
        assert not np.array_equal(base, joined(live.stream(PROMPT, seconds=0.2, sampling=changed)))
