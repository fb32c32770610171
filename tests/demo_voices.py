"""A voice for tests: cheap, exact, and it writes down what it is told."""

from __future__ import annotations

import threading

import numpy as np

from lmdm_adapter.demo.voice import Chunk, Report, Wish

RATE, CHANNELS, BLOCK_SAMPLES = 22050, 2, 2205


def tone(first_sample: int, samples: int, *, hz: float = 440.0) -> np.ndarray:
    """Two channels that differ at every sample, from their number alone: `s ch`."""
    time = (first_sample + np.arange(samples)) / RATE
    return np.stack([0.3 * np.sin(2 * np.pi * hz * time), 0.2 * np.sin(3 * np.pi * hz * time)], 1).astype(np.float32)


class ToneVoice:
    """Plays `tone`; a turn of "prompt" to "high" raises it by an octave and more."""

    sample_rate, channels, block_seconds = RATE, CHANNELS, BLOCK_SAMPLES / RATE

    def __init__(self, wish: Wish) -> None:
        self.wish, self.turns, self.heard = wish, [], []
        self.closed, self.hz = threading.Event(), 440.0
        self.made_samples = self.blocks = 0
        self.raised_at: int | None = None

    def next_chunk(self) -> Chunk:
        samples = tone(self.made_samples, BLOCK_SAMPLES, hz=self.hz)
        self.made_samples += BLOCK_SAMPLES
        self.blocks += 1
        return Chunk(samples, Report(self.blocks - 1, 0.001, self.block_seconds, 1 << 20))

    def set(self, name: str, value: object) -> None:
        self.turns.append((name, value))
        if name == "prompt" and "high" in str(value) and self.raised_at is None:
            self.hz, self.raised_at = 1000.0, self.made_samples

    def hear(self, samples: np.ndarray, *, first_sample: int) -> None:
        self.heard.append((first_sample, len(samples)))

    def close(self) -> None:
        self.closed.set()


class Voices:
    """Makes voices of one kind and keeps them for questions."""

    def __init__(self, kind: type = ToneVoice) -> None:
        self.kind, self.made = kind, []

    def __call__(self, wish: Wish) -> ToneVoice:
        self.made.append(self.kind(wish))
        return self.made[-1]
