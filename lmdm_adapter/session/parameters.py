"""What a player may turn while the music plays: one declared table for events, and later for OSC, MIDI and pages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.curves import Curves

Layer = Literal["model", "mix"]
Kind = Literal["number", "whole", "switch", "choice", "text", "prompts", "curves"]


@dataclass(frozen=True)
class Parameter:
    """One knob. `layer` says when it takes effect: "model" at block borders, "mix" at its very sample.

    A `momentary` one acts once and goes back to its default. `optional` ones may be None.
    """

    name: str
    layer: Layer
    kind: Kind
    default: Any
    help: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    choices: tuple[str, ...] = ()
    momentary: bool = False
    optional: bool = False

    def checked(self, value: Any) -> Any:
        """`value` in the parameter's own type. Raises LmdmError, with what would be right, for anything else."""
        if value is None and self.optional:
            return None
        return _CHECKS[self.kind](self, value)

    @property
    def spoken_range(self) -> str:
        """The values that fit, for people."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind in ("number", "whole"):
            noun = "a number" if self.kind == "number" else "a whole number"
            return f"{noun} from {self.low:g} to {self.high:g}{' ' + self.unit if self.unit else ''}"
        words = {"switch": "true or false", "text": "text", "prompts": "text, or pairs of a text and its weight",
                 "curves": "a drawing"}  # fmt: skip
        return words[self.kind]

    def refusal(self, value: Any) -> LmdmError:
        """The sentence for a value that does not fit."""
        return LmdmError(f"{self.name} must be {self.spoken_range}, got {value!r}.")


def _number(parameter: Parameter, value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool) or not parameter.low <= value <= parameter.high:
        raise parameter.refusal(value)
    return float(value)


def _whole(parameter: Parameter, value: Any) -> int:
    if _number(parameter, value) != int(value):
        raise parameter.refusal(value)
    return int(value)


def _switch(parameter: Parameter, value: Any) -> bool:
    if not isinstance(value, bool):
        raise parameter.refusal(value)
    return value


def _choice(parameter: Parameter, value: Any) -> str:
    if value not in parameter.choices:
        raise parameter.refusal(value)
    return value


def _text(parameter: Parameter, value: Any) -> str:
    if not isinstance(value, str):
        raise parameter.refusal(value)
    return value


def _prompts(parameter: Parameter, value: Any) -> tuple[tuple[str, float], ...]:
    if isinstance(value, str):
        return ((value, 1.0),)
    if not isinstance(value, (list, tuple)):
        raise parameter.refusal(value)
    prompts = Controls(prompts=tuple(tuple(pair) if isinstance(pair, list) else pair for pair in value)).prompts
    return tuple((text, float(weight)) for text, weight in prompts)


def _curves(parameter: Parameter, value: Any) -> dict[str, Any]:
    """As JSON, for the log."""
    return Curves.from_json(value).to_json()


_CHECKS = {
    "number": _number, "whole": _whole, "switch": _switch, "choice": _choice, "text": _text, "prompts": _prompts,
    "curves": _curves,
}  # fmt: skip

LEAST_BPM, MOST_BPM = 20.0, 400.0
LONGEST_DELAY_SECONDS = 10.0
SILENCE_DB = -120.0

# fmt: off
PARAMETERS: tuple[Parameter, ...] = (
    Parameter("prompt", "model", "prompts", (("", 1.0),), "What is played: a text, or a weighted mix of texts."),
    Parameter("negative_prompt", "model", "text", None, "What guidance leads away from.", optional=True),
    Parameter("guidance", "model", "number", 1.0, "How strongly the prompt is followed; 1 is plain.", 0, 100),
    Parameter("guided_controls", "model", "switch", False,
              "Guidance leads towards sketch and accompaniment too: they are followed closely."),
    Parameter("steps", "model", "whole", 8, "Denoise steps of a block: more is finer and slower.", 1, 1000),
    Parameter("policy", "model", "choice", "keep", "What a new prompt does to the context: kept, or heard anew.",
              choices=("keep", "recache")),
    Parameter("recache", "model", "switch", False, "Hear the context anew at the next border.", momentary=True),
    Parameter("forget_blocks", "model", "whole", 0, "Forget that many of the oldest blocks of the context.", 0, 4096,
              "blocks", momentary=True),
    Parameter("rewind_blocks", "model", "whole", 0, "Go back that many blocks and play on from there.", 0, 256,
              "blocks", momentary=True),
    Parameter("accompaniment_gain", "model", "number", 1.0, "How much the other player is listened to.", 0, 4),
    Parameter("harmony_gain", "model", "number", 1.0, "How much of that is the other player's harmony.", 0, 4),
    Parameter("sketch_gain", "model", "number", 1.0, "How much the sketch is followed.", 0, 4),
    Parameter("loudness_gain", "model", "number", 1.0, "How much of it the sketch's loudness is followed.", 0, 4),
    Parameter("brightness_gain", "model", "number", 1.0, "How much of it the sketch's brightness is followed.", 0, 4),
    Parameter("melody_gain", "model", "number", 1.0, "How much of it the sketch's melody is followed.", 0, 4),
    Parameter("rhythm_gain", "model", "number", 1.0, "How much of it the sketch's rhythm is followed.", 0, 4),
    Parameter("tightness", "model", "number", 1.0, "How exactly the sketch is followed: 0 loose, 1 exact.", 0, 1),
    Parameter("answer_seconds", "model", "number", None,
              "How much later a generative delay answers; none leaves it as it began.", 0.05, LONGEST_DELAY_SECONDS,
              "s", optional=True),
    Parameter("freeze", "model", "switch", False, "Keep playing from what was heard last; hear nothing new."),
    Parameter("tempo_bpm", "model", "number", None, "The grid's tempo; none means no grid.", LEAST_BPM, MOST_BPM,
              "BPM", optional=True),
    Parameter("beats_per_bar", "model", "whole", 4, "Beats of a bar.", 1, 16, "beats"),
    Parameter("block_beats", "model", "number", None, "Length of a block on the grid; none picks what is nearest.",
              1 / 16, 64, "beats", optional=True),
    Parameter("beat_at_seconds", "model", "number", None, "A time of the session at which a beat falls.", 0, 1e9, "s",
              optional=True),
    Parameter("gain_db", "mix", "number", 0.0, "Loudness of what is played; -120 is silence.", SILENCE_DB, 12, "dB"),
    Parameter("mix", "mix", "number", 1.0, "From the live input alone (0) to the model alone (1).", 0, 1),
    Parameter("delay_seconds", "mix", "number", 0.5, "Distance of the echoes.", 0.001, LONGEST_DELAY_SECONDS, "s"),
    Parameter("feedback", "mix", "number", 0.0, "How much of an echo comes back; 0 is no echo.", 0, 0.98),
)
# fmt: on
CURVES = Parameter("curves", "model", "curves", None, "What a drawn sketch follows; none leaves it as it began.",
                   optional=True)  # fmt: skip
"""A knob for pages alone: nobody draws by OSC or MIDI."""
BY_NAME = {parameter.name: parameter for parameter in (*PARAMETERS, CURVES)}


def parameter_named(name: str) -> Parameter:
    """The parameter of that name. Raises LmdmError for a name that is none."""
    if name not in BY_NAME:
        raise LmdmError(f"There is no parameter {name!r}; there are {', '.join(BY_NAME)}.")
    return BY_NAME[name]


def values_of(layer: Layer, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of all parameters of a layer: the defaults, and those of `given` that are of this layer, checked.

    Raises LmdmError for names and values that do not exist.
    """
    checked = {name: parameter_named(name).checked(value) for name, value in given.items()}
    return {p.name: checked.get(p.name, p.default) for p in BY_NAME.values() if p.layer == layer}
