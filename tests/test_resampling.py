"""Audio from outside fitted to a model: the sound stays what it was, in every way in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.prime import prime_latents
from lmdm_adapter.resampling import fitted, mixed
from lmdm_adapter.sound_file import read_audio
from tests.cli import done, save_live, write_noise
from tests.host_requests import ask
from tests.models import SAMPLE_RATE, tiny_live

TONE_HZ, SECONDS, EDGE_SECONDS = 90.0, 1.0, 0.2


def tone(sample_rate: int, *, channels: int = 1, hz: float = TONE_HZ) -> Audio:
    """A sine, in channel n at a loudness of 1 / (n + 1)."""
    times = np.arange(round(SECONDS * sample_rate)) / sample_rate
    return Audio(np.stack([np.sin(2 * np.pi * hz * times) / (n + 1) for n in range(channels)]), sample_rate)


def worst(one: Audio, other: Audio) -> float:
    """The largest difference away from the edges, where no resampler knows what comes next."""
    edge = round(EDGE_SECONDS * one.sample_rate)
    return float(np.abs(one.samples - other.samples)[:, edge:-edge].max())


@pytest.mark.parametrize("sample_rate", [700, 1100, 44100, 48000])
def test_a_resampled_tone_is_the_tone_sampled_anew(sample_rate: int) -> None:
    heard, expected = fitted(tone(sample_rate), sample_rate=SAMPLE_RATE, channels=1), tone(SAMPLE_RATE)
    assert heard.sample_rate == SAMPLE_RATE and heard.samples.shape == expected.samples.shape
    assert worst(heard, expected) < 1e-4 < 1e-2 < worst(heard, tone(SAMPLE_RATE, hz=TONE_HZ + 1))


def test_what_the_model_cannot_hear_is_taken_away() -> None:
    """A tone beyond half the model's rate is silence, not another tone."""
    high = fitted(tone(4000, hz=800.0), sample_rate=SAMPLE_RATE, channels=1)
    assert worst(high, Audio(np.zeros((1, SAMPLE_RATE)), SAMPLE_RATE)) < 1e-3


def test_what_fits_is_left_alone() -> None:
    audio = tone(SAMPLE_RATE, channels=2)
    assert fitted(audio, sample_rate=SAMPLE_RATE, channels=2) is audio


def test_channels_are_mixed_as_the_host_does() -> None:
    """Mono is the mean, a mono sound is played on both sides, and of many channels stereo has the first two."""
    three = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(mixed(three, 1), three.mean(axis=0, keepdims=True))
    assert np.array_equal(mixed(three, 2), three[:2]) and np.array_equal(mixed(three[:1], 2), three[[0, 0]])
    with pytest.raises(LmdmError, match="3 channels cannot be made into 4"):
        mixed(three, 4)


@pytest.mark.parametrize("rates", [(1, 1000), (1000, 1)])
def test_impossible_rates_are_refused(rates: tuple[int, int]) -> None:
    """A file may claim any rate; none may ask for unbounded memory."""
    with pytest.raises(LmdmError, match="cannot be resampled"):
        fitted(Audio(np.zeros((1, 50)), rates[0]), sample_rate=rates[1], channels=1)


@pytest.mark.parametrize(("rate", "other"), [(10, 2560), (2560, 10)])
def test_the_farthest_rates_are_still_fitted(rate: int, other: int) -> None:
    """256 times as many samples, or as few; one Hz more is too far."""
    assert fitted(Audio(np.zeros((1, 512)), rate), sample_rate=other, channels=1).sample_rate == other
    rates = {rate: rate, 2560: 2561}
    far = (rates.get(rate, rate), rates.get(other, other))
    with pytest.raises(LmdmError, match=f"{far[0]} Hz cannot be resampled to {far[1]} Hz"):
        fitted(Audio(np.zeros((1, 512)), far[0]), sample_rate=far[1], channels=1)


def test_fitting_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "lmdm_adapter")
    fitted(tone(SAMPLE_RATE), sample_rate=SAMPLE_RATE, channels=1)
    assert not caplog.messages
    fitted(tone(4000, channels=2), sample_rate=SAMPLE_RATE, channels=1)
    assert caplog.messages == ["Sound of 4000 Hz, 2 ch was fitted to 1000 Hz, 1 ch."]


def test_a_prefix_is_heard_alike_at_every_rate() -> None:
    live = tiny_live()
    near, same, far = (
        prime_latents(live.codec, audio, live.spec)
        for audio in (
            tone(8000, channels=2),
            Audio(tone(SAMPLE_RATE).samples * 0.75, SAMPLE_RATE),
            tone(SAMPLE_RATE, hz=60.0),
        )
    )
    scale = same.abs().max()
    early = slice(0, -live.spec.block_frames)  # the end of the file is an edge
    assert (near - same).abs()[..., early].max() < 1e-2 * scale < (far - same).abs()[..., early].max()


def test_init_audio_at_another_rate_is_the_prefix_fitted() -> None:
    before = tone(4000, channels=2)
    fitting = fitted(before, sample_rate=SAMPLE_RATE, channels=1)
    asked = [ask(tiny_live(), init_audio=(audio.sample_rate, torch.from_numpy(audio.samples)))
             for audio in (before, fitting, tone(SAMPLE_RATE, hz=60.0))]  # fmt: skip
    assert torch.equal(asked[0], asked[1]) and not torch.equal(asked[0], asked[2])


def test_a_prime_file_is_fitted_and_said_so(tmp_path: Path) -> None:
    save_live(tmp_path / "live")
    out, prime = tmp_path / "out.wav", write_noise(tmp_path / "p.wav", samples=4000, channels=2, sample_rate=8000)
    command = ("stream", "house", "--model", tmp_path / "live", "--seconds", 0.1, "--out", out, "--prime")
    assert "8000 Hz, 2 ch was fitted to 1000 Hz, 1 ch" in done(*command, prime)
    fitting = read_audio(out).samples
    assert "was fitted" not in done(*command, write_noise(tmp_path / "other.wav"))
    assert not np.array_equal(read_audio(out).samples, fitting)
