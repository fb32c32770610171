"""Real music for the evaluation: training songs, held-out songs, and held-out songs that lend their prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import HELD_OUT_SEEDS, TRAIN_SEEDS, Song, compose, mix, render

SCANNED_SONGS = 4000
"""Seeds of this many songs belong to one seed of an evaluation."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A held-out song: what it is, and how it sounds."""

    song: Song
    audio: Audio


@dataclass(frozen=True)
class Format:
    """How clips sound: length, rate, channels (a mono song on all of them)."""

    seconds: float
    sample_rate: int
    channels: int = 1

    def render(self, song: Song) -> Audio:
        """The first seconds of a song."""
        audio = mix(render(song, self.sample_rate, seconds=self.seconds))
        return Audio(np.repeat(audio.samples, self.channels, axis=0), self.sample_rate)


def training_sounds(count: int, form: Format, *, seed: int) -> Iterator[Audio]:
    """Songs that training may have heard."""
    return (clip.audio for clip in training_clips(count, form, seed=seed))


def training_clips(count: int, form: Format, *, seed: int) -> Iterator[Clip]:
    """Songs that training may have heard, with what they are."""
    for number in _numbers(TRAIN_SEEDS, seed, count):
        song = compose(number, seconds=form.seconds)
        yield Clip(song, form.render(song))


def prompt_songs(
    count: int, *, seconds: float, seed: int, wanted: Callable[[Song], bool] = lambda song: True
) -> list[Song]:
    """Held-out songs of `count` different tempos, `wanted` ones only.

    Raises LmdmError when there are not that many tempos.
    """
    found: dict[int, Song] = {}
    for song in _held_out(seconds, seed):
        if song.tempo_bpm not in found and wanted(song):
            found[song.tempo_bpm] = song
        if len(found) == count:
            return list(found.values())
    raise LmdmError(f"Held-out songs have {len(found)} different tempos; {count} prompts are too many.")


def held_out_sounds(count: int, form: Format, *, seed: int, without: Iterable[Song] = ()) -> Iterator[Audio]:
    """Held-out songs other than those of `without`."""
    return map(form.render, held_out_songs(count, seconds=form.seconds, seed=seed, without=without))


def held_out_songs(count: int, *, seconds: float, seed: int, without: Iterable[Song] = ()) -> Iterator[Song]:
    """Held-out songs other than those of `without`."""
    taken = {song.seed for song in without}
    return islice((song for song in _held_out(seconds, seed) if song.seed not in taken), count)


def _held_out(seconds: float, seed: int) -> Iterator[Song]:
    for number in _numbers(HELD_OUT_SEEDS, seed, SCANNED_SONGS):
        yield compose(number, seconds=seconds)


def _numbers(seeds: range, seed: int, count: int) -> list[int]:
    """`count` consecutive song seeds; another `seed` begins at other songs."""
    first = seed * SCANNED_SONGS
    return [seeds[(first + index) % len(seeds)] for index in range(count)]
