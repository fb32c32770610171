"""How well a model follows a control over the positions of a knob, what it does without, and what is possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.evaluation.agreement import Measure
from lmdm_adapter.evaluation.listening import Figure, mean_figures
from lmdm_adapter.spec import Sampling

Scores = Mapping[str, np.ndarray]
"""Figures by measure, (settings, songs) each; (1, songs) where the setting does not matter."""
PLAYED, SHUFFLED, WITHOUT, OTHER = "played", "shuffled", "without", "other"
CODEC, SONGS, CHANCE = "codec", "songs", "chance"
BASELINES = (SHUFFLED, WITHOUT)
SURE_SONGS = 6
"""No verdict on fewer: all of five are better by luck alone once in 32 times, and an interval of two has no width."""


@dataclass(frozen=True)
class Margin:
    """What was played minus what it is held against, in pairs of one song.

    `beats` says whether the interval lies on the better side of 0, over at least six songs.
    """

    figure: Figure
    beats: bool

    def to_json(self) -> dict[str, object]:
        """The difference with its interval, and the verdict."""
        return {**self.figure.to_json(), "beats": self.beats}


@dataclass(frozen=True, eq=False)
class ControlReport:
    """Scores of every song, by role and measure.

    Roles: `played` hears its control, `shuffled` that of another song, `without` none; `other` is another model that
    hears what `played` does, if any; `codec` and `songs` are the truth, through the codec and as it is; `chance` is the
    truth against other songs. `alone` holds single features, each drawn by itself, where a control has several.
    `settings` are the positions of the knob, `notes` what must be known of them, in sentences. Intervals are over
    songs, which are independent.
    """

    title: str
    model: str
    other: str | None
    sampling: Sampling
    knob: str
    settings: tuple[float, ...]
    measures: tuple[Measure, ...]
    plan: Mapping[str, object]
    songs: tuple[str, ...]
    scores: Mapping[str, Scores] = field(repr=False)
    draws: int
    seed: int
    alone: Scores = field(default_factory=dict)
    music_seconds: float = 0.0
    compute_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def figures(self, role: str, measure: str) -> list[Figure | None]:
        """The mean over songs at each setting; None where fewer than two songs have a value."""
        return [self._mean(row[None]) for row in self._rows(role, measure)]

    def overall(self, role: str, measure: str) -> Figure | None:
        """The mean over settings, then songs."""
        return self._mean(self._rows(role, measure))

    def margins(self, measure: str, baseline: str) -> list[Margin | None]:
        """`played` minus a baseline at each setting."""
        return [self._margin(row[None], measure) for row in self._differences(measure, baseline)]

    def margin(self, measure: str, baseline: str) -> Margin | None:
        """The same, each song's mean over settings: one comparison, where every setting would be one more chance."""
        return self._margin(self._differences(measure, baseline), measure)

    def beats_both(self, measure: str) -> bool:
        """Whether `margin` over both baselines has an interval on the better side of 0."""
        margins = [self.margin(measure, baseline) for baseline in BASELINES]
        return all(margin is not None and margin.beats for margin in margins)

    def alone_margin(self, measure: str) -> Margin | None:
        """A single feature drawn by itself against nothing drawn, at the last setting: the tightest."""
        return self._margin(self.alone[measure] - self._rows(WITHOUT, measure)[-1:], measure)

    def alone_figure(self, measure: str) -> Figure | None:
        """The agreement of a single feature that is drawn by itself."""
        return self._mean(self.alone[measure])

    def compared(self) -> tuple[str, ...]:
        """Roles that `played` is held against."""
        return (*BASELINES, *((OTHER,) if OTHER in self.scores else ()))

    def to_json(self) -> dict[str, object]:
        """Plan, every figure with its interval, every margin, and the scores of all songs."""
        return {
            "title": self.title,
            "model": self.model,
            "other": self.other,
            "sampling": self.sampling.to_json(),
            "plan": dict(self.plan),
            self.knob: list(self.settings),
            "notes": list(self.notes),
            "songs": list(self.songs),
            "music_seconds": self.music_seconds,
            "compute_seconds": self.compute_seconds,
            "measures": {measure.name: self._measure_json(measure.name) for measure in self._known()},
            "scores": {role: {name: _plain(rows) for name, rows in own.items()} for role, own in self.scores.items()},
        }

    def _known(self) -> Iterator[Measure]:
        """Measures that the songs themselves have: drums, for one, have no notes."""
        return (one for one in self.measures if self.overall(SONGS, one.name) is not None)

    def known_measures(self) -> list[Measure]:
        """Measures that any two of the songs have."""
        return list(self._known())

    def _measure_json(self, name: str) -> dict[str, object]:
        roles = {role: _curve_json(self.figures(role, name), self.overall(role, name)) for role in self.scores}
        margins = {one: _curve_json(self.margins(name, one), self.margin(name, one)) for one in self.compared()}
        alone: dict[str, object] = {}
        if name in self.alone:
            alone = {"alone": _json(self.alone_figure(name)), "alone_minus_without": _json(self.alone_margin(name))}
        return {**roles, "played_minus": margins, **alone, "beats_both_baselines": self.beats_both(name)}

    def _rows(self, role: str, measure: str) -> np.ndarray:
        """(settings, songs)."""
        rows = self.scores[role][measure]
        return np.broadcast_to(rows, (len(self.settings), rows.shape[1]))

    def _differences(self, measure: str, baseline: str) -> np.ndarray:
        return self._rows(PLAYED, measure) - self._rows(baseline, measure)

    def _mean(self, rows: np.ndarray) -> Figure | None:
        return mean_figures({"": rows}, draws=self.draws, seed=self.seed).get("")

    def _margin(self, rows: np.ndarray, measure: str) -> Margin | None:
        figure, better = self._mean(rows), next(one.better for one in self.measures if one.name == measure)
        if figure is None:
            return None
        sure = int((~np.isnan(rows)).any(axis=0).sum()) >= SURE_SONGS
        return Margin(figure, sure and (figure.low > 0.0 if better == "high" else figure.high < 0.0))


def stacked(settings: Sequence[Scores]) -> dict[str, np.ndarray]:
    """Scores (songs,) of each setting, to (settings, songs)."""
    return {name: np.stack([scores[name] for scores in settings]) for name in settings[0]}


def _curve_json(points: Sequence[Figure | Margin | None], overall: Figure | Margin | None) -> dict[str, object]:
    return {"settings": [_json(point) for point in points], "overall": _json(overall)}


def _json(figure: Figure | Margin | None) -> dict[str, object] | None:
    return None if figure is None else dict(figure.to_json())


def _plain(rows: np.ndarray) -> list[list[float | None]]:
    """JSON has no NaN."""
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]
