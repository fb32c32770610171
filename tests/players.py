"""Players in the place of a model, for tests of measures: one that follows whatever it is given, one that is deaf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.frames import GivenControls
from lmdm_adapter.evaluation.rollouts import RowControls
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import Sampling


@dataclass(frozen=True)
class Listener:
    """Knows some sounds by a control that it hears with them, and plays the sound whose control is most alike.

    `known` are pairs of control channels `c n` and the sound. Without controls it plays noise.
    """

    control: str
    known: Sequence[tuple[Tensor, Audio]]

    def __call__(
        self, live: LiveModel, prompts: Sequence[str], *, seconds: float, seeds: Sequence[int], sampling: Sampling,
        controls: RowControls | None,
    ) -> list[Audio]:  # fmt: skip
        """As `stream_together`."""
        if controls is None:
            return [noise(live, seconds, seed) for seed in seeds]
        frames = self.known[0][0].shape[-1]
        return [self._recognised(row) for row in controls(0, frames)]

    def _recognised(self, given: GivenControls | None) -> Audio:
        heard = torch.as_tensor(np.asarray(given[self.control]))
        there = heard.abs().sum(dim=0) > 0.0
        lag = int(there.int().argmax())  # what is carried late begins late
        length = heard.shape[-1] - lag
        distances = [float((heard[:, lag:] - own[:, :length]).square().mean()) for own, _ in self.known]
        return self.known[int(np.argmin(distances))][1]


def deaf(
    live: LiveModel, prompts: Sequence[str], *, seconds: float, seeds: Sequence[int], sampling: Sampling,
    controls: RowControls | None,
) -> list[Audio]:  # fmt: skip
    """Plays by seed alone, whatever it is given."""
    return [noise(live, seconds, seed) for seed in seeds]


def wilful(sounds: Sequence[Audio], *, seed: int = 0) -> Callable[..., list[Audio]]:
    """A deaf player of real music: another of the `sounds` in every rollout and row, by chance."""
    draws = np.random.default_rng(seed)
    return lambda live, prompts, **given: [sounds[index] for index in draws.integers(len(sounds), size=len(prompts))]


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of sounds that hears every sound once: players above play the same few in all rollouts."""
    kept: dict[object, Any] = {}

    def recalled(*arguments: Any, **settings: Any) -> Any:
        parts = (*arguments, *settings.values())
        key = tuple(one.samples.tobytes() if isinstance(one, Audio) else repr(one) for one in parts)
        if key not in kept:
            kept[key] = function(*arguments, **settings)
        return kept[key]

    return recalled


def noise(live: LiveModel, seconds: float, seed: int) -> Audio:
    """Quiet noise in the model's format."""
    samples = round(seconds * live.codec.sample_rate)
    sound = np.random.default_rng(seed).normal(0.0, 0.1, (live.codec.channels, samples))
    return Audio(sound.astype(np.float32), live.codec.sample_rate)
