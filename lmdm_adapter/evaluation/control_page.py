"""How a model follows its control, as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from lmdm_adapter.evaluation import control_report as roles
from lmdm_adapter.evaluation.agreement import Measure
from lmdm_adapter.evaluation.control_report import ControlReport, Margin
from lmdm_adapter.evaluation.page_parts import NOTHING, interval_cell, measure_cell, section, table, whole_page
from lmdm_adapter.evaluation.plots import Line, knob_plot

NAMES = {
    roles.PLAYED: "Model", roles.SHUFFLED: "Shuffled", roles.WITHOUT: "Without", roles.OTHER: "Other model",
    roles.CODEC: "Through the codec", roles.SONGS: "Songs", roles.CHANCE: "Chance",
}  # fmt: skip
KNOBS = {"visibility_seconds": "visibility, seconds", "tightness": "tightness"}
ALL = "all together"
NOTE = (
    "Means over songs with 95 % intervals over songs, which are independent. “Shuffled” is the same model under the "
    "control of another song, “without” the same under none. “Through the codec” is the truth through the model's "
    "codec: what a perfect player would get. “Chance” is the truth held against other songs."
)
NOTE_MARGINS = (
    "What the model does better than each baseline, in pairs of one song, with 95 % intervals; what lies above 0 for "
    "sure is marked. “All together” is one comparison of each song's mean over all settings; those of single settings "
    "are as many as there are, and are not corrected for that."
)
NOTE_ALONE = "Only this feature is drawn, at the tightest setting, against nothing drawn."


def control_page(report: ControlReport) -> str:
    """The whole page. Raises LmdmError when matplotlib is missing."""
    parts = [_head(report), section("Agreement", NOTE, _curves(report)), _margins(report)]
    if report.alone:
        parts.append(section("Each feature alone", NOTE_ALONE, _alone(report)))
    return whole_page(f"{report.title}: {report.model} by measure", "".join(parts))


def verdict(report: ControlReport, measure: Measure) -> str:
    """In a sentence, whether the model beats both baselines in this measure, and by how much."""
    margins = [(one, report.margin(measure.name, one)) for one in roles.BASELINES]
    said = [f"{_brief(margin)} over “{NAMES[one].lower()}”" for one, margin in margins if margin is not None]
    wins = "beats both baselines" if report.beats_both(measure.name) else "does not beat both baselines"
    if len(report.songs) < roles.SURE_SONGS:
        wins = f"{len(report.songs)} songs are too few to tell"
    return f"{measure.label}: {wins}: {', '.join(said)}."


def shown_roles(report: ControlReport) -> list[str]:
    """The roles that a report has, in the order of its columns."""
    return [role for role in NAMES if role in report.scores]


def rows_of(report: ControlReport, measure: str) -> Iterator[tuple[str, list[object]]]:
    """The figures of all roles at each setting, and all settings together, with what the row is called."""
    columns = [report.figures(role, measure) for role in shown_roles(report)]
    for index, setting in enumerate(report.settings):
        yield f"{setting:g}", [column[index] for column in columns]
    yield ALL, [report.overall(role, measure) for role in shown_roles(report)]


def margin_rows_of(report: ControlReport, measure: str) -> Iterator[tuple[str, list[Margin | None]]]:
    """The margins over all that the model is held against, as in `rows_of`."""
    columns = [report.margins(measure, baseline) for baseline in report.compared()]
    for index, setting in enumerate(report.settings):
        yield f"{setting:g}", [column[index] for column in columns]
    yield ALL, [report.margin(measure, baseline) for baseline in report.compared()]


def _head(report: ControlReport) -> str:
    sampling = report.sampling
    rows = [
        f"{len(report.songs)} held-out songs, seed {report.seed}; {report.music_seconds:g} s of music made in "
        f"{report.compute_seconds:.0f} s.",
        f"Model: {report.model}, {sampling.steps} steps of {sampling.sampler}, guidance {sampling.guidance:g}.",
        *([f"Other model: {report.other}."] if report.other is not None else []),
        *report.notes,
        *(verdict(report, measure) for measure in report.known_measures()),
    ]
    return "".join(f"<p>{escape(row)}</p>\n" for row in rows)


def _curves(report: ControlReport) -> str:
    return "".join(
        f"<figure>\n<h3>{measure_cell(measure)}</h3>\n{_plot(report, measure)}</figure>\n{_table(report, measure)}"
        for measure in report.known_measures()
    )


def _table(report: ControlReport, measure: Measure) -> str:
    heads = [KNOBS[report.knob], *(NAMES[role] for role in shown_roles(report))]
    return table(heads, [[name, *map(interval_cell, row)] for name, row in rows_of(report, measure.name)])


def _plot(report: ControlReport, measure: Measure) -> str:
    lines = [_line(report, role, measure) for role in (roles.PLAYED, *report.compared())]
    level = _line(report, roles.CODEC, measure)
    return knob_plot(lines, report.settings, knob=KNOBS[report.knob], label=measure.unit or "score", level=level)


def _line(report: ControlReport, role: str, measure: Measure) -> Line:
    figures = report.figures(role, measure.name)
    values = [[np.nan] * 3 if one is None else [one.value, one.low, one.high] for one in figures]
    return Line(NAMES[role], *np.array(values).T)


def _margins(report: ControlReport) -> str:
    heads = [KNOBS[report.knob], *(f"Model minus “{NAMES[one].lower()}”" for one in report.compared())]
    tables = [
        f"<h3>{measure_cell(measure)}</h3>\n"
        + table(heads, [[name, *map(_margin, row)] for name, row in margin_rows_of(report, measure.name)])
        for measure in report.known_measures()
    ]
    return section("Against the baselines", NOTE_MARGINS, "".join(tables))


def _alone(report: ControlReport) -> str:
    rows = [
        [measure_cell(one), interval_cell(report.alone_figure(one.name)), _margin(report.alone_margin(one.name))]
        for one in report.known_measures()
        if one.name in report.alone
    ]
    return table(["", "Model", "Model minus “without”"], rows)


def _margin(margin: Margin | None) -> str:
    if margin is None:
        return NOTHING
    cell = interval_cell(margin.figure, sign="+")
    return f"<strong>{cell}</strong>" if margin.beats else cell


def _brief(margin: Margin) -> str:
    figure = margin.figure
    return f"{figure.value:+.3g} ({figure.low:+.3g} to {figure.high:+.3g})"
