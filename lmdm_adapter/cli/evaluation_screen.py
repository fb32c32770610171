"""What an evaluation shows in a terminal: bars while it works, tables when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmdm_adapter.evaluation.control_report import ControlReport
    from lmdm_adapter.evaluation.report_values import Measured, Report

Row = Sequence[str]


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per stage on standard error, where there is somebody to see it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars: dict[str, Any] = {}

        def stage(name: str, done: int, total: int) -> None:
            if name not in bars:
                bars[name] = progress.add_task(name, total=total)
            progress.update(bars[name], completed=done)

        yield stage


def show_report(report: Report) -> None:
    """The measures of model and baseline beside real songs, and their slopes."""
    from lmdm_adapter.evaluation.agreement import PROMPT_MEASURES, SONG_MEASURES, SOUND_MEASURES

    contenders = [one for one in (report.model, report.baseline) if one is not None]
    columns: list[Measured] = [*contenders, report.codec, report.songs]
    rows: list[Row] = [("kernel distance", *(_brief(one.kernel) for one in columns), "")]
    rows.append(("Fréchet distance", *(_brief(one.frechet) or "under 1000 windows" for one in columns), ""))
    for measure in (*PROMPT_MEASURES, *SOUND_MEASURES):
        figures = [_brief(one.figures[measure.name]) for one in columns]
        rows.append((measure.name, *figures, _brief(report.chance.get(measure.name))))
    for measure in SONG_MEASURES:
        figures = [_brief(one.primed.get(measure.name)) for one in columns]
        rows.append((f"primed {measure.name}", *figures, _brief(report.chance.get(measure.name))))
    heads = ("measure", *_heads(contenders), "through the codec", "songs", "chance")
    table(f"Against {report.reference}, with 95 % intervals over streams", heads, rows)
    _show_slopes(report, contenders)


def show_control_report(report: ControlReport) -> None:
    """Every measure over the knob, beside its baselines and what is possible, and whether it beats them."""
    from rich.console import Console

    from lmdm_adapter.evaluation.control_page import margin_rows_of, rows_of, shown_roles, verdict

    shown, plain = shown_roles(report), ("codec", "songs", "chance")
    heads = (report.knob.partition("_")[0], *shown, *(f"minus {role}" for role in report.compared()))
    for measure in report.known_measures():
        pairs = zip(rows_of(report, measure.name), margin_rows_of(report, measure.name), strict=True)
        rows: list[Row] = [
            (
                name,
                *(_brief(one, plain=role in plain) for role, one in zip(shown, figures, strict=True)),
                *(_brief(one and one.figure, sign="+") for one in margins),
            )
            for (name, figures), (_, margins) in pairs
        ]
        if measure.name in report.alone:
            rows.append(("alone", _brief(report.alone_figure(measure.name)), *[""] * (len(heads) - 2)))
        table(f"{measure.label}, with 95 % intervals over {len(report.songs)} songs", heads, rows)
    said = (*report.notes, *(verdict(report, one) for one in report.known_measures()))
    Console().print("\n".join(said), highlight=False)


def _show_slopes(report: Report, contenders: Sequence[Measured]) -> None:
    rows: list[Row] = []
    for name in report.model.drifts:
        steeper = [_brief(report.steeper[name], sign="+")] if report.baseline is not None else []
        rows.append((name, *(_brief(one.drifts[name].slope, sign="+") for one in contenders), *steeper))
    heads = ("slope per minute", *_heads(contenders), *(["difference"] if report.baseline else []))
    table(f"Drift over {report.plan.minutes:g} minutes", heads, rows)


def _heads(contenders: Sequence[Measured]) -> list[str]:
    return [f"{one.name}{mark}" for one, mark in zip(contenders, ("", " (baseline)")[: len(contenders)], strict=True)]


def _brief(figure: Any, *, sign: str = "", plain: bool = False) -> str:
    if figure is None:
        return ""
    if plain:
        return format(figure.value, ".3g")
    value, low, high = (format(getattr(figure, part), f"{sign}.3g") for part in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def table(title: str, heads: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table, highlight=False)
