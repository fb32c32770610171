"""What pages of figures are made of: sections, and tables whose cells say how sure a figure is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lmdm_adapter.evaluation.agreement import Measure
from lmdm_adapter.evaluation.page_style import STYLE

ARROWS = {"high": "higher is better", "low": "lower is better", "": ""}
NOTHING = "–"


def whole_page(title: str, body: str) -> str:
    """A document with its style inside; `title` is text, `body` HTML."""
    title = escape(title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )


def section(title: str, note: str, body: str) -> str:
    """A heading, a note below it, and HTML."""
    return f'<section>\n<h2>{escape(title)}</h2>\n<p class="note">{escape(note)}</p>\n{body}</section>\n'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML, heads are text."""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'


def measure_cell(measure: Measure) -> str:
    """What a measure is called, its unit, and which way is better."""
    hints = ", ".join(hint for hint in (measure.unit, ARROWS[measure.better]) if hint)
    return escape(measure.label) + (f"<small>{escape(hints)}</small>" if hints else "")


def interval_cell(figure: object, *, sign: str = "") -> str:
    """A value and the ends of its interval; a dash for None."""
    if figure is None:
        return NOTHING
    value, low, high = (format(getattr(figure, part), f"{sign}.3g") for part in ("value", "low", "high"))
    return f"{value}<small>{low} to {high}</small>"
