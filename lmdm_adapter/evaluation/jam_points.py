"""The points of a jam's curve: visibilities that carry the accompaniment equally late are one point, played once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmdm_adapter.controls.accompaniment import lag_frames_of, visible_frames_of
from lmdm_adapter.live import LiveModel


@dataclass(frozen=True)
class JamPoint:
    """Visibilities that are the same to all players, and the lag of each player at them."""

    visibilities_seconds: tuple[float, ...]
    lags_frames: tuple[int, ...]

    @property
    def visibility_seconds(self) -> float:
        """The one that stands for all: the least that is enough."""
        return min(self.visibilities_seconds)

    @property
    def note(self) -> str | None:
        """In a sentence, which visibilities are one point; None for a single one."""
        if len(self.visibilities_seconds) == 1:
            return None
        same = " and ".join(f"{seconds:g} s" for seconds in self.visibilities_seconds)
        late = " and ".join(f"{frames} frames" for frames in dict.fromkeys(self.lags_frames))
        return f"Visibilities of {same} give one lag, {late}: they are played once and shown as {self}."

    def __str__(self) -> str:
        return f"{self.visibility_seconds:g} s"


def jam_points(visibilities_seconds: Sequence[float], players: Sequence[LiveModel]) -> list[JamPoint]:
    """The distinct points, in the order of their first visibilities. Players may differ in the length of blocks."""
    together: dict[tuple[int, ...], list[float]] = {}
    for seconds in visibilities_seconds:
        lags_frames = tuple(lag_frames_at(player, seconds) for player in players)
        together.setdefault(lags_frames, []).append(seconds)
    return [JamPoint(tuple(seconds), lags_frames) for lags_frames, seconds in together.items()]


def lag_frames_at(live: LiveModel, visibility_seconds: float) -> int:
    """How late a model of this block length carries the accompaniment at a visibility."""
    return lag_frames_of(live.spec.block_frames, visible_frames_of(visibility_seconds, live.codec.frame_rate_hz))
