"""Streams played, listened to window by window, and let go: what is kept is figures, features and a few excerpts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.evaluation.agreement import prompt_agreement, song_agreement, sound_figures
from lmdm_adapter.evaluation.bootstrap import interval, stream_draws
from lmdm_adapter.evaluation.hearing import Heard, hear
from lmdm_adapter.evaluation.interval import Interval
from lmdm_adapter.evaluation.ruler import Ruler
from lmdm_adapter.music import Song

OTHERS = 5
"""With how many other songs' prompts each song is compared, to know what chance gives."""
EXCERPT_SECONDS = 10.0


class Figure(Interval):
    """A mean over streams with its 95 % interval."""


@dataclass(frozen=True, eq=False)
class Excerpt:
    """The first seconds of one window of one stream."""

    stream: int
    window: int
    audio: Audio = field(repr=False)


@dataclass(frozen=True, eq=False)
class Impression:
    """One window of one stream: what was heard, its features (n, d), and the style that is nearest to them."""

    heard: Heard
    features: np.ndarray = field(repr=False)
    style: str


@dataclass(frozen=True, eq=False)
class Listened:
    """Impressions by window and stream, and how long the music took to make (None for recordings)."""

    impressions: tuple[tuple[Impression, ...], ...]
    excerpts: tuple[Excerpt, ...]
    music_seconds: float
    compute_seconds: float | None = None

    @property
    def features(self) -> list[list[np.ndarray]]:
        """Features by window and stream."""
        return [[one.features for one in window] for window in self.impressions]

    @property
    def features_by_stream(self) -> list[np.ndarray]:
        """Features of each stream, all windows joined."""
        return [np.concatenate(windows) for windows in zip(*self.features, strict=True)]


def listen(
    windows: Iterable[Sequence[Audio]], ruler: Ruler, *, players: int = 0, last: int = 0,
    progress: Callable[[int], None] = lambda windows: None,
) -> Listened:  # fmt: skip
    """Hear all windows. Excerpts of the first `players` streams are kept from the first window and the `last`.

    Raises LmdmError for windows of less than 10 s, or with NaN.
    """
    impressions, excerpts, seconds, compute_seconds = [], [], 0.0, 0.0
    for number, (audios, made_in) in enumerate(_timed(windows)):
        impressions.append(tuple(impression(audio, ruler) for audio in audios))
        if number in (0, last):
            excerpts += [Excerpt(row, number, _excerpt(audio)) for row, audio in enumerate(audios[:players])]
        seconds += sum(audio.seconds for audio in audios)
        compute_seconds += made_in
        progress(number + 1)
    return Listened(tuple(impressions), tuple(excerpts), seconds, compute_seconds)


def impression(audio: Audio, ruler: Ruler) -> Impression:
    """Hear one window. Raises LmdmError for less than 10 s, or with NaN."""
    heard, features = hear(audio), ruler.embedding(audio)
    return Impression(heard, features, ruler.style(features))


def prompt_figures(listened: Listened, songs: Sequence[Song]) -> dict[str, np.ndarray]:
    """Every measure of a window that needs no more than the prompt, (windows, streams) each."""
    return _by_measure(
        [
            [{**prompt_agreement(one.heard, one.style, song), **sound_figures(one.heard)} for one, song in pairs]
            for pairs in (zip(window, songs, strict=True) for window in listened.impressions)
        ]
    )


def prompt_chance(listened: Listened, songs: Sequence[Song]) -> dict[str, np.ndarray]:
    """The same against the prompts of other songs: what music that ignores its prompt would get."""
    return _by_measure(
        [
            [prompt_agreement(one.heard, one.style, song) for one, song in zip(window, others, strict=True)]
            for window in listened.impressions
            for others in _rotations(songs)
        ]
    )


def song_figures(listened: Listened, songs: Sequence[Song], *, start_seconds: float) -> dict[str, np.ndarray]:
    """Beats and chords of windows that begin at `start_seconds` of each song, (windows, streams) each."""
    return _by_measure(
        [
            [
                song_agreement(one.heard, song, start_seconds=start_seconds)
                for one, song in zip(window, songs, strict=True)
            ]
            for window in listened.impressions
        ]
    )


def song_chance(listened: Listened, songs: Sequence[Song], *, start_seconds: float) -> dict[str, np.ndarray]:
    """The same against other songs."""
    rotated = [song_figures(listened, others, start_seconds=start_seconds) for others in _rotations(songs)]
    return {name: np.concatenate([figures[name] for figures in rotated]) for name in rotated[0]}


def mean_figures(figures: dict[str, np.ndarray], *, draws: int, seed: int) -> dict[str, Figure]:
    """Means of (windows, streams) over windows, then streams, with intervals.

    Streams without a value are left out, and so is a measure that fewer than two streams have.
    """
    known = {name: values[:, ~np.isnan(values).all(axis=0)] for name, values in figures.items()}
    return {name: _mean(values, draws, seed) for name, values in known.items() if values.shape[1] >= 2}


def _mean(values: np.ndarray, draws: int, seed: int) -> Figure:
    streams = np.nanmean(values, axis=0)
    drawn = stream_draws(len(streams), draws=draws, seed=seed) @ streams / len(streams)
    return Figure(float(streams.mean()), *map(float, interval(drawn, len(streams))))


def _by_measure(rows: Sequence[Sequence[dict[str, float]]]) -> dict[str, np.ndarray]:
    names = rows[0][0]
    return {name: np.array([[one[name] for one in row] for row in rows]) for name in names}


def _rotations(songs: Sequence[Song]) -> Iterator[list[Song]]:
    for shift in range(1, min(OTHERS, len(songs) - 1) + 1):
        yield [*songs[shift:], *songs[:shift]]


def _timed(windows: Iterable[Sequence[Audio]]) -> Iterator[tuple[Sequence[Audio], float]]:
    iterator = iter(windows)
    while True:
        began = time.perf_counter()
        window = next(iterator, None)
        if window is None:
            return
        yield window, time.perf_counter() - began


def _excerpt(audio: Audio) -> Audio:
    return Audio(audio.samples[:, : round(EXCERPT_SECONDS * audio.sample_rate)].copy(), audio.sample_rate)
