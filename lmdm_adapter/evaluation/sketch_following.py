"""Does a model follow a sketch? Sketches of held-out songs, from loose to exact, and what is heard in the output.

Each feature is compared as loosely as it was drawn, in the drawing and in the output, so that a song itself scores 1 at
every tightness. Beside it stand the same model with the sketch of another song, and without any; both are compared with
the song's own drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.declared import SKETCH
from lmdm_adapter.controls.sketch import Sketch, SketchConfig, loosened, sketched
from lmdm_adapter.controls.sketch.tightness import width_at
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import control_report as roles
from lmdm_adapter.evaluation.agreement import Measure
from lmdm_adapter.evaluation.baselines import coded
from lmdm_adapter.evaluation.control_report import ControlReport, Scores, stacked
from lmdm_adapter.evaluation.control_rollouts import (
    Play,
    Rollouts,
    require_controls,
    require_same_codec,
    require_songs,
)
from lmdm_adapter.evaluation.material import Format, prompt_songs
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.evaluation.rollouts import RowControls, stream_together
from lmdm_adapter.evaluation.ruler import Progress
from lmdm_adapter.evaluation.sketch_agreement import sketch_agreement
from lmdm_adapter.evaluation.sketch_config import sketch_config_of
from lmdm_adapter.live import LiveModel
from lmdm_adapter.music import Song

SKETCH_MEASURES = (
    Measure("loudness_correlation", "Loudness", "correlation"),
    Measure("brightness_correlation", "Brightness", "correlation"),
    Measure("melody_f1", "Melody", "F1 of notes"),
    Measure("rhythm_correlation", "Rhythm", "correlation"),
)
MEASURE_OF = {name.partition("_")[0]: name for name in (measure.name for measure in SKETCH_MEASURES)}
LEAST_SECONDS = 2.0
MOST_ROTATIONS = 3
"""With how many other songs' sketches each song is compared, to know what chance gives."""


@dataclass(frozen=True)
class SketchPlan:
    """What is played: so many `songs` for `seconds`, at each `tightness` from 0 (loose) to 1 (exact).

    The loosest sketch is smoothed over `widest_frames`. Raises LmdmError for fewer than two songs, less than 2 s, or a
    tightness outside [0, 1], named twice, or in falling order.
    """

    songs: int = 16
    seconds: float = 30.0
    tightness: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    widest_frames: int = 9
    seed: int = 0
    draws: int = 1000

    def __post_init__(self) -> None:
        require_songs(self.songs, self.seconds, least_seconds=LEAST_SECONDS)
        if not self.tightness or list(self.tightness) != sorted(set(self.tightness)):
            raise LmdmError(f"Give each tightness once and in rising order, e.g. 0 0.5 1; got {self.tightness}.")
        for tightness in self.tightness:
            width_at(tightness, self.widest_frames)
        if self.seed < 0 or self.draws < 2 or self.widest_frames < 1 or self.widest_frames % 2 == 0:
            raise LmdmError(f"Give an odd widest_frames, a seed of 0 or more and 2 or more draws, got {self}.")

    @property
    def widths_frames(self) -> list[int]:
        """Over how many frames a sketch is smoothed at each tightness."""
        return [width_at(tightness, self.widest_frames) for tightness in self.tightness]


@dataclass(frozen=True, eq=False)
class Sketched:
    """The material: songs, how they sound, and their exact sketches."""

    config: SketchConfig
    songs: list[Song]
    truth: list[Audio] = field(repr=False)
    drawn: list[Sketch] = field(repr=False)

    def heard(self, played: Sequence[Audio]) -> list[Sketch]:
        """The exact sketches of what was played."""
        return [sketched(self.config, audio) for audio in played]

    def scores(self, heard: Sequence[Sketch], width_frames: int, drawn: Sequence[Sketch] | None = None) -> Scores:
        """Agreement of every feature with what is drawn for each song, both smoothed alike, (songs,) each.

        A feature that cannot be compared because nothing of it is heard, such as the brightness of silence, is 0.
        """
        rows = []
        for asked, told in zip(drawn or self.drawn, heard, strict=True):
            asked, told = (loosened(one, width_frames) for one in (asked, told))
            there, found = sketch_agreement(asked, asked), sketch_agreement(asked, told)
            rows.append({name: _score(found[name], there[name]) for name in found})
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def curve(
        self, heard: Sequence[Sketch], widths_frames: Sequence[int], drawn: Sequence[Sketch] | None = None
    ) -> Scores:
        """The same at each width, (settings, songs) each."""
        return stacked([self.scores(heard, width, drawn) for width in widths_frames])


