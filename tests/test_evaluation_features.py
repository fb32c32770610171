"""The features of the Fréchet distance, on signals whose features are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.features import (
    BEAT_GRID_BPM,
    FEATURES,
    MEL_BANDS,
    autocorrelation,
    log_mel,
    mel_weights,
    window_count,
    window_features,
)

RATE = 22050
MEAN, DEVIATION = slice(0, MEL_BANDS), slice(MEL_BANDS, 2 * MEL_BANDS)
CHANGE, RHYTHM = slice(2 * MEL_BANDS, 3 * MEL_BANDS), slice(3 * MEL_BANDS, FEATURES)


def sine(hz: float, seconds: float = 3.0, *, rate: int = RATE, gain: float = 1.0) -> np.ndarray:
    """A tone, (samples,)."""
    return (gain * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def audio(samples: np.ndarray, rate: int = RATE) -> Audio:
    """Mono audio."""
    return Audio(samples[None], rate)


def pulses(bpm: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """Short noise bursts on every beat, (samples,)."""
    rng = np.random.default_rng(0)
    burst = rng.standard_normal(rate // 50).astype(np.float32) * np.linspace(1, 0, rate // 50, dtype=np.float32)
    sound = np.zeros(round(seconds * rate), dtype=np.float32)
    for beat in np.arange(0.1, seconds - 0.1, 60.0 / bpm):
        start = round(beat * rate)
        sound[start : start + len(burst)] += 0.3 * burst
    return sound


@pytest.mark.parametrize("seconds", [2.0, 2.99, 3.0, 7.5])
def test_a_window_starts_every_second(seconds):
    features = window_features(audio(sine(440.0, seconds)))
    assert features.shape == (window_count(seconds), FEATURES) == (int(seconds) - 1, 3 * 64 + 25)


def test_a_full_scale_tone_is_0_db_in_its_band_and_steady():
    features = window_features(audio(sine(1000.0)))[0]
    loudest = int(features[MEAN].argmax())
    bins_hz = np.arange(513) * RATE / 1024
    centres_hz = bins_hz[mel_weights(RATE).argmax(dim=0)]
    assert abs(centres_hz[loudest] - 1000.0) < 40.0
    assert -2.0 < features[MEAN][loudest] < 2.0
    assert features[CHANGE][loudest] < 0.1 and features[DEVIATION][loudest] < 0.1


def test_ten_times_less_is_20_db_less():
    loud, soft = (window_features(audio(sine(1000.0, gain=gain)))[0][MEAN].max() for gain in (1.0, 0.1))
    assert loud - soft == pytest.approx(20.0, abs=0.05)


def test_silence_is_the_floor_and_has_no_rhythm():
    features = window_features(audio(np.zeros(3 * RATE, dtype=np.float32)))
    np.testing.assert_allclose(features[:, MEAN], -60.0, atol=1e-4)
    assert not features[:, DEVIATION].any() and not features[:, CHANGE].any() and not features[:, RHYTHM].any()


def test_pulses_repeat_at_their_tempo_and_not_between():
    rhythm = dict(zip(BEAT_GRID_BPM, window_features(audio(pulses(120.0, 4.0)))[0][RHYTHM], strict=True))
    assert rhythm[120] > 0.8 and rhythm[60] > 0.8
    assert rhythm[90] < 0.2 and rhythm[160] < 0.2


def test_a_tone_that_comes_and_goes_changes_by_its_level():
    # 20 dB up and down every 0.1 s: 20 changes in 2 s, spread over the 196 steps between 10 ms frames.
    gate = np.where(np.arange(2 * RATE) // (RATE // 10) % 2 == 0, 1.0, 0.1)
    features = window_features(audio((sine(1000.0, 2.0) * gate).astype(np.float32)))[0]
    loudest = int(features[MEAN].argmax())
    assert features[CHANGE][loudest] == pytest.approx(20.0 * 20 / 196, rel=0.15)
    assert features[DEVIATION][loudest] == pytest.approx(10.0, rel=0.15)


def test_a_window_depends_on_its_own_samples_alone():
    samples = pulses(97.0, 6.0) + sine(300.0, 6.0, gain=0.1)
    whole = window_features(audio(samples))
    alone = window_features(audio(samples[2 * RATE : 4 * RATE]))
    np.testing.assert_allclose(whole[2], alone[0], rtol=1e-5, atol=1e-5)


def test_channels_are_averaged():
    left, right = pulses(100.0, 2.0), sine(500.0, 2.0)
    both = window_features(Audio(np.stack([left, right]), RATE))
    np.testing.assert_allclose(both, window_features(audio((left + right) / 2)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rate", [16000, 32000, 44100, 48000])
def test_rates_agree_below_their_limits(rate):
    one = window_features(audio(sine(440.0, 2.0) * 0.5))[0]
    other = window_features(audio(sine(440.0, 2.0, rate=rate) * 0.5, rate))[0]
    heard = one[MEAN] > -25.0
    assert heard.any()
    np.testing.assert_allclose(one[MEAN][heard], other[MEAN][heard], atol=3.0)


def test_every_band_has_bins_and_a_band_above_the_limit_is_empty():
    assert (mel_weights(RATE).amax(dim=0) > 0.3).all()
    assert mel_weights(8000)[:, -1].sum() == 0.0
    assert torch.isfinite(log_mel(torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)), 8000)).all()


def test_autocorrelation_of_a_known_sequence():
    period = torch.tensor([[1.0, -1.0] * 8])
    np.testing.assert_allclose(autocorrelation(period)[0].numpy(), [1.0, -1.0] * 8, atol=1e-5)


def test_too_short_or_broken_audio_is_refused():
    with pytest.raises(LmdmError, match="at least 2 s"):
        window_features(audio(sine(440.0, 1.9)))
    broken = sine(440.0)
    broken[5] = np.nan
    with pytest.raises(LmdmError, match="NaN"):
        window_features(audio(broken))
