"""A ping that went round through a device: its latency to the sample, and no latency where there is no ping."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.loopback import device_latency_samples, ping

RATE = 44_100


def loopback(
    latency: int, *, played_at: int = 4000, gain: float = 0.3, noise: float = 0.0, seed: int = 0
) -> np.ndarray:
    """Two seconds of a room: `s 2`."""
    sound = noise * np.random.default_rng(seed).standard_normal((RATE, 2))
    sent = gain * ping(RATE)[:, None]
    sound[played_at + latency :][: len(sent)] += sent
    return sound.astype(np.float32)


@pytest.mark.parametrize("latency", [0, 1, 512, 1997, 20_000])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_latency_is_found_to_the_sample_in_noise_too(latency: int, noise: float) -> None:
    """At 0.05 the noise is as loud as the ping's rms (0.3 x 0.5 x 0.43 = 0.065) nearly."""
    heard = loopback(latency, noise=noise)
    assert device_latency_samples(heard, sample_rate=RATE, played_at=4000) == latency


def test_a_quiet_filtered_inverted_ping_is_found() -> None:
    heard = -0.01 * loopback(700)[:, 0]
    soft = np.convolve(heard, np.ones(3) / 3, mode="same").astype(np.float32)
    assert device_latency_samples(soft, sample_rate=RATE, played_at=4000) == 700


@pytest.mark.parametrize("seed", range(3))
def test_no_ping_in_noise_a_tone_or_silence(seed: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    music = np.cumsum(loopback(0, gain=0.0, noise=0.01, seed=seed), axis=0)
    for heard in (loopback(0, gain=0.0, noise=0.1, seed=seed), tone, music, np.zeros(RATE, np.float32)):
        with pytest.raises(LmdmError, match="No ping was found in 1.00 s of input"):
            device_latency_samples(heard, sample_rate=RATE)


def test_what_cannot_be() -> None:
    with pytest.raises(LmdmError, match="heard at sample 4100, before it was played at 5000"):
        device_latency_samples(loopback(100), sample_rate=RATE, played_at=5000)
    with pytest.raises(LmdmError, match="No ping was found"):
        device_latency_samples(loopback(100) + loopback(9000), sample_rate=RATE)
    with pytest.raises(LmdmError, match="needs 1323 samples or more"):
        device_latency_samples(np.zeros(100, np.float32), sample_rate=RATE)
    with pytest.raises(LmdmError, match="all finite"):
        device_latency_samples(np.full(RATE, np.nan, np.float32), sample_rate=RATE)
