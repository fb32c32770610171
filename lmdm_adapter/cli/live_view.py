"""The instrument panel of `lmdm live`: a picture of one moment, from values alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lmdm_adapter.io.meters import FLOOR_DB
from lmdm_adapter.session.budget import Budget
from lmdm_adapter.session.parameters import PARAMETERS

BAR_CELLS = 30
LOUD_DB, CLIPPED_DB = -6.0, -0.1


@dataclass(frozen=True)
class View:
    """What the panel shows. Levels are in dB by channel, times in seconds; `steps` None means as asked.

    `memory_mib` is that of the graphics card where the model is on one, else of the process.
    """

    title: str
    seconds: float
    doing: str
    output_db: Sequence[float]
    source_db: Sequence[float]
    real_time_factor: float
    ready_seconds: float
    lead_seconds: float
    holds: int
    held_seconds: float
    device_misses: int
    steps: int | None
    values: Mapping[str, Any]
    budget: Budget
    memory_mib: float | None = None
    beat: float | None = None
    doors: str = ""
    last: str = ""


def panel(view: View) -> RenderableType:
    """The whole panel."""
    left = Table.grid(padding=(0, 1))
    for name, shown in (*_levels(view), *_figures(view)):
        left.add_row(Text(name, "dim"), shown)
    both = Table.grid(padding=(0, 3))
    both.add_row(left, Group(_parameters(view.values), Text(str(view.budget), "dim")))
    rows: list[RenderableType] = [both]
    for text in (view.doors, view.last):
        if text:
            rows.append(Text(text, no_wrap=True, overflow="ellipsis"))
    return Panel(Group(*rows), title=Text(view.title), subtitle="Ctrl-C fades out", title_align="left")


def level_bar(level_db: float) -> Text:
    """A level as a bar, with its number."""
    share = (max(FLOOR_DB / 1.5, min(0.0, level_db)) - FLOOR_DB / 1.5) / (-FLOOR_DB / 1.5)
    filled = round(share * BAR_CELLS)
    style = "red" if level_db >= CLIPPED_DB else "yellow" if level_db >= LOUD_DB else "green"
    text = Text("█" * filled, style)
    return text.append("·" * (BAR_CELLS - filled), "dim").append(f" {level_db:6.1f} dB")


def _levels(view: View) -> list[tuple[str, RenderableType]]:
    outs = [(f"out {index}", level_bar(level)) for index, level in enumerate(view.output_db, start=1)]
    return [*outs, *((f"in {index}", level_bar(level)) for index, level in enumerate(view.source_db, start=1))]


def _figures(view: View) -> list[tuple[str, RenderableType]]:
    late = "red" if view.real_time_factor >= 1.0 else "green"
    missed = "red" if view.holds or view.device_misses else "green"
    governor = "as asked" if view.steps is None else f"at most {view.steps} steps"
    return [
        ("time", Text(f"{int(view.seconds) // 60}:{view.seconds % 60:04.1f}  {view.doing}")),
        ("beat", Text("no tempo" if view.beat is None else f"{int(view.beat) + 1} of the bar")),
        ("real-time factor", Text(f"{view.real_time_factor:.2f}", late)),
        ("ready", Text(f"{view.ready_seconds:.2f} s of a lead of {view.lead_seconds:.2f} s")),
        ("underruns", Text(f"{view.holds} ({view.held_seconds:.1f} s held), device {view.device_misses}", missed)),
        ("governor", Text(governor)),
        ("memory", Text("unknown" if view.memory_mib is None else f"{view.memory_mib:.0f} MiB")),
    ]


def _parameters(values: Mapping[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 1))
    for parameter in PARAMETERS:
        if not parameter.momentary and (values[parameter.name] != parameter.default or parameter.name in SHOWN):
            shown = Text(spoken(values[parameter.name], parameter.unit), no_wrap=True, overflow="ellipsis")
            grid.add_row(Text(parameter.name, "dim"), shown)
    return grid


SHOWN = ("prompt", "guidance", "steps", "gain_db", "tempo_bpm")


def spoken(value: Any, unit: str = "") -> str:
    """A parameter's value for people."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return " + ".join(text if weight == 1.0 else f"{weight:g} {text}" for text, weight in value) or "none"
    if isinstance(value, float):
        return f"{value:.4g} {unit}".strip()
    return f"{value} {unit}".strip()


def show_devices() -> None:
    """Print the sound devices as a table. Raises LmdmError where there can be none."""
    from lmdm_adapter.cli.screen import say, table
    from lmdm_adapter.io.devices import default_index, sound_library, sound_ports

    library = sound_library()
    ports = sound_ports(library)
    if not ports:
        say("There is no sound device here; connect one, or start a sound server such as JACK.")
        return
    marks = {default_index(library, "output"): "output", default_index(library, "input"): "input"}
    if default_index(library, "output") == default_index(library, "input"):
        marks = {default_index(library, "output"): "both"}
    heads = ("number", "name", "system", "in", "out", "Hz", "default")
    table("Sound devices", heads, [
        (str(port.index), port.name, port.system, str(port.inputs), str(port.outputs), str(port.sample_rate),
         marks.get(port.index, ""))
        for port in ports
    ])  # fmt: skip
