"""The whole report: how near, how obedient, and how steady over minutes, the model and a baseline side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import frechet
from lmdm_adapter.evaluation.baselines import coded
from lmdm_adapter.evaluation.drift import Curve, Drift, drift, frechet_curve, kernel_curve, mean_curve
from lmdm_adapter.evaluation.kernel_distance import KernelReference, kernel_distance
from lmdm_adapter.evaluation.listening import (
    Figure,
    Listened,
    listen,
    mean_figures,
    prompt_chance,
    prompt_figures,
    song_chance,
    song_figures,
)
from lmdm_adapter.evaluation.material import Format, held_out_songs, prompt_songs
from lmdm_adapter.evaluation.report_plan import Contender, ReportPlan
from lmdm_adapter.evaluation.report_values import Measured, Report
from lmdm_adapter.evaluation.rollouts import windows_together
from lmdm_adapter.evaluation.ruler import Progress, Ruler, fit_ruler
from lmdm_adapter.music import Song, compose
from lmdm_adapter.spec import Sampling


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all contenders share: plan, prompts with the sounds they go on from, and what they are held against."""

    plan: ReportPlan
    songs: list[Song]
    primes: list[Audio]
    ruler: Ruler
    reference: KernelReference
    progress: Progress


def evaluate_report(
    model: Contender, plan: ReportPlan, *, baseline: Contender | None = None,
    reference: Sequence[Audio] | None = None, reference_name: str = "held-out songs",
    progress: Progress = lambda stage, done, total: None,
) -> Report:  # fmt: skip
    """Play, listen and compare. `reference` are sounds in the model's format, one stream each; None for held-out songs.

    Raises LmdmError for a baseline of another format, music of NaN, too little reference, or missing extras.
    """
    _require_alike(model, baseline)
    form = Format(plan.window_seconds, model.live.codec.sample_rate, model.live.codec.channels)
    songs = prompt_songs(plan.streams, seconds=form.seconds, seed=plan.seed)
    known = list(held_out_songs(plan.known_songs, seconds=form.seconds, seed=plan.seed, without=songs))
    setting = _setting(songs, known, plan, form, reference, progress)
    truth = [form.render(song) for song in known]
    themselves = _heard("known songs", truth, setting)
    through = _heard("known songs through the codec", (coded(model.live.codec, audio) for audio in truth), setting)
    return Report(
        plan=plan, reference=reference_name, prompts=tuple(song.prompt for song in songs),
        songs=_truth("songs", themselves, known, setting), codec=_truth("codec", through, known, setting),
        chance=_chance(themselves, known, plan), model=_contender(model, setting, "model"),
        baseline=None if baseline is None else _contender(baseline, setting, "baseline"),
    )  # fmt: skip


def _require_alike(model: Contender, baseline: Contender | None) -> None:
    if baseline is None:
        return
    ours, theirs = model.live.codec, baseline.live.codec
    if (ours.sample_rate, ours.channels) != (theirs.sample_rate, theirs.channels):
        raise LmdmError(
            f"The baseline {baseline.name} plays {theirs.channels} channels at {theirs.sample_rate} Hz, the model "
            f"{ours.channels} at {ours.sample_rate} Hz; give a baseline of the same format."
        )


def _setting(
    songs: list[Song], known: list[Song], plan: ReportPlan, form: Format, reference: Sequence[Audio] | None,
    progress: Progress,
) -> _Setting:  # fmt: skip
    ruler = fit_ruler(plan.embedding, form, seed=plan.seed, progress=progress)
    total = plan.reference_songs if reference is None else len(reference)
    sounds: Iterable[Audio] = reference if reference is not None else map(
        form.render,
        held_out_songs(plan.reference_songs, seconds=form.seconds, seed=plan.seed, without=[*songs, *known]),
    )  # fmt: skip
    features = [ruler.embedding(audio) for audio in _counted(sounds, "reference", total, progress)]
    # The same songs, twice as long: the second half is what should follow.
    longer = [replace(compose(song.seed, seconds=2.0 * form.seconds), prompt=song.prompt) for song in songs]
    primes = [form.render(song) for song in longer]
    return _Setting(plan, longer, primes, ruler, KernelReference.of(features), progress)


def _heard(stage: str, sounds: Iterable[Audio], setting: _Setting) -> Listened:
    """Sounds of known songs, one window each."""
    return listen([list(_counted(sounds, stage, setting.plan.known_songs, setting.progress))], setting.ruler)


