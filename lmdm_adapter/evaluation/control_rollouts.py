"""Rollouts of one set of prompts, again and again under other frame controls, counted and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.evaluation.rollouts import RowControls
from lmdm_adapter.evaluation.ruler import Progress
from lmdm_adapter.training.shards import codec_digest

Play = Callable[..., list[Audio]]
"""`rollouts.stream_together`, or what plays in its place with the same arguments."""
LEAST_SONGS, MOST_SONGS = 2, 64
LONGEST_SECONDS = 600.0


class Rollouts:
    """Plays all prompts for `seconds`, each from its own seed, the same in every rollout: they differ by controls."""

    def __init__(
        self, prompts: Sequence[str], *, seconds: float, seed: int, play: Play, progress: Progress, total: int
    ) -> None:
        self.prompts, self.seconds, self.play = list(prompts), seconds, play
        self.seeds = [seed * MOST_SONGS + row for row in range(len(self.prompts))]
        self.progress, self.total, self.done, self.compute_seconds = progress, total, 0, 0.0
        progress("rollouts", 0, total)

    @property
    def music_seconds(self) -> float:
        """Music played until now."""
        return self.done * self.seconds * len(self.prompts)

    def played(self, contender: Contender, controls: RowControls | None) -> list[Audio]:
        """One more rollout."""
        began = time.perf_counter()
        audios = self.play(
            contender.live, self.prompts, seconds=self.seconds, seeds=self.seeds, sampling=contender.sampling,
            controls=controls,
        )  # fmt: skip
        self.compute_seconds += time.perf_counter() - began
        self.done += 1
        self.progress("rollouts", self.done, self.total)
        return audios


def require_songs(songs: int, seconds: float, *, least_seconds: float) -> None:
    """Refuse too few songs, or too little of each. Raises LmdmError."""
    if not LEAST_SONGS <= songs <= MOST_SONGS:
        raise LmdmError(f"Give {LEAST_SONGS} to {MOST_SONGS} songs, 16 to be sure of anything; got {songs}.")
    if not least_seconds <= seconds <= LONGEST_SECONDS:
        raise LmdmError(f"Each song is played for {least_seconds:g} to {LONGEST_SECONDS:g} s, got {seconds:g}.")


def require_controls(contender: Contender, names: Sequence[str], group: str) -> None:
    """Refuse a model that has none of the frame controls `names`. Raises LmdmError with the cure."""
    declared = [name for name, _ in contender.live.network.dit.config.further_controls]
    if not set(names) & set(declared):
        raise LmdmError(
            f"{contender.name} has no {group} among its frame controls ({', '.join(declared) or 'none'}); train it "
            f"with: lmdm train finetune --controls {group}."
        )


def require_same_codec(model: Contender, other: Contender | None) -> None:
    """Refuse a second model of another codec: both hear one set of latents, and have one ceiling. Raises LmdmError."""
    if other is not None and codec_digest(model.live.codec) != codec_digest(other.live.codec):
        raise LmdmError(f"{other.name} has another codec than {model.name}; compare models of one codec.")
