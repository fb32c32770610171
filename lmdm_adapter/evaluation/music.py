"""Music by measure: how near a model's streams are to held-out songs, and whether they keep their prompts' tempos.

Everything that a model plays, and every baseline, comes from the same held-out prompt songs and is held against other
held-out songs. `floor` is the distance between two halves of those: nothing can be expected to come nearer. `real` are
the prompt songs themselves, as many and as long as the streams: what a perfect model would reach. `codec` are these
through the codec: what this model would reach if its latents were perfect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation.baselines import coded, frame_shuffled, looped, untrained
from lmdm_adapter.evaluation.checks import Check
from lmdm_adapter.evaluation.features import WINDOW_HOP_SECONDS, WINDOW_SECONDS, window_features
from lmdm_adapter.evaluation.frechet import (
    LEAST_WINDOWS,
    Distance,
    Projection,
    Streams,
    fit_projection,
    frechet_distance,
    require_windows,
)
from lmdm_adapter.evaluation.material import Clip, Format, held_out_sounds, prompt_songs, training_sounds
from lmdm_adapter.evaluation.rollouts import stream_together
from lmdm_adapter.evaluation.tempo import LEAST_SECONDS, TempoMatches, estimate_tempo, tempo_matches
from lmdm_adapter.live import LiveModel

Progress = Callable[[str, int, int], None]
Source = Callable[[Sequence[Clip]], Iterable[Audio]]
"""Makes one sound for each prompt song, in their order."""

ROWS = 8
"""Streams that are played at once."""

PLAYED = ("cold", "primed")
"""The model's own streams: from silence, and going on from the end of the prompt song."""
BASELINES = ("untrained", "shuffled", "loop")
LARGEST_RATIO, LEAST_TEMPO_MATCHES = 0.5, 0.5


