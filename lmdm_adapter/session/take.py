"""A take: everything a player did, as a value. Replayed by the same model it is the same music, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import Sampling, require_choice
from lmdm_adapter.state import StreamState

Policy = Literal["keep", "recache"]


@dataclass(frozen=True)
class Event:
    """What is turned at `frame` of the stream; it takes effect at the first block border there or after.

    `policy` says what becomes of the context, which was played under other controls: kept, or recached under the new
    ones. `forget_blocks` drops the oldest blocks of it first. Raises LmdmError for negative numbers.
    """

    frame: int
    controls: Controls
    sampling: Sampling | None = None
    policy: Policy = "keep"
    forget_blocks: int = 0

    def __post_init__(self) -> None:
        require_choice("policy", self.policy, Policy)
        if self.frame < 0 or self.forget_blocks < 0:
            raise LmdmError(f"Events lie at frame 0 or later and forget 0 or more blocks; got {self}.")

    def applied(self, live: LiveModel, state: StreamState) -> StreamState:
        """The state with this event's policy; its controls come with the next step."""
        state = live.forget(state, self.forget_blocks)
        return live.recache(state) if self.policy == "recache" else state

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Event:
        """Read an event back. Raises LmdmError for unknown keys and values of another type."""
        if not isinstance(values, Mapping):
            raise LmdmError(f"An event is a JSON object, got {values!r}.")
        built = dict(values)
        if isinstance(built.get("controls"), Mapping):
            built["controls"] = from_json(Controls, built["controls"])
        if isinstance(built.get("sampling"), Mapping):
            built["sampling"] = from_json(Sampling, built["sampling"])
        return from_json(Event, built)


@dataclass(frozen=True)
class Take:
    """A seed and timed events, the first at frame 0. `model` is the digest of the model that played it, if it is known.

    Raises LmdmError for events out of order, or none at the start.
    """

    seed: int
    events: tuple[Event, ...]
    look_ahead_frames: int | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        frames = [event.frame for event in self.events]
        if not frames or frames[0] != 0 or frames != sorted(frames):
            raise LmdmError(f"A take's events are in order and begin at frame 0; these lie at {frames}.")

    def to_json(self) -> str:
        """The take as JSON text."""
        return json.dumps(asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> Take:
        """Read a take back. Raises LmdmError for what is no take."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise LmdmError(f"The take is not valid JSON: {error}.") from None
        if isinstance(values, dict) and isinstance(values.get("events"), list):
            values["events"] = tuple(Event.from_json(event) for event in values["events"])
        return from_json(Take, values)

    def with_event(self, event: Event) -> Take:
        """The take with one more event at its end."""
        return replace(self, events=(*self.events, event))


def play(live: LiveModel, take: Take, *, state: StreamState | None = None) -> Iterator[tuple[Audio, StreamState]]:
    """Play a take endlessly: audio and the state after it, block by block; after the last event its controls stay.

    `state` goes on from a saved moment of this take, whose events until then are not applied again, instead of a cold
    start. Raises LmdmError for a take of another model.
    """
    if take.model is not None and take.model != live.digest:
        raise LmdmError("This take was played by another model (or other blocks); load that model to replay it.")
    return _played(live, take, state)


def _played(live: LiveModel, take: Take, state: StreamState | None) -> Iterator[tuple[Audio, StreamState]]:
    state = live.start(take.seed, look_ahead_frames=take.look_ahead_frames) if state is None else state
    border = state.frame_index - state.pending[-1].frames if state.block_index else -1
    done = sum(event.frame <= border for event in take.events)
    current = take.events[max(0, done - 1)]
    while True:
        while done < len(take.events) and take.events[done].frame <= state.frame_index:
            current = take.events[done]
            state = current.applied(live, state)
            done += 1
        audio, state = live.step(state, current.controls, sampling=current.sampling)
        yield audio, state