def evaluate_sketch(
    model: Contender, plan: SketchPlan, *, other: Contender | None = None, play: Play = stream_together,
    progress: Progress = lambda stage, done, total: None,
) -> ControlReport:  # fmt: skip
    """Play from sketches of held-out songs at every tightness, with both baselines and each feature alone, and measure.

    `other` is a second model that plays from the same sketches, in pairs: the model before ARC-Forcing, for example.
    Raises LmdmError for a model without sketch controls, an `other` of another codec, or music of NaN.
    """
    contenders = [model] if other is None else [model, other]
    for contender in contenders:
        require_controls(contender, SKETCH, "sketch")
    require_same_codec(model, other)
    material, widths = sketch_material(model.live, plan, progress), plan.widths_frames
    features = material.config.ordered_features
    total = 1 + (1 + len(contenders)) * len(widths) + len(features)
    rollouts = Rollouts(
        [song.prompt for song in material.songs], seconds=plan.seconds, seed=plan.seed, play=play, progress=progress,
        total=total,
    )  # fmt: skip

    def heard(player: Contender, drawn: Sequence[Sketch], width: int) -> list[Sketch]:
        return material.heard(rollouts.played(player, following([loosened(one, width) for one in drawn])))

    def curve(player: Contender, drawn: Sequence[Sketch]) -> Scores:
        return stacked([material.scores(heard(player, drawn, width), width) for width in widths])

    swapped = [*material.drawn[1:], material.drawn[0]]
    scores = {roles.PLAYED: curve(model, material.drawn), roles.SHUFFLED: curve(model, swapped)}
    alone = {}
    for feature in features:
        only = [sketch.without(*(one for one in features if one != feature)) for sketch in material.drawn]
        name, width = MEASURE_OF[feature], widths[-1]
        alone[name] = material.scores(heard(model, only, width), width)[name][None]
    scores[roles.WITHOUT] = material.curve(material.heard(rollouts.played(model, None)), widths)
    if other is not None:
        scores[roles.OTHER] = curve(other, material.drawn)
    return ControlReport(
        title="Sketch", model=model.name, other=None if other is None else other.name, sampling=model.sampling,
        knob="tightness", settings=plan.tightness, plan=asdict(plan), draws=plan.draws, seed=plan.seed, alone=alone,
        measures=tuple(one for one in SKETCH_MEASURES if one.name in alone),
        songs=tuple(f"song {song.seed}: {song.prompt}" for song in material.songs),
        scores={**scores, **_known(model.live, material, widths)},
        music_seconds=rollouts.music_seconds, compute_seconds=rollouts.compute_seconds,
    )  # fmt: skip


def sketch_material(live: LiveModel, plan: SketchPlan, progress: Progress) -> Sketched:
    """Songs of different tempos, and sketches of them with the features that the model has."""
    form, config = Format(plan.seconds, live.codec.sample_rate, live.codec.channels), sketch_config_of(live)
    songs, truth, drawn = prompt_songs(plan.songs, seconds=plan.seconds, seed=plan.seed), [], []
    for done, song in enumerate(songs):
        progress("songs", done, len(songs))
        truth.append(form.render(song))
        drawn.append(sketched(config, truth[-1]))
    progress("songs", len(songs), len(songs))
    return Sketched(config, songs, truth, drawn)


def following(drawn: Sequence[Sketch]) -> RowControls:
    """The frame controls of each row from its sketch; past its end nothing is drawn."""
    whole = [sketch.controls() for sketch in drawn]

    def controls(first_frame: int, frames: int) -> list[dict[str, np.ndarray]]:
        return [{name: _cut(values.numpy(), first_frame, frames) for name, values in row.items()} for row in whole]

    return controls


def _known(live: LiveModel, material: Sketched, widths: Sequence[int]) -> dict[str, Scores]:
    """The songs, the same through the codec, and the songs against the sketches of some others."""
    drawn, rotations = material.drawn, range(1, min(len(material.drawn), MOST_ROTATIONS + 1))
    others = [material.curve(drawn, widths, drawn[shift:] + drawn[:shift]) for shift in rotations]
    through = material.heard([coded(live.codec, audio) for audio in material.truth])
    return {
        roles.SONGS: material.curve(drawn, widths),
        roles.CODEC: material.curve(through, widths),
        roles.CHANCE: {name: np.mean([scores[name] for scores in others], axis=0) for name in others[0]},
    }


def _score(found: float, there: float) -> float:
    """0 where the song itself could be compared, and what was played cannot."""
    return 0.0 if np.isnan(found) and not np.isnan(there) else found


def _cut(values: np.ndarray, first_frame: int, frames: int) -> np.ndarray:
    """Frames of `channels n`, zeros past the end."""
    part = values[:, first_frame : first_frame + frames]
    return np.pad(part, ((0, 0), (0, frames - part.shape[1])))