@dataclass(frozen=True)
class MusicPlan:
    """How much is played. Streams are as long as it takes to give `windows` windows from `prompts` prompts.

    `held_out_songs` are the reference (two halves for the floor), `training_songs` fit the projection, `draws` make the
    bootstrap. Raises LmdmError for fewer than 1000 windows, or prompts that leave streams too short to hear a tempo.
    """

    windows: int = LEAST_WINDOWS
    prompts: int = 32
    seed: int = 0
    held_out_songs: int = 256
    training_songs: int = 128
    draws: int = 300

    def __post_init__(self) -> None:
        require_windows(self.windows, "this plan")
        if self.prompts < 2 or self.stream_seconds < LEAST_SECONDS:
            most = int(self.windows // (LEAST_SECONDS - WINDOW_SECONDS + WINDOW_HOP_SECONDS))
            raise LmdmError(f"{self.windows} windows need 2 to {most} prompts, got {self.prompts}.")
        if self.seed < 0 or self.draws < 2:
            raise LmdmError(f"Give a seed of 0 or more and at least 2 draws, got {self.seed} and {self.draws}.")

    @property
    def stream_seconds(self) -> float:
        """Length of every stream and song."""
        return float(WINDOW_SECONDS + WINDOW_HOP_SECONDS * (math.ceil(self.windows / self.prompts) - 1))


@dataclass(frozen=True)
class MusicReport:
    """What was measured; `distances` are against the held-out songs, `nearest_loop` is the best of all loops."""

    plan: MusicPlan
    distances: dict[str, Distance]
    floor: Distance
    nearest_loop: float
    tempos: dict[str, TempoMatches]
    explained: float

    @property
    def checks(self) -> list[Check]:
        """The targets: at most half of each baseline's distance, and the prompt's tempo in half of the cold streams."""
        checks = []
        for played in (name for name in PLAYED if name in self.distances):
            for baseline in BASELINES:
                ratio = self.distances[played].ratio(self.distances[baseline])
                checks.append(Check(f"{played} distance / {baseline} distance", ratio[0], LARGEST_RATIO, *ratio[1:]))
        if "cold" in self.tempos:
            share = self.tempos["cold"].matches
            checks.append(Check("cold streams at the prompt's tempo", share, LEAST_TEMPO_MATCHES, at_least=True))
        return checks

    @property
    def passed(self) -> bool:
        """Whether all targets are met."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, object]:
        """Plan, figures and checks as one JSON object."""
        return {
            "plan": {**asdict(self.plan), "stream_seconds": self.plan.stream_seconds},
            "floor": self.floor.to_json(),
            "distances": {name: distance.to_json() for name, distance in self.distances.items()},
            "nearest_loop": self.nearest_loop,
            "tempos": {name: matches.to_json() for name, matches in self.tempos.items()},
            "explained_variance": self.explained,
            "checks": [check.to_json() for check in self.checks],
            "passed": self.passed,
        }


@dataclass(frozen=True, eq=False)
class Measured:
    """The clips of one source: their windows, projected, one array per clip, and their tempos in BPM."""

    windows: list[np.ndarray]
    heard_bpm: list[float]


def evaluate_music(
    live: LiveModel, plan: MusicPlan, *, progress: Progress = lambda stage, done, total: None
) -> MusicReport:
    """Play, measure and compare. Takes about three times `plan.windows` seconds of the model's streams.

    `progress` hears stage, clips done and clips in all. Raises LmdmError for a plan that does not fit, a model that
    plays NaN, or one whose rate is too low for songs.
    """
    sources = {**real_sources(plan, live.codec.frame_samples), **model_sources(live, plan)}
    form = Format(plan.stream_seconds, live.codec.sample_rate, live.codec.channels)
    return evaluate_sources(sources, plan, form, progress=progress)


def evaluate_sources(
    sources: dict[str, Source], plan: MusicPlan, form: Format, *,
    progress: Progress = lambda stage, done, total: None,
) -> MusicReport:  # fmt: skip
    """Measure any sources of clips, which must include those of `real_sources`, against held-out songs."""
    songs = prompt_songs(plan.prompts, seconds=plan.stream_seconds, seed=plan.seed)
    projection = _projection(plan, form, progress)
    sounds = held_out_sounds(plan.held_out_songs, form, seed=plan.seed, without=songs)
    counted = _counted(sounds, "held-out songs", plan.held_out_songs, progress)
    held_out = [projection(window_features(audio)) for audio in counted]
    clips = [Clip(song, form.render(song)) for song in songs]
    measured = {
        name: _measured(_played(source, clips, name, progress), projection) for name, source in sources.items()
    }
    return _report(measured, held_out, clips, plan, projection)


def real_sources(plan: MusicPlan, frame_samples: int) -> dict[str, Source]:
    """Sources that need no model: the prompt songs, frame-shuffled, and each as a loop of its own."""

    def drawn(clips: Sequence[Clip]) -> Iterator[tuple[Audio, np.random.Generator]]:
        return ((clip.audio, np.random.default_rng([plan.seed, number])) for number, clip in enumerate(clips))

    return {
        "real": lambda clips: (clip.audio for clip in clips),
        "shuffled": lambda clips: (frame_shuffled(*pair, frame_samples=frame_samples) for pair in drawn(clips)),
        "loops": lambda clips: (looped(*pair) for pair in drawn(clips)),
    }


def model_sources(live: LiveModel, plan: MusicPlan) -> dict[str, Source]:
    """Sources of a model: songs through its codec, its untrained network, and its streams, cold and primed."""
    fresh = untrained(live, seed=plan.seed)
    return {
        "codec": lambda clips: (coded(live.codec, clip.audio) for clip in clips),
        "untrained": lambda clips: _streamed(fresh, clips, plan, primed=False),
        "cold": lambda clips: _streamed(live, clips, plan, primed=False),
        "primed": lambda clips: _streamed(live, clips, plan, primed=True),
    }


def _streamed(live: LiveModel, clips: Sequence[Clip], plan: MusicPlan, *, primed: bool) -> Iterator[Audio]:
    """Every stream has a seed of its own."""
    for first in range(0, len(clips), ROWS):
        part = clips[first : first + ROWS]
        seeds = [plan.seed * plan.prompts + first + row for row in range(len(part))]
        primes = [clip.audio for clip in part] if primed else None
        prompts = [clip.song.prompt for clip in part]
        yield from stream_together(live, prompts, seconds=plan.stream_seconds, seeds=seeds, primes=primes)


def _projection(plan: MusicPlan, form: Format, progress: Progress) -> Projection:
    sounds = training_sounds(plan.training_songs, form, seed=plan.seed)
    counted = _counted(sounds, "training songs", plan.training_songs, progress)
    return fit_projection(np.concatenate([window_features(audio) for audio in counted]))


def _played(source: Source, clips: list[Clip], name: str, progress: Progress) -> Iterator[Audio]:
    return _counted(source(clips), name, len(clips), progress)


def _counted(sounds: Iterable[Audio], stage: str, total: int, progress: Progress) -> Iterator[Audio]:
    progress(stage, 0, total)
    for done, audio in enumerate(sounds, start=1):
        yield audio
        progress(stage, done, total)


def _measured(sounds: Iterable[Audio], projection: Projection) -> Measured:
    windows, heard = [], []
    for audio in sounds:
        windows.append(projection(window_features(audio)))
        heard.append(estimate_tempo(audio))
    return Measured(windows, heard)


def _report(
    measured: dict[str, Measured], held_out: list[np.ndarray], clips: list[Clip], plan: MusicPlan,
    projection: Projection,
) -> MusicReport:  # fmt: skip
    reference, half = Streams.of(held_out), len(held_out) // 2

    def distance(windows: list[np.ndarray]) -> Distance:
        return frechet_distance(Streams.of(windows), reference, draws=plan.draws, seed=plan.seed)

    # One loop for the whole set: every prompt song's loop in turn, repeated until it fills the set.
    loops = [distance([windows] * len(clips)) for windows in measured["loops"].windows]
    loops.sort(key=lambda each: each.value)
    prompted = [clip.song.tempo_bpm for clip in clips]
    return MusicReport(
        plan=plan,
        distances={name: distance(each.windows) for name, each in measured.items()} | {"loop": loops[len(loops) // 2]},
        floor=frechet_distance(
            Streams.of(held_out[:half]), Streams.of(held_out[half:]), draws=plan.draws, seed=plan.seed
        ),
        nearest_loop=loops[0].value,
        tempos={name: tempo_matches(prompted, each.heard_bpm) for name, each in measured.items()},
        explained=projection.explained,
    )
