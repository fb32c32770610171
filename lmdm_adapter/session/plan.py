"""How a session plays: leads, fades, loops and the longest block, and the buffers that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.governor import GovernorPlan
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.player import Player
from lmdm_adapter.session.ring import AudioRing

LISTENING_LEAD_SECONDS = 0.5


@dataclass(frozen=True)
class SessionPlan:
    """How a session plays: its governor, the length of fades, what a hold may remember, and the longest block.

    Raises LmdmError for lengths that are not positive.
    """

    governor: GovernorPlan = field(default_factory=GovernorPlan)
    fade_seconds: float = 0.01
    history_seconds: float = 16.0
    longest_block_seconds: float = 8.0

    def __post_init__(self) -> None:
        for name in ("fade_seconds", "history_seconds", "longest_block_seconds"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise LmdmError(f"{name} must be positive, got {getattr(self, name)}.")

    @staticmethod
    def listening(lead_seconds: float = LISTENING_LEAD_SECONDS) -> SessionPlan:
        """For modes that hear: the lead never grows, since their latency is made of it. Who is late gets fewer steps.

        Raises LmdmError for a lead that is not positive.
        """
        return SessionPlan(GovernorPlan(lead_seconds=lead_seconds, most_lead_seconds=lead_seconds))

    def fade_samples(self, sample_rate: int) -> int:
        """Length of a fade; a quarter of the lead at most."""
        lead_samples = self.governor.lead_seconds * sample_rate
        return max(1, min(round(self.fade_seconds * sample_rate), int(lead_samples / 4)))

    def history_samples(self, sample_rate: int) -> int:
        """What a hold may remember, and so its longest loop."""
        return round(self.history_seconds * sample_rate)

    def longest_frames(self, facts: Facts) -> int:
        """The longest block. Raises LmdmError for a model whose usual blocks are longer."""
        frames = int(self.longest_block_seconds * facts.frame_rate_hz)
        if frames < facts.block_frames + 1:
            raise LmdmError(
                f"Blocks of {facts.block_seconds:.2f} s are longer than longest_block_seconds, "
                f"{self.longest_block_seconds:g} s; raise it."
            )
        return frames

    def player(self, facts: Facts, announce: Callable[[dict[str, Any]], None]) -> Player:
        """A player with a ring that takes the longest lead and one more block."""
        rate, fade = facts.sample_rate, self.fade_samples(facts.sample_rate)
        # A decoder that held back gives it all at once after going back to a warm start.
        longest = (self.longest_frames(facts) + facts.hold_back_frames) * facts.frame_samples
        room = math.ceil(self.governor.most_lead_seconds * rate) + longest + fade
        start = max(round(self.governor.lead_seconds * rate), 4 * fade)
        return Player(
            AudioRing(facts.channels, room), announce, fade_samples=fade, start_samples=start,
            history_samples=max(start, self.history_samples(rate)), grid_samples=facts.frame_samples,
        )  # fmt: skip
