"""Does a model play along? It hears the other stems of held-out songs, later or earlier, and plays one of its own.

What it plays is held against the songs' true chords and beats, which it was not told: beside the same model that hears
the stems of another song, and the same model that hears nothing, as a curve over how much of the others is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from lmdm_adapter.controls.accompaniment import Heard, accompaniment
from lmdm_adapter.controls.declared import ACCOMPANIMENT, HARMONY
from lmdm_adapter.evaluation import control_report as roles
from lmdm_adapter.evaluation.baselines import coded
from lmdm_adapter.evaluation.control_report import ControlReport, Scores, stacked
from lmdm_adapter.evaluation.control_rollouts import Play, Rollouts, require_controls, require_same_codec
from lmdm_adapter.evaluation.jam_material import Jam, JamPlan, jam_material
from lmdm_adapter.evaluation.jam_points import jam_points, lag_frames_at
from lmdm_adapter.evaluation.report_plan import Contender
from lmdm_adapter.evaluation.rollouts import RowControls, stream_together
from lmdm_adapter.evaluation.ruler import Progress
from lmdm_adapter.evaluation.stem_agreement import STEM_MEASURES
from lmdm_adapter.live import LiveModel

MOST_ROTATIONS = 3
"""With how many other songs each true part is compared, to know what chance gives."""


def evaluate_jam(
    model: Contender, plan: JamPlan, *, other: Contender | None = None, play: Play = stream_together,
    progress: Progress = lambda stage, done, total: None,
) -> ControlReport:  # fmt: skip
    """Play along with held-out songs at every visibility, as it is and with both baselines, and measure.

    Visibilities that give the same lag are one point of the curve, and played once: the report's notes say which.
    `other` is a second model that plays in the same places, in pairs. Raises LmdmError for a model that hears no
    accompaniment, an `other` of another codec, or music of NaN.
    """
    contenders = [model] if other is None else [model, other]
    for contender in contenders:
        require_controls(contender, ACCOMPANIMENT, "accompaniment")
    require_same_codec(model, other)
    points = jam_points(plan.visibility_seconds, [contender.live for contender in contenders])
    hearing = next((one.live for one in contenders if hears_harmony(one.live)), model.live)
    jam, total = jam_material(hearing, plan, progress), 1 + (1 + len(contenders)) * len(points)
    rollouts = Rollouts(
        jam.prompts, seconds=plan.whole_seconds, seed=plan.seed, play=play, progress=progress, total=total
    )  # fmt: skip

    def curve(player: Contender, heard: Sequence[Heard]) -> Scores:
        late = (heard_late(heard, player.live, point.visibility_seconds) for point in points)
        return stacked([jam.scores(rollouts.played(player, controls)) for controls in late])

    scores = {roles.PLAYED: curve(model, jam.heard), roles.SHUFFLED: curve(model, jam.swapped)}
    scores[roles.WITHOUT] = stacked([jam.scores(rollouts.played(model, None))])
    if other is not None:
        scores[roles.OTHER] = curve(other, jam.heard)
    return ControlReport(
        title="Jam", model=model.name, other=None if other is None else other.name, sampling=model.sampling,
        knob="visibility_seconds", settings=tuple(point.visibility_seconds for point in points), measures=STEM_MEASURES,
        plan=asdict(plan), songs=jam.names, scores={**scores, **_known(model.live, jam)}, draws=plan.draws,
        seed=plan.seed, music_seconds=rollouts.music_seconds, compute_seconds=rollouts.compute_seconds,
        notes=tuple(point.note for point in points if point.note is not None),
    )  # fmt: skip


def heard_late(heard: Sequence[Heard], live: LiveModel, visibility_seconds: float) -> RowControls:
    """The accompaniment of each row as this model carries it at a visibility; its harmony if the model hears that."""
    rate_hz = live.codec.frame_rate_hz
    heard = heard if hears_harmony(live) else [one.without_harmony() for one in heard]
    lag_frames = lag_frames_at(live, visibility_seconds)
    return lambda first_frame, frames: [
        accompaniment(one, first_frame, frames, lag_frames=lag_frames, frame_rate_hz=rate_hz) for one in heard
    ]


def hears_harmony(live: LiveModel) -> bool:
    """Whether the model declares the harmony of an accompaniment."""
    return any(name == HARMONY for name, _ in live.network.dit.config.further_controls)


def _known(live: LiveModel, jam: Jam) -> dict[str, Scores]:
    """The true part, the same through the codec, and the true part in some other songs."""
    rotations = range(1, min(len(jam.songs), MOST_ROTATIONS + 1))
    chance = stacked([jam.scores(jam.truth, jam.songs[shift:] + jam.songs[:shift]) for shift in rotations])
    return {
        roles.SONGS: stacked([jam.scores(jam.truth)]),
        roles.CODEC: stacked([jam.scores([coded(live.codec, audio) for audio in jam.truth])]),
        roles.CHANCE: {name: rows.mean(axis=0, keepdims=True) for name, rows in chance.items()},
    }
