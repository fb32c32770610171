"""Measures as pictures, over time or over a knob: small SVGs by matplotlib, in the colours of the page around them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmdm_adapter.evaluation.drift import Drift
from lmdm_adapter.evaluation.extras import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"
"""Stands for the page's text colour, which is another one in the dark."""
COLOURS = ("#2f7ed8", "#d9822b", "#8a8f3c", "#a0569a")
WIDTH_INCHES, HEIGHT_INCHES = 6.0, 2.4


@dataclass(frozen=True, eq=False)
class Line:
    """A measure at the positions of a knob: `values`, `low` and `high` are (settings,); NaN is a gap."""

    name: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


def drift_plot(lines: Sequence[tuple[str, Drift]], *, label: str, level: float | None = None) -> str:
    """An `<svg>` of each named drift with its interval and fitted line; `level` is a dotted line for real songs.

    It refers to nothing outside itself. Raises LmdmError when matplotlib is missing.
    """

    def draw(axes: Axes) -> None:
        for colour, (name, one) in zip(COLOURS[: len(lines)], lines, strict=True):
            _draw(axes, name, one, colour)
        if level is not None:
            axes.axhline(level, color=INK, linestyle=":", linewidth=1.0, label="real songs")

    return _svg(draw, across="minutes", label=label)


def knob_plot(lines: Sequence[Line], settings: Sequence[float], *, knob: str, label: str, level: Line | None) -> str:
    """An `<svg>` of each line with its interval over the positions of a knob; `level` is dotted: what is possible.

    It refers to nothing outside itself. Raises LmdmError when matplotlib is missing.
    """
    order = np.argsort(settings)
    across = np.asarray(settings, dtype=np.float64)[order]

    def draw(axes: Axes) -> None:
        for colour, line in zip(COLOURS[: len(lines)], lines, strict=True):
            axes.fill_between(across, line.low[order], line.high[order], color=colour, alpha=0.2, linewidth=0.0)
            axes.plot(across, line.values[order], color=colour, marker="o", markersize=3.0, label=line.name)
        if level is not None:
            axes.plot(across, level.values[order], color=INK, linestyle=":", linewidth=1.0, label=level.name)

    return _svg(draw, across=knob, label=label)


def _svg(draw: Callable[[Axes], None], *, across: str, label: str) -> str:
    extra("matplotlib", "The plots of a report")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": label, "font.size": 9.0}):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        _dress(axes, across, label)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _inline(text.getvalue())


def _draw(axes: Axes, name: str, one: Drift, colour: str) -> None:
    middle = one.minutes.mean()
    line = one.values.mean() + one.slope.value * (one.minutes - middle)
    axes.fill_between(one.minutes, one.low, one.high, color=colour, alpha=0.2, linewidth=0.0)
    axes.plot(one.minutes, one.values, color=colour, marker="o", markersize=3.0, linewidth=1.2, label=name)
    axes.plot(one.minutes, line, color=colour, linestyle="--", linewidth=1.0)


def _dress(axes: Axes, across: str, label: str) -> None:
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(label, color=INK)
    axes.tick_params(colors=INK)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.legend(frameon=False, labelcolor=INK, loc="best")


def _inline(document: str) -> str:
    """Only the `<svg>` element, without what a page needs not: addresses of namespaces, metadata, a fixed size."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r'\1 role="img"', svg, count=1)
    return svg.replace(INK, "currentColor")
