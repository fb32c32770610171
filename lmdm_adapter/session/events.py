"""The one queue of everything that is turned while the music plays, stamped on the session's sample clock."""

from __future__ import annotations

import heapq
import operator
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.grid import Quantum
from lmdm_adapter.session.parameters import Layer, parameter_named

MOST_WAITING = 10_000


@dataclass(frozen=True, order=True)
class Turn:
    """One parameter turned: `stamp` is the sample of the session it was meant for, `number` orders equal stamps.

    Of the model layer, `quantum` says that it waits from there on for a border on a beat or a bar.
    """

    stamp: int
    number: int
    name: str
    value: Any
    meant_for: int | None = None
    quantum: Quantum = "now"

    @property
    def meant(self) -> int:
        """The sample it was posted for, also while it has to wait for longer."""
        return self.stamp if self.meant_for is None else self.meant_for

    def record(self, effect: int) -> dict[str, Any]:
        """What the log keeps: the stamp, and the sample at which it took `effect`."""
        return {"kind": "event", "number": self.number, "name": self.name, "value": self.value, "stamp": self.meant,
                "effect": effect}  # fmt: skip


class EventQueue:
    """Any thread may `post`; each layer has one reader, which never waits for a lock.

    A reader sorts what has come by stamp, then by order of posting. At most `MOST_WAITING` turns wait per layer.
    """

    def __init__(self) -> None:
        self._lock, self._posted = threading.Lock(), 0
        # Appending to a deque and taking from it are atomic, so the readers need no lock.
        self._inbox: dict[Layer, deque[Turn]] = {"model": deque(), "mix": deque()}
        self._waiting: dict[Layer, list[Turn]] = {"model": [], "mix": []}

    def post(self, name: str, value: Any, *, stamp: int, quantum: Quantum = "now") -> Turn:
        """Queue one turn for sample `stamp` of the session; one that has passed means as soon as possible.

        Raises LmdmError for an unknown name, a value that does not fit, a negative stamp, or a full queue.
        """
        parameter = parameter_named(name)
        value, stamp = parameter.checked(value), _sample(stamp)
        with self._lock:
            if len(self._inbox[parameter.layer]) + len(self._waiting[parameter.layer]) >= MOST_WAITING:
                raise LmdmError(
                    f"{MOST_WAITING} events wait already; {name} was not taken. Send fewer, or nearer ones."
                )
            turn = Turn(stamp, self._posted, name, value, quantum=quantum)
            self._posted += 1
            self._inbox[parameter.layer].append(turn)
        return turn

    def due(self, layer: Layer, sample: int) -> Turn | None:
        """Take the next turn stamped `sample` or before, or None. For the layer's one reader."""
        waiting = self._sorted(layer)
        return heapq.heappop(waiting) if waiting and waiting[0].stamp <= sample else None

    def put_back(self, turn: Turn, sample: int) -> None:
        """Let a turn that was taken wait until `sample`; its stamp for the log stays. For the layer's one reader."""
        layer = parameter_named(turn.name).layer
        heapq.heappush(self._sorted(layer), replace(turn, stamp=sample, meant_for=turn.meant))

    def next_stamp(self, layer: Layer) -> int | None:
        """The stamp of the next turn that waits. For the layer's one reader."""
        waiting = self._sorted(layer)
        return waiting[0].stamp if waiting else None

    def _sorted(self, layer: Layer) -> list[Turn]:
        inbox, waiting = self._inbox[layer], self._waiting[layer]
        while inbox:
            heapq.heappush(waiting, inbox.popleft())
        return waiting


def _sample(stamp: Any) -> int:
    """A stamp as a plain number, which the log can write, also where it came from numpy."""
    try:
        sample = operator.index(stamp)
    except TypeError:
        sample = -1
    if sample < 0:
        raise LmdmError(f"A stamp is a sample of the session, a whole number, 0 or later, got {stamp!r}.")
    return sample