def _truth(name: str, listened: Listened, known: list[Song], setting: _Setting) -> Measured:
    """The estimators on songs whose truth is known: what a perfect model would get."""
    measured = _measured(name, listened, known, song_figures(listened, known, start_seconds=0.0), setting)
    return replace(measured, compute_seconds=None)


def _chance(listened: Listened, known: list[Song], plan: ReportPlan) -> dict[str, Figure]:
    """What music that ignores its prompt, or its song, would get."""
    return _means({**prompt_chance(listened, known), **song_chance(listened, known, start_seconds=0.0)}, plan)


def _contender(contender: Contender, setting: _Setting, stage: str) -> Measured:
    tried = _tried(contender, setting, stage)
    sampling = contender.sampling
    if tried:
        sampling = replace(sampling, guidance=min(tried, key=tried.__getitem__))
    plan = setting.plan
    primed = _listened(contender, sampling, setting, f"{stage}, primed", windows=1, primes=setting.primes)
    listened = _listened(contender, sampling, setting, stage, windows=plan.windows, players=plan.players)
    follows = song_figures(primed, setting.songs, start_seconds=setting.primes[0].seconds)
    measured = _measured(contender.name, listened, setting.songs, follows, setting)
    return replace(measured, sampling=sampling, drifts=_drifts(listened, setting), tried=tried)


def _tried(contender: Contender, setting: _Setting, stage: str) -> dict[float, float]:
    """The kernel distance of one window at each guidance, where there is a choice."""
    tried: dict[float, float] = {}
    for guidance in contender.guidances:
        sampling = replace(contender.sampling, guidance=guidance)
        listened = _listened(contender, sampling, setting, f"{stage}, guidance {guidance:g}", windows=1)
        tried[guidance] = kernel_distance(listened.features_by_stream, setting.reference, draws=2).value
    return tried


def _listened(
    contender: Contender, sampling: Sampling, setting: _Setting, stage: str, *, windows: int, players: int = 0,
    primes: list[Audio] | None = None,
) -> Listened:  # fmt: skip
    plan = setting.plan
    played = windows_together(
        contender.live, [song.prompt for song in setting.songs], windows=windows, window_seconds=plan.window_seconds,
        seeds=[plan.seed * plan.streams + row for row in range(plan.streams)], sampling=sampling, primes=primes,
    )  # fmt: skip
    counted = _counted(played, stage, windows, setting.progress)
    return listen(counted, setting.ruler, players=players, last=windows - 1)


def _measured(
    name: str, listened: Listened, songs: Sequence[Song], primed: dict[str, np.ndarray], setting: _Setting
) -> Measured:
    plan, reference, features = setting.plan, setting.reference, listened.features_by_stream
    enough = min(sum(map(len, features)), int(reference.counts.sum())) >= frechet.LEAST_WINDOWS
    streams = [frechet.Streams.of(list(side)) for side in (features, reference.streams)]
    return Measured(
        name=name, figures=_means(prompt_figures(listened, songs), plan), primed=_means(primed, plan),
        kernel=kernel_distance(features, reference, draws=plan.draws, seed=plan.seed),
        frechet=frechet.frechet_distance(*streams, draws=plan.draws, seed=plan.seed) if enough else None,
        excerpts=listened.excerpts, music_seconds=listened.music_seconds, compute_seconds=listened.compute_seconds,
    )  # fmt: skip


def _drifts(listened: Listened, setting: _Setting) -> dict[str, Drift]:
    """Every measure of the prompt, the sound and the distances over time."""
    plan, reference = setting.plan, setting.reference
    curves: dict[str, Curve] = {
        "kernel_distance": kernel_curve(listened.features, reference),
        "frechet_distance": frechet_curve(listened.features, reference.streams),
    }
    for name, values in prompt_figures(listened, setting.songs).items():
        curves[name] = mean_curve(values)
    minutes = (np.arange(plan.windows) + 0.5) * plan.window_seconds / 60.0
    return {
        name: drift(curve, minutes, streams=plan.streams, draws=plan.draws, seed=plan.seed)
        for name, curve in curves.items()
    }


def _means(figures: dict[str, np.ndarray], plan: ReportPlan) -> dict[str, Figure]:
    return mean_figures(figures, draws=plan.draws, seed=plan.seed)


def _counted(sounds: Iterable[Audio], stage: str, total: int, progress: Progress) -> Iterator[Audio]:
    progress(stage, 0, total)
    for done, audio in enumerate(sounds, start=1):
        yield audio
        progress(stage, done, total)
