"""What a run says while it trains: a progress bar, lines in a file, a picture of the loss."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lmdm_adapter.audio import Audio
from lmdm_adapter.training.files import write_sound
from lmdm_adapter.training.peak_memory import most_memory_bytes
from lmdm_adapter.training.processes import is_first_process
from lmdm_adapter.training.trackers import Trackers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)
MIB, GIB = 2.0**20, 2.0**30
NO_LOSSES = ("step", "seconds_per_step", "peak_memory_mib", "gradient_norm")


class Journal:
    """Writes `log.jsonl` (one object per report), `loss.png` and `samples`, and shows step, losses and time left.

    On a terminal this is a progress bar; into a file it is one line per report. Trackers hear the same. `done` are the
    steps before this run. Seconds per step are those since the last report, of everything that was done between.
    """

    def __init__(
        self, folder: Path, *, title: str, steps: int, done: int, shown: bool, trackers: Trackers
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.title, self.steps, self.shown, self.trackers = folder, title, steps, shown, trackers
        self.console = Console(stderr=True, quiet=not shown)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.progress = Progress(
            TextColumn("{task.description}"), *columns, TextColumn("{task.fields[facts]}"),
            console=self.console, disable=not (shown and self.console.is_terminal),
        )  # fmt: skip
        self.task = self.progress.add_task(title, total=steps, completed=done, facts="")
        self.last = (done, time.monotonic())
        if shown:
            _end_last_line(folder / "log.jsonl")

    def __enter__(self) -> Journal:
        self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
        self.trackers.close()
        if self.shown:
            draw_losses(self.folder)

    def write(self, step: int, losses: dict[str, float]) -> None:
        """Report the losses of a step."""
        seconds = self._seconds_per_step(step)
        memory = most_memory_bytes(self.trackers.accelerator.device)
        told = [f"{name} {value:.4f}" for name, value in losses.items() if _is_loss(name)]
        facts = ", ".join([*told, f"{seconds:.2f} s/step", *([] if memory is None else [f"{memory / GIB:.1f} GiB"])])
        self.progress.update(self.task, completed=step, facts=facts)
        if not self.console.is_terminal:
            left = f"{seconds * (self.steps - step) / 60:.0f} min left"
            self.console.print(f"{self.title} step {step}/{self.steps}: {facts}, {left}", highlight=False)
        costs = {"seconds_per_step": round(seconds, 4)}
        costs |= {} if memory is None else {"peak_memory_mib": round(memory / MIB, 1)}
        self._append({"step": step, **costs, **_rounded(losses)})
        self.trackers.log({**costs, **losses}, step)

    def _seconds_per_step(self, step: int) -> float:
        """Seconds since the last report, or the start, by the steps since then."""
        now, (done, before) = time.monotonic(), self.last
        self.last = (step, now)
        return (now - before) / max(1, step - done)

    def write_measures(self, step: int, measures: dict[str, float]) -> None:
        """Report measures on held-out data, and redraw the picture."""
        text = ", ".join(f"{name} {value:.3f}" for name, value in measures.items())
        self.console.print(f"{self.title} step {step}, held out: {text}", highlight=False)
        self._append({"step": step, "held_out": _rounded(measures)})
        self.trackers.log({f"held_out/{name}": value for name, value in measures.items()}, step)
        if self.shown:
            draw_losses(self.folder)

    def write_sample(self, step: int, audio: Audio) -> None:
        """Write a sound as `samples/step-000500.wav`, and redraw the picture."""
        write_sound(self.folder / "samples" / f"step-{step:06d}.wav", audio)
        self.trackers.hear(audio, step)
        draw_losses(self.folder)

    def _append(self, record: dict[str, object]) -> None:
        if self.shown:
            with (self.folder / "log.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")


@contextmanager
def counted(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar for slow work outside the loop: call the yielded function with the number of things done.

    A second number, where it is given, is how many there are in all.
    """
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True, quiet=not is_first_process()), transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task(title, total=total)
        yield lambda done, total=total: progress.update(task, completed=done, total=total)


def _is_loss(name: str) -> bool:
    """Whether a name is that of the loss, or of the loss of a part: `loss`, `part/loss`."""
    return name.rpartition("/")[2] == "loss"


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


def read_log(folder: Path) -> list[dict[str, float]]:
    """The reports of training steps in `log.jsonl`; a run that was resumed may report a step twice.

    Lines that cannot be read, as a program leaves them that is killed while it writes, are left out.
    """
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    records = [record for record in map(_record, lines) if record is not None]
    return [record for record in records if "held_out" not in record]


def _record(line: str) -> dict[str, float] | None:
    """A report, or None for a line that is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "step" in record else None


def _end_last_line(path: Path) -> None:
    """End a line that was half written, so that the next report has a line of its own."""
    if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
        with path.open("a") as file:
            file.write("\n")


def draw_losses(folder: Path) -> None:
    """Draw `loss.png` from `log.jsonl`; without matplotlib there is no picture, and a line in the log says so."""
    records = read_log(folder)
    if not records:
        return
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log.info("No loss.png: pip install matplotlib")
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, records)
    figure.savefig(folder / "loss.png", dpi=100)


def _draw(axes: Axes, records: list[dict[str, float]]) -> None:
    steps = [record["step"] for record in records]
    names = [name for name in dict.fromkeys(chain(*records)) if name.rpartition("/")[2] not in NO_LOSSES]
    for name in names:
        values = [record.get(name, float("nan")) for record in records]
        axes.plot(steps, values, label=name, linewidth=1.8 if _is_loss(name) else 0.8)
    positive = all(record.get(name, 1.0) > 0.0 for record in records for name in names)
    axes.set(xlabel="step", ylabel="loss", yscale="log" if positive else "linear")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
