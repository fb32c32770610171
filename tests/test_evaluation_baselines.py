"""Baselines spoil what they say they spoil, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.baselines import coded, frame_shuffled, looped, untrained
from tests.models import SAMPLE_RATE, tiny_live

FRAME = 100


def ramp(frames: int, rest: int = 0) -> Audio:
    """Stereo audio whose samples tell their place."""
    samples = np.arange(1, frames * FRAME + rest + 1, dtype=np.float32)
    return Audio(np.stack([samples, -samples]), 1000)


def rng(seed: int = 0) -> np.random.Generator:
    """Draws."""
    return np.random.default_rng(seed)


def test_shuffling_moves_whole_frames():
    audio = ramp(20, rest=30)
    shuffled = frame_shuffled(audio, rng(), frame_samples=FRAME)
    assert shuffled.samples.shape == audio.samples.shape
    middle = FRAME // 2
    starts = shuffled.samples[0, : 20 * FRAME].reshape(20, FRAME)[:, middle] - middle - 1
    assert sorted(starts) == [FRAME * n for n in range(20)] and list(starts) != sorted(starts)
    inner = shuffled.samples[0, : 20 * FRAME].reshape(20, FRAME)[:, 10:90]
    assert (np.diff(inner, axis=1) == 1).all()
    np.testing.assert_array_equal(shuffled.samples[0, 2000:], audio.samples[0, 2000:])
    np.testing.assert_array_equal(shuffled.samples[1], -shuffled.samples[0])


def test_shuffled_frames_have_no_clicks_at_their_ends():
    audio = Audio(np.ones((1, 2000), dtype=np.float32), 1000)
    pieces = frame_shuffled(audio, rng(), frame_samples=FRAME).samples.reshape(20, FRAME)
    assert pieces[:, 0].max() < 0.2 and pieces[:, -1].max() < 0.2 and pieces[:, 10:90].min() == 1.0


def test_a_loop_repeats_two_seconds_of_the_song():
    audio = Audio(ramp(70).samples, 1000)
    loop = looped(audio, rng(1)).samples
    assert loop.shape == audio.samples.shape
    np.testing.assert_array_equal(loop[:, :2000], loop[:, 2000:4000])
    np.testing.assert_array_equal(np.diff(loop[0, :2000]), 1.0)
    assert loop[0, 0] != looped(audio, rng(2)).samples[0, 0]


def test_too_short_audio_is_refused():
    with pytest.raises(LmdmError, match="at least 2 s"):
        looped(ramp(19), rng())
    with pytest.raises(LmdmError, match="at least two"):
        frame_shuffled(ramp(1), rng(), frame_samples=FRAME)


def test_the_untrained_network_differs_in_its_dit_alone():
    live = tiny_live()
    before = {name: value.clone() for name, value in live.network.state_dict().items()}
    fresh = untrained(live, seed=1)
    for name, value in fresh.network.state_dict().items():
        if not name.startswith("model."):
            assert torch.equal(value, before[name]), name
    trained = dict(live.network.dit.named_parameters())
    assert not [n for n, value in fresh.network.dit.named_parameters() if torch.equal(value, trained[n])]
    assert all(torch.equal(value, before[name]) for name, value in live.network.state_dict().items())
    assert (fresh.spec, fresh.sampling) == (live.spec, live.sampling)


def test_the_untrained_network_plays_its_own_and_repeatable_sound():
    live = tiny_live()

    def play(model) -> np.ndarray:
        return np.concatenate([piece.samples for piece in model.stream("house", 0.5, seed=3)], axis=1)

    one, again, other = (play(untrained(live, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3 and np.abs(one - play(live)).max() > 1e-3


def test_rotary_frequencies_stay_after_loading(tmp_path):
    import lmdm_adapter

    tiny_live().save(tmp_path / "model")
    live = lmdm_adapter.load(tmp_path / "model")
    kept = untrained(live, seed=0).network.dit.transformer.rotary_pos_emb.inv_freq
    assert torch.equal(kept, live.network.dit.transformer.rotary_pos_emb.inv_freq)


def test_coding_keeps_length_and_equals_the_codec():
    codec = tiny_live().codec
    sound = np.random.default_rng(0).standard_normal((1, 163)).astype(np.float32)
    result = coded(codec, Audio(sound, SAMPLE_RATE))
    padded = torch.from_numpy(np.pad(sound, ((0, 0), (0, 5))))[None]
    with torch.inference_mode():
        expected = codec.decode(codec.encode(padded))[0, :, :163].numpy()
    np.testing.assert_allclose(result.samples, expected, atol=1e-6)
