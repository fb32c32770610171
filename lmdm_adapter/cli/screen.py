"""What commands show: a progress bar on standard error, results on standard output."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Column


def say(text: str) -> None:
    """Print one line of result, as it is: no wrapping, no markup, so that scripts can read it."""
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def block_progress() -> Progress:
    """A bar in seconds of audio; tasks carry the fields `block_ms` and `factor`."""
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=40)),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
        TextColumn("block {task.fields[block_ms]:.0f} ms"),
        TextColumn("real-time factor {task.fields[factor]:.2f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def waiting(text: str) -> Status:
    """A spinner on standard error while something of unknown length runs."""
    return Console(stderr=True).status(escape(text))
