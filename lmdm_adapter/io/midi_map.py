"""Which MIDI control turns which parameter, as values: learning, ranges, and a JSON file of it all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.io.atomic import write_json
from lmdm_adapter.session.parameters import Parameter, parameter_named

MOST_CONTROL = 127
PRESSED = 64
"""From this value on a pedal or button counts as pressed."""

# What a knob's whole way is good for, where the parameter's own range is too wide for 128 steps.
KNOB_RANGES: Mapping[str, tuple[float, float]] = {
    "gain_db": (-60.0, 6.0), "guidance": (1.0, 10.0), "steps": (1, 32), "tempo_bpm": (60.0, 187.0),
    "delay_seconds": (0.05, 2.0), "beats_per_bar": (2, 8), "rewind_blocks": (1, 1),
    "forget_blocks": (1, 1),
}  # fmt: skip
NO_KNOB = ("prompt", "negative_prompt", "block_beats", "beat_at_seconds")


@dataclass(frozen=True)
class Binding:
    """Control `control` of `channel` (both from 0) turns `parameter` between `low` and `high`; None: a fitting range.

    Raises LmdmError for a control that MIDI does not have, a parameter that no knob turns, or a range beyond its own.
    """

    channel: int
    control: int
    parameter: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.channel <= 15 and 0 <= self.control <= MOST_CONTROL):
            raise LmdmError(f"MIDI has channels 0 to 15 and controls 0 to 127, got {self.channel} and {self.control}.")
        parameter = require_knob(self.parameter)
        if parameter.kind in ("number", "whole"):
            for value in self.range:
                parameter.checked(value)

    @property
    def range(self) -> tuple[float, float]:
        """The values at the two ends of the knob's way."""
        parameter = parameter_named(self.parameter)
        low, high = KNOB_RANGES.get(self.parameter, (parameter.low, parameter.high))
        return (low if self.low is None else self.low, high if self.high is None else self.high)

    def value(self, position: int) -> Any:
        """The parameter's value for a knob at `position`, 0 to 127."""
        parameter = parameter_named(self.parameter)
        if parameter.kind == "switch":
            return position >= PRESSED
        if parameter.kind == "choice":
            return parameter.choices[position * len(parameter.choices) // (MOST_CONTROL + 1)]
        low, high = self.range
        value = low + (high - low) * position / MOST_CONTROL
        return round(value) if parameter.kind == "whole" else value


def require_knob(name: str) -> Parameter:
    """The parameter of that name, if a knob can turn it. Raises LmdmError otherwise."""
    parameter = parameter_named(name)
    if name in NO_KNOB:
        raise LmdmError(f"{name} cannot be turned by a MIDI knob; use OSC for it.")
    return parameter


@dataclass(frozen=True)
class MidiMap:
    """All bindings; one control turns one parameter, and one parameter is turned by one control."""

    bindings: tuple[Binding, ...] = ()

    def bound(self, channel: int, control: int) -> Binding | None:
        """The binding of a control, if it has one."""
        return next((one for one in self.bindings if (one.channel, one.control) == (channel, control)), None)

    def learnt(self, channel: int, control: int, parameter: str) -> MidiMap:
        """The map in which that control turns `parameter`; what either was bound to before is gone."""
        fresh = Binding(channel, control, parameter)
        kept = [one for one in self.bindings
                if (one.channel, one.control) != (channel, control) and one.parameter != parameter]  # fmt: skip
        return MidiMap((*kept, fresh))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all. Raises LmdmError where it cannot be written."""
        write_json(path, asdict(self))


def read_map(path: str | os.PathLike[str]) -> MidiMap:
    """Read a map; a file that is not there yet is an empty one. Raises LmdmError for what is no map."""
    try:
        values = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return MidiMap()
    except (OSError, ValueError) as error:
        raise LmdmError(f"Cannot read the MIDI map {path}: {getattr(error, 'strerror', None) or error}.") from None
    if not isinstance(values, dict) or not isinstance(values.get("bindings"), list):
        raise LmdmError(f"{path} is no MIDI map; it needs a list of bindings.")
    return from_json(MidiMap, {**values, "bindings": tuple(from_json(Binding, one) for one in values["bindings"])})
