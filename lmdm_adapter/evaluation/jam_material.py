"""Songs to play along with: a part to play, what it is prompted by, and the others to hear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.accompaniment import Heard
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.control_rollouts import require_songs
from lmdm_adapter.evaluation.material import prompt_songs
from lmdm_adapter.evaluation.rollouts import blocks_of
from lmdm_adapter.evaluation.ruler import Progress
from lmdm_adapter.evaluation.stem_agreement import sounding, stem_agreement
from lmdm_adapter.evaluation.tempo import LEAST_SECONDS, within
from lmdm_adapter.live import LiveModel
from lmdm_adapter.music import Song, describe, mix, render
from lmdm_adapter.spec import require_choice
from lmdm_adapter.training.song_stems import Target, only

LARGEST_VISIBILITY_SECONDS = 60.0
LEAST_SHARE = 0.5
"""Songs are taken whose part, and whose others, sound in half of the time that is measured."""
CHECKED_SECONDS = 0.1


@dataclass(frozen=True)
class JamPlan:
    """What is played: `stem` of so many `songs` ("bass", or several as "bass+chords"), for each visibility.

    `visibility_seconds` is how much of the others is known when a block is begun, counted from its first frame. The
    first `warm_up_seconds` are played and not measured, so that every visibility has been heard by then. `prompt` is
    "part", which names style and sound but neither tempo nor key, so that those must be heard, or "full", which names
    them too. Raises LmdmError for fewer than two songs, less than 10 s, or a visibility beyond a minute.
    """

    songs: int = 16
    seconds: float = 30.0
    visibility_seconds: tuple[float, ...] = (2.0, 1.0, 0.0, -1.0, -2.0)
    stem: str = "bass"
    prompt: Literal["part", "full"] = "part"
    warm_up_seconds: float = 6.0
    seed: int = 0
    draws: int = 1000

    def __post_init__(self) -> None:
        Target(self.stem)
        require_choice("prompt", self.prompt, Literal["part", "full"])
        require_songs(self.songs, self.seconds, least_seconds=LEAST_SECONDS)
        sizes = [abs(one) for one in self.visibility_seconds]
        if not sizes or not max(sizes) <= LARGEST_VISIBILITY_SECONDS or len(set(self.visibility_seconds)) < len(sizes):
            raise LmdmError(f"Give different visibilities from -60 to 60 s, got {self.visibility_seconds}.")
        if not 0.0 <= self.warm_up_seconds <= 60.0 or self.seed < 0 or self.draws < 2:
            raise LmdmError(f"Give a warm-up of 0 to 60 s, a seed of 0 or more and 2 or more draws, got {self}.")

    @property
    def whole_seconds(self) -> float:
        """What is played of each song: the warm-up, and what is measured."""
        return self.warm_up_seconds + self.seconds


@dataclass(frozen=True, eq=False)
class Jam:
    """The material: songs, what each is prompted by, its true part, and what is heard of its others."""

    plan: JamPlan
    target: Target
    songs: list[Song]
    prompts: list[str]
    truth: list[Audio] = field(repr=False)
    heard: list[Heard] = field(repr=False)

    @property
    def partners(self) -> list[int]:
        """For each song another one, whose others are heard instead.

        One rotation of all songs: the one with the most differences in key and tempo; half and double are the same.
        """
        songs, size = self.songs, len(self.songs)
        differences = [sum(_differ(songs[row], songs[row - shift]) for row in range(size)) for shift in range(size)]
        shift = max(range(1, size), key=differences.__getitem__)
        return [(row - shift) % size for row in range(size)]

    @property
    def swapped(self) -> list[Heard]:
        """What each song hears in the place of its own others."""
        return [self.heard[partner] for partner in self.partners]

    @property
    def names(self) -> tuple[str, ...]:
        """What each song is."""
        return tuple(f"song {song.seed}: {song.prompt}" for song in self.songs)

    def scores(self, played: Sequence[Audio], songs: Sequence[Song] | None = None) -> dict[str, np.ndarray]:
        """STEM_MEASURES of what was played to each song after the warm-up, (songs,) each."""
        late = self.plan.warm_up_seconds
        rows = [
            stem_agreement(after(audio, late, self.plan.seconds), song, self.target.stems, start_seconds=late)
            for audio, song in zip(played, songs or self.songs, strict=True)
        ]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def jam_material(live: LiveModel, plan: JamPlan, progress: Progress) -> Jam:
    """Songs of different tempos in which the part and others sound; the others encoded by the model's codec."""
    target, codec = Target(plan.stem), live.codec
    frames = blocks_of(live, round(plan.whole_seconds * codec.sample_rate)) * live.spec.block_frames
    whole = frames / codec.frame_rate_hz + max(0.0, *plan.visibility_seconds)
    songs = prompt_songs(plan.songs, seconds=whole, seed=plan.seed, wanted=lambda song: _sounds(song, target, plan))
    truth, heard = [], []
    for done, song in enumerate(songs):
        progress("songs", done, len(songs))
        stems = render(song, codec.sample_rate)
        own, others = (
            np.repeat(mix({name: stems[name] for name in names}).samples, codec.channels, axis=0)
            for names in (target.stems, target.others)
        )
        truth.append(Audio(own[:, : round(plan.whole_seconds * codec.sample_rate)], codec.sample_rate))
        heard.append(_heard(live, others))
    progress("songs", len(songs), len(songs))
    return Jam(plan, target, songs, [_prompt(song, target, plan) for song in songs], truth, heard)


def _heard(live: LiveModel, samples: np.ndarray) -> Heard:
    """What the model hears of whole frames of sound `ch s`."""
    codec = live.codec
    whole = samples[:, : samples.shape[1] // codec.frame_samples * codec.frame_samples]
    audio = Audio(np.ascontiguousarray(whole), codec.sample_rate)
    return Listening.of(codec, live.network.dit.config.further_controls).whole(audio)


def _sounds(song: Song, target: Target, plan: JamPlan) -> bool:
    times = plan.warm_up_seconds + np.arange(0.0, plan.seconds, CHECKED_SECONDS)
    return all(
        any(song.stems[name].notes for name in names) and sounding(song, names, times).mean() >= LEAST_SHARE
        for names in (target.stems, target.others)
    )


def _prompt(song: Song, target: Target, plan: JamPlan) -> str:
    if plan.prompt == "full":
        return describe(only(song, target.stems))
    return ", ".join([song.style, *(song.stems[name].phrase for name in target.stems if song.stems[name].notes)])


def _differ(one: Song, other: Song) -> int:
    return int(one.key != other.key) + int(not within(one.tempo_bpm, other.tempo_bpm, octaves=True))


def after(audio: Audio, late_seconds: float, seconds: float) -> Audio:
    """The `seconds` that begin at `late_seconds`."""
    first, count = round(late_seconds * audio.sample_rate), round(seconds * audio.sample_rate)
    return Audio(audio.samples[:, first : first + count], audio.sample_rate)
