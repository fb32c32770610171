"""The report as one HTML page that needs nothing but itself: tables, plots and players inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import soundfile

from lmdm_adapter.audio import Audio
from lmdm_adapter.evaluation.agreement import PROMPT_MEASURES, SONG_MEASURES, SOUND_MEASURES, Measure
from lmdm_adapter.evaluation.drift import Drift
from lmdm_adapter.evaluation.listening import Figure
from lmdm_adapter.evaluation.page_parts import NOTHING, interval_cell, measure_cell, section, table, whole_page
from lmdm_adapter.evaluation.plots import drift_plot
from lmdm_adapter.evaluation.report_values import Measured, Report

DISTANCE_MEASURES = (
    Measure("kernel_distance", "Kernel distance to the reference", "", "low"),
    Measure("frechet_distance", "Fréchet distance to the reference", "", "low"),
)
DRIFTING = (*DISTANCE_MEASURES, *PROMPT_MEASURES, *SOUND_MEASURES)


def report_page(report: Report) -> str:
    """The whole page. Raises LmdmError when matplotlib is missing."""
    players = [report.model] if report.baseline is None else [report.model, report.baseline]
    parts = (
        _head(report), section("Distances and agreement", _NOTE_MEASURES, _measures(report)),
        section("Going on from a song", _NOTE_PRIMED, _primed(report)),
        section("Drift", _NOTE_DRIFT, _slopes(report) + _plots(report, players)),
        section("Listen", "The first seconds of the first and the last window.", _listen(report, players)),
    )  # fmt: skip
    return whole_page(f"{report.model.name} by measure", "".join(parts))


_NOTE_MEASURES = (
    "Means over all windows, with 95 % intervals over streams. “Songs” are held-out songs, whose truth is known: what "
    "the estimators get right at best. “Through the codec” are the same songs through the model's codec: the best that "
    "this model could sound like. “Chance” are songs against other songs' prompts: what ignoring the prompt gives."
)
_NOTE_PRIMED = (
    "One window that goes on from each prompt's song. The song itself goes on too, so its beats and chords are known. "
    "A tracker often takes the off-beat for the beat, so the second row lets either count."
)
_NOTE_DRIFT = (
    "Each measure in windows over time, with the least-squares slope per minute and its 95 % interval from a bootstrap "
    "over streams. Dotted: held-out songs. Windows are small sets, which makes every Fréchet distance over time too "
    "large, and all alike: read its slope, not its level."
)


def _head(report: Report) -> str:
    plan = report.plan
    rows = [
        f"{plan.streams} streams of {plan.windows * plan.window_seconds / 60.0:g} minutes, in windows of "
        f"{plan.window_seconds:g} s, seed {plan.seed}.",
        f"Reference: {escape(report.reference)}. Embedding: {escape(plan.embedding)}.",
        _way("Model", report.model),
    ]
    if report.baseline is not None:
        rows.append(_way("Baseline", report.baseline))
    return "".join(f"<p>{row}</p>\n" for row in rows)


def _way(role: str, measured: Measured) -> str:
    """How a contender played, and how its guidance was found."""
    sampling = measured.sampling
    assert sampling is not None, "contenders have a sampling"
    text = (
        f"{role}: {escape(measured.name)}, {sampling.steps} steps of {escape(sampling.sampler)}, guidance "
        f"{sampling.guidance:g}"
    )
    if measured.tried:
        tried = ", ".join(f"{guidance:g}: {value:.3g}" for guidance, value in measured.tried.items())
        text += f" (the best by kernel distance of one window: {tried})"
    return text + "."


def _measures(report: Report) -> str:
    there = {"Model": report.model}
    if report.baseline is not None:
        there["Baseline"] = report.baseline
    there |= {"Through the codec": report.codec, "Songs": report.songs}
    heads = ["", *there, "Chance"]
    rows = [
        [measure_cell(measure), *(_distance(one, measure.name) for one in there.values()), NOTHING]
        for measure in DISTANCE_MEASURES
    ]
    for measure in (*PROMPT_MEASURES, *SOUND_MEASURES):
        figures = [interval_cell(one.figures.get(measure.name)) for one in there.values()]
        rows.append([measure_cell(measure), *figures, interval_cell(report.chance.get(measure.name))])
    return table(heads, rows)


def _primed(report: Report) -> str:
    columns: dict[str, Mapping[str, Figure]] = {"Model": report.model.primed}
    if report.baseline is not None:
        columns["Baseline"] = report.baseline.primed
    columns |= {"Through the codec": report.codec.primed, "Songs": report.songs.primed, "Chance": report.chance}
    rows = [
        [measure_cell(measure), *(interval_cell(figures.get(measure.name)) for figures in columns.values())]
        for measure in SONG_MEASURES
    ]
    return table(["", *columns], rows)


def _slopes(report: Report) -> str:
    heads = ["Slope per minute", "Model", *(["Baseline", "Model minus baseline"] if report.baseline else [])]
    rows = []
    for measure in DRIFTING:
        row = [measure_cell(measure), interval_cell(report.model.drifts[measure.name].slope, sign="+")]
        if report.baseline is not None:
            row += [
                interval_cell(report.baseline.drifts[measure.name].slope, sign="+"),
                interval_cell(report.steeper[measure.name], sign="+"),
            ]
        rows.append(row)
    return table(heads, rows)


def _plots(report: Report, players: Sequence[Measured]) -> str:
    figures = []
    for measure in DRIFTING:
        lines: list[tuple[str, Drift]] = [(role, one.drifts[measure.name]) for role, one in _roles(players)]
        known = report.songs.figures.get(measure.name)
        unit = measure.unit or "score"
        svg = drift_plot(lines, label=unit, level=None if known is None else known.value)
        figures.append(f"<figure>\n<h3>{escape(measure.label)}</h3>\n{svg}</figure>\n")
    return f'<div class="plots">\n{"".join(figures)}</div>\n'


def _listen(report: Report, players: Sequence[Measured]) -> str:
    blocks = []
    for stream in range(min(report.plan.players, report.plan.streams)):
        blocks.append(f'<h3>{escape(report.prompts[stream])}</h3>\n<div class="players">\n')
        for role, one in _roles(players):
            for excerpt in (each for each in one.excerpts if each.stream == stream):
                minute = excerpt.window * report.plan.window_seconds / 60.0
                blocks.append(
                    f"<div><small>{role.capitalize()}, from minute {minute:g}</small>{_audio(excerpt.audio)}</div>\n"
                )
        blocks.append("</div>\n")
    return "".join(blocks)


def _roles(players: Sequence[Measured]) -> list[tuple[str, Measured]]:
    return list(zip(("model", "baseline")[: len(players)], players, strict=True))


def _audio(audio: Audio) -> str:
    """A player with 16-bit FLAC inside; samples beyond full scale are clipped, as a player would."""
    file = io.BytesIO()
    soundfile.write(file, audio.samples.T.clip(-1.0, 1.0), audio.sample_rate, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'


def _distance(one: Measured, name: str) -> str:
    distance = one.kernel if name == "kernel_distance" else one.frechet
    return f"{NOTHING}<small>under 1000 windows</small>" if distance is None else interval_cell(distance)
