"""The drums: swept sines and shaped noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lmdm_adapter.music.wavetables import shaped_noise


@dataclass(frozen=True)
class Kit:
    """A drum kit. The kick falls from `kick_hz * kick_sweep` to `kick_hz`; `snap` is noise against tone in the snare.

    `hat_hz` is the lower corner of the cymbals, `room` the reverb of the whole kit (see `render`), `drive` its
    saturation.
    """

    kick_hz: float = 50.0
    kick_sweep: float = 5.0
    kick_seconds: float = 0.22
    click: float = 0.3
    snare_hz: float = 185.0
    snare_seconds: float = 0.13
    snap: float = 0.7
    noise_high_hz: float = 9000.0
    hat_hz: float = 6500.0
    hat_seconds: float = 0.035
    room: float = 0.08
    drive: float = 0.8


KITS = {
    "909": Kit(),
    "dusty": Kit(62.0, 3.0, 0.16, 0.15, 205.0, 0.11, 0.6, 4800.0, 4500.0, 0.03, 0.1, 1.6),
    "acoustic": Kit(66.0, 2.5, 0.13, 0.45, 215.0, 0.14, 0.65, 8000.0, 5500.0, 0.045, 0.18, 0.9),
    "break": Kit(70.0, 2.8, 0.12, 0.4, 240.0, 0.1, 0.6, 8500.0, 6000.0, 0.035, 0.12, 1.5),
    "gated": Kit(54.0, 4.0, 0.2, 0.3, 175.0, 0.24, 0.85, 7000.0, 6500.0, 0.04, 0.25, 0.8),
    "soft": Kit(58.0, 2.0, 0.25, 0.05, 180.0, 0.2, 0.8, 4000.0, 5000.0, 0.03, 0.3, 0.0),
}

_KICK, _RIM, _SNARE, _CLAP, _CLOSED_HAT, _LOW_TOM, _OPEN_HAT = 36, 37, 38, 39, 42, 45, 46
_MID_TOM, _CRASH, _HIGH_TOM, _RIDE, _TAMBOURINE, _SHAKER = 47, 49, 50, 51, 54, 70
_TOMS_HZ = {_LOW_TOM: 92.0, _MID_TOM: 124.0, _HIGH_TOM: 165.0}
# (level, seconds of decay, share of the cymbal corner, attack seconds)
_METAL = {
    _CLOSED_HAT: (0.34, 1.0, 1.0, 0.0),
    _OPEN_HAT: (0.32, 4.5, 1.0, 0.0),
    _CRASH: (0.4, 14.0, 0.6, 0.0),
    _RIDE: (0.22, 6.0, 1.1, 0.0),
    _TAMBOURINE: (0.26, 1.8, 1.15, 0.002),
    _SHAKER: (0.22, 1.2, 0.85, 0.012),
}
_LONGEST_SECONDS = 1.6


def drum_tail_seconds() -> float:
    """An upper bound on the length of any drum sound."""
    return _LONGEST_SECONDS


def drum_hit(kit: Kit, pitch: int, *, sample_rate: int, brightness: float, decay: float) -> np.ndarray:
    """One hit at full velocity, (samples,) float32. A pitch that is no drum of the kit sounds as the rim."""
    if pitch == _KICK:
        hit = _swept(kit.kick_hz, kit.kick_sweep, kit.kick_seconds * decay, sample_rate)
        return 0.95 * _plus(hit, kit.click * _burst(0.004, 1000.0, 7000.0, sample_rate, pitch))
    if pitch in _TOMS_HZ:
        hit = _swept(_TOMS_HZ[pitch], 1.6, 0.18 * decay, sample_rate)
        return 0.7 * _plus(hit, 0.25 * _burst(0.02, 300.0, 5000.0, sample_rate, pitch))
    if pitch == _SNARE:
        return _snare(kit, sample_rate, decay)
    if pitch == _CLAP:
        return _clap(kit, sample_rate, decay)
    if pitch in _METAL:
        return _metal(kit, pitch, sample_rate, brightness, decay)
    click = _swept(1700.0, 1.1, 0.012, sample_rate)
    return 0.4 * _plus(click, 0.5 * _burst(0.01, 1200.0, 6000.0, sample_rate, _RIM))


def _time(seconds: float, sample_rate: int) -> np.ndarray:
    """Sample times of a hit whose decay constant is `seconds`: long enough to fall by 60 dB."""
    samples = max(8, math.ceil(min(_LONGEST_SECONDS, 7.0 * seconds) * sample_rate))
    return np.arange(samples, dtype=np.float64) / sample_rate


def _fade(time: np.ndarray, seconds: float) -> np.ndarray:
    """Exponential decay that reaches exactly 0 at the last sample, without a step."""
    length = time[-1] + 1e-9
    return np.exp(-time / seconds) * np.minimum(1.0, (length - time) / (0.1 * length))


def _plus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total


def _swept(frequency_hz: float, sweep: float, seconds: float, sample_rate: int) -> np.ndarray:
    """A sine that falls to `frequency_hz` within some 60 ms."""
    time, fall = _time(seconds, sample_rate), 0.018
    turns = frequency_hz * (time + (sweep - 1.0) * fall * (1.0 - np.exp(-time / fall)))
    return (np.sin(2.0 * np.pi * turns) * _fade(time, seconds)).astype(np.float32)


def _burst(seconds: float, low_hz: float, high_hz: float, sample_rate: int, seed: int) -> np.ndarray:
    time = _time(seconds, sample_rate)
    noise = shaped_noise(len(time), sample_rate, low_hz=low_hz, high_hz=high_hz, seed=seed)
    return (0.4 * noise * _fade(time, seconds)).astype(np.float32)


def _snare(kit: Kit, sample_rate: int, decay: float) -> np.ndarray:
    seconds = kit.snare_seconds * decay
    tone = _swept(kit.snare_hz, 1.5, 0.55 * seconds, sample_rate)
    overtone = _swept(1.78 * kit.snare_hz, 1.2, 0.35 * seconds, sample_rate)
    noise = _burst(0.7 * seconds, 900.0, kit.noise_high_hz, sample_rate, _SNARE)
    return 0.8 * _plus(_plus((1.0 - kit.snap) * 1.6 * tone, 0.3 * overtone), kit.snap * noise)


def _clap(kit: Kit, sample_rate: int, decay: float) -> np.ndarray:
    """Four short bursts in quick succession, the last one rings."""
    time = _time(0.09 * decay, sample_rate)
    noise = shaped_noise(len(time), sample_rate, low_hz=700.0, high_hz=0.4 * kit.noise_high_hz, seed=_CLAP)
    late = np.maximum(0.0, time - 0.03)
    bursts = np.where(time < 0.03, np.exp(-(time % 0.01) / 0.004), np.exp(-late / (0.08 * decay)))
    return (0.33 * noise * bursts * np.minimum(1.0, (time[-1] - time) / (0.1 * time[-1]))).astype(np.float32)


def _metal(kit: Kit, pitch: int, sample_rate: int, brightness: float, decay: float) -> np.ndarray:
    """Cymbals, tambourine and shaker: high-passed noise with an optional soft start."""
    level, length, corner, attack = _METAL[pitch]
    low_hz = min(kit.hat_hz * corner * (0.75 + 0.25 * brightness), 0.36 * sample_rate)
    seconds = kit.hat_seconds * length * decay
    hit = _burst(seconds, low_hz, 0.9 * sample_rate, sample_rate, pitch)
    if attack > 0.0:
        hit *= np.minimum(1.0, np.arange(len(hit)) / (attack * sample_rate)).astype(np.float32)
    return np.float32(level / 0.4 * 0.55) * hit
