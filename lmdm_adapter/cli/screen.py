"""What commands show: a progress bar on standard error, results on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Column, Table

if TYPE_CHECKING:
    from lmdm_adapter.training.recordings import Skipped


def say(text: str) -> None:
    """Print one line of result, as it is: no wrapping, no markup, so that scripts can read it."""
    # Names of files may hold what no terminal can show.
    shown = text.encode("utf-8", "replace").decode("utf-8")
    Console(soft_wrap=True).print(shown, markup=False, highlight=False)


def say_skipped(skipped: Sequence[Skipped], others: Mapping[str, int]) -> None:
    """Files of a folder that are not used, each with its reason; `others` counts those that are no sound by suffix."""
    if others:
        say("no sound by their suffix: " + ", ".join(f"{count} {name}" for name, count in others.items()))
    if skipped:
        say(f"{len(skipped)} files were skipped:")
        for one in skipped:
            say(f"  {one.file}: {one.reason}")


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


@contextmanager
def counting(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error for work that is counted: call the yielded function with things done and their number."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table of results on standard output."""
    grid = Table(title=title, title_justify="left")
    for head in heads:
        grid.add_column(head)
    for row in rows:
        grid.add_row(*row)
    Console().print(grid, highlight=False)


def waiting(text: str) -> Status:
    """A spinner on standard error while something of unknown length runs."""
    return Console(stderr=True).status(escape(text))
