"""Everything a player may turn, as values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

from lmdm_adapter.errors import LmdmError


@dataclass(frozen=True)
class Controls:
    """What the next block is told: weighted prompts, a negative prompt, and values of number conditioners.

    `prompts` are (text, weight) pairs, mixed by their weighted mean; `negative_prompt` replaces the empty null branch
    of guidance; `values` overrides number conditioners by id, e.g. (("seconds_total", 30.0),).
    Raises LmdmError for no prompt, one that is no text, or weights that are negative, not finite or all zero.
    """

    prompts: tuple[tuple[str, float], ...] = (("", 1.0),)
    negative_prompt: str | None = None
    values: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for pair in self.prompts if isinstance(self.prompts, (tuple, list)) else (self.prompts,):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise LmdmError(f"prompts are pairs of a text and its weight, got {pair!r}.")
        for text in (*(text for text, _ in self.prompts), self.negative_prompt or ""):
            if not isinstance(text, str):
                raise LmdmError(f"A prompt must be text, got {text!r}.")
        weights = [weight for _, weight in self.prompts]
        if not weights or not all(map(_is_weight, weights)) or sum(weights) <= 0:
            raise LmdmError(f"Prompt weights must be finite, not negative, and not all zero; got {weights}.")

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights of the prompts, as shares of 1; neither huge nor tiny weights are lost."""
        largest = max(weight for _, weight in self.prompts)
        scaled = [weight / largest for _, weight in self.prompts]
        return tuple(weight / sum(scaled) for weight in scaled)

    @staticmethod
    def of(prompt: str | Controls) -> Controls:
        """A plain prompt as controls; controls as they are."""
        return prompt if isinstance(prompt, Controls) else Controls(prompts=((prompt, 1.0),))


def _is_weight(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
