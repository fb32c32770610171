"""What each OSC address means: pure functions from an address and its arguments to turns and replies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.board import Board
from lmdm_adapter.session.parameters import PARAMETERS, Parameter

ROOT = "/lmdm"
HELP, ERROR, TAP, LEARN = f"{ROOT}/help", f"{ROOT}/error", f"{ROOT}/tap", f"{ROOT}/midi/learn"
ENDINGS = ("beat", "bar", "none")
FLOAT32_ROUNDING = 1e-6
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


class Reply(NamedTuple):
    """One message back to the sender."""

    address: str
    arguments: tuple[Any, ...]


def address_of(parameter: Parameter) -> str:
    """The address that turns a parameter."""
    return f"{ROOT}/{parameter.name}"


def taken_arguments(parameter: Parameter) -> str:
    """What a message to the parameter's address carries, for people."""
    if parameter.kind == "prompts":
        return "a text, or texts and weights in turn"
    if parameter.kind == "switch":
        return "true or false, or 1 or 0"
    return parameter.spoken_range


def description(parameter: Parameter) -> Reply:
    """What `/lmdm/help` says of a parameter: its address, what it takes, its unit, and its help."""
    takes = taken_arguments(parameter) + (f"; {address_of(parameter)}/none clears it" if parameter.optional else "")
    return Reply(HELP, (address_of(parameter), takes, parameter.unit, parameter.help))


def value_from(parameter: Parameter, arguments: Sequence[Any]) -> Any:
    """The parameter's value that a message's arguments mean. Raises LmdmError for arguments that do not fit."""
    if parameter.kind == "prompts" and len(arguments) > 1:
        if len(arguments) % 2:
            raise LmdmError(f"{parameter.name} takes {taken_arguments(parameter)}, got {len(arguments)} arguments.")
        return parameter.checked(tuple(zip(arguments[::2], arguments[1::2], strict=True)))
    if len(arguments) != 1:
        raise LmdmError(f"{parameter.name} takes one argument, {taken_arguments(parameter)}; got {len(arguments)}.")
    return parameter.checked(_fitted(parameter, arguments[0]))


def _fitted(parameter: Parameter, value: Any) -> Any:
    """OSC has 32-bit floats, and many senders have no booleans: a value beside a bound by rounding is the bound."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if parameter.kind == "switch" and value in (0, 1):
        return bool(value)
    for bound in (parameter.low, parameter.high):
        if math.isclose(value, bound, rel_tol=FLOAT32_ROUNDING):
            return bound
    return value


class Routes:
    """All addresses of one board. `learn` begins to learn a MIDI control for a parameter and returns what to do."""

    def __init__(self, board: Board, *, learn: Callable[[str], str] | None = None) -> None:
        self._board, self._learn = board, learn

    def answer(self, address: str, arguments: Sequence[Any]) -> list[Reply]:
        """Do what a message asks; the messages to send back. Raises LmdmError for what does not fit."""
        if address in (ROOT, HELP):
            return [*map(description, PARAMETERS), *_others(self._learn is not None)]
        if address == TAP:
            self._board.tap()
            return []
        if address == LEARN:
            return [Reply(LEARN, (self._learning(arguments),))]
        name, ending = _split(address)
        return self._turn(BY_NAME[name], ending, arguments)

    def _turn(self, parameter: Parameter, ending: str, arguments: Sequence[Any]) -> list[Reply]:
        if ending == "none":
            self._board.turn(parameter.name, None)
        elif not arguments and not ending:
            return [Reply(address_of(parameter), told(self._board.value(parameter.name)))]
        else:
            quantum = ending if ending in ("beat", "bar") else "now"
            self._board.turn(parameter.name, value_from(parameter, arguments), quantum=quantum)  # type: ignore[arg-type]
        return []

    def _learning(self, arguments: Sequence[Any]) -> str:
        if self._learn is None:
            raise LmdmError("No MIDI input is open; start lmdm live with --midi-in.")
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            raise LmdmError(f"{LEARN} takes the name of one parameter, got {list(arguments)}.")
        return self._learn(arguments[0])


def told(value: Any) -> tuple[Any, ...]:
    """A value as the arguments of a reply."""
    if isinstance(value, tuple):
        return tuple(part for pair in value for part in pair)
    return (value,)


def _others(with_midi: bool) -> list[Reply]:
    """Addresses that turn no parameter."""
    rows = [
        (f"{ROOT}/NAME", "nothing", "", "Reply with the value of the parameter NAME."),
        (f"{ROOT}/NAME/beat", "as /lmdm/NAME", "", "Turn it at the next beat; needs a tempo."),
        (f"{ROOT}/NAME/bar", "as /lmdm/NAME", "", "Turn it at the next bar; needs a tempo."),
        (TAP, "nothing", "", "Tap the tempo, on the beat."),
        (HELP, "nothing", "", "Reply with this list."),
    ]
    if with_midi:
        rows.append((LEARN, "the name of a parameter", "", "Bind the next MIDI control that moves to it."))
    return [Reply(HELP, row) for row in rows]


def _split(address: str) -> tuple[str, str]:
    """The parameter's name and what follows it. Raises LmdmError for an address that is none."""
    parts = address.removeprefix(f"{ROOT}/").split("/") if address.startswith(f"{ROOT}/") else [""]
    name, ending = parts[0], parts[1] if len(parts) > 1 else ""
    if name not in BY_NAME or len(parts) > 2 or ending not in ("", *ENDINGS):
        raise LmdmError(f"There is no address {address!r}; {HELP} lists all.")
    return name, ending
