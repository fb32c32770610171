"""One block: what decides it (a cue), and playing it. Live and in a replay this is the same code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.session.maker import Facts, FrameControls, Maker
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.parameters import BY_NAME, values_of
from lmdm_adapter.session.take import Event
from lmdm_adapter.spec import Sampling

SPLICE_SECONDS = 0.005
TOLD = ("prompt", "negative_prompt", "guidance")
SAMPLED = ("steps", "guidance", "guided_controls")
"""Parameters under which the context was heard."""


@dataclass(frozen=True)
class Cue:
    """All that decides one block: the event of a take, its length, where it lies, and the denoise steps it gets.

    `event.frame` is its first frame of the music, `clock_frame` that of the session's clock, `heard_samples` how much
    of the live input was known. `steps` may be fewer than the event's sampling asks for: the governor's doing.
    """

    event: Event
    frames: int
    clock_frame: int
    steps: int
    heard_samples: int = 0
    rewind_blocks: int = 0

    @property
    def sampling(self) -> Sampling:
        """How the block is denoised."""
        assert self.event.sampling is not None, "a session's events carry their sampling"
        return replace(self.event.sampling, steps=self.steps)

    def to_json(self) -> dict[str, Any]:
        """For the log."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Cue:
        """Read a cue back. Raises LmdmError for what is none."""
        return from_json(Cue, {**values, "event": Event.from_json(values.get("event", {}))})


class Made(NamedTuple):
    """One block's audio `s ch`, the sentence for a rewind that was refused, and what the block was told."""

    samples: np.ndarray
    refused: str | None
    told: FrameControls | None


class Performer:
    """The state of a stream and the model parameters' values: it makes one block for each cue.

    Going back some blocks breaks the music; the old music goes on for 5 ms under the new, so that it does not click.
    """

    def __init__(self, maker: Maker, facts: Facts, mode: Mode, *, state: Any, values: Mapping[str, Any]) -> None:
        self.maker, self._facts, self._mode, self.state = maker, facts, mode, state
        own = {name: getattr(facts.sampling, name) for name in SAMPLED}
        self.values = values_of("model", {**own, **values})
        for name, value in self.values.items():
            mode.turn(name, value)
        self._told_anew = False
        self._bridge: np.ndarray | None = None

    @property
    def asked_steps(self) -> int:
        """Denoise steps as the player wants them."""
        return int(self.values["steps"])

    def turn(self, name: str, value: Any) -> None:
        """Set one model parameter; it counts from the next cue on. Raises LmdmError for one that the mode refuses."""
        self._mode.turn(name, value)
        self._told_anew |= name in TOLD and value != self.values[name]
        self.values[name] = value

    def cue(self, *, first_frame: int, clock_frame: int, frames: int, steps: int, heard_samples: int) -> Cue:
        """The next block's cue; what acts once has acted with it."""
        values = self.values
        anew = values["recache"] or (self._told_anew and values["policy"] == "recache")
        sampling = replace(self._facts.sampling, **{name: values[name] for name in SAMPLED})
        event = Event(
            first_frame, Controls(values["prompt"], values["negative_prompt"]), sampling,
            "recache" if anew else "keep", values["forget_blocks"],
        )  # fmt: skip
        cue = Cue(event, frames, clock_frame, steps, heard_samples, values["rewind_blocks"])
        self._told_anew = False
        self.values |= {name: BY_NAME[name].default for name in values if BY_NAME[name].momentary}
        return cue

    def perform(self, cue: Cue) -> Made:
        """Make the block. Raises LmdmError when the maker does, or when what it makes holds NaN."""
        controls = self._mode.frame_controls(cue.clock_frame, cue.frames)
        refused = self._rewound(cue, controls) if cue.rewind_blocks else None
        self.state = cue.event.applied(self.maker, self.state)
        audio, self.state = self._step(self.state, cue, controls)
        if not np.isfinite(audio.samples).all():
            raise LmdmError(
                f"The model made NaN or infinity at frame {cue.event.frame}; play in float32, or with another model."
            )
        return Made(self._spliced(np.ascontiguousarray(audio.samples.T)), refused, controls)

    def _rewound(self, cue: Cue, controls: Any) -> str | None:
        try:
            back = self.maker.rewind(self.state, cue.rewind_blocks)
        except LmdmError as error:
            return str(error)
        audio, _ = self._step(self.state, cue, controls)
        self._bridge, self.state = audio.samples.T[: max(1, round(SPLICE_SECONDS * audio.sample_rate))], back
        return None

    def _step(self, state: Any, cue: Cue, controls: Any) -> tuple[Audio, Any]:
        extra = {} if controls is None else {"frame_controls": controls}
        return self.maker.step(state, cue.event.controls, sampling=cue.sampling, frames=cue.frames, **extra)

    def _spliced(self, samples: np.ndarray) -> np.ndarray:
        """`s ch` with its start faded in over what would have come without the rewind."""
        if self._bridge is None or not len(samples):
            return samples
        count = min(len(samples), len(self._bridge))
        bridge, self._bridge = self._bridge[:count], None
        samples[:count] = bridge + (samples[:count] - bridge) * raised_cosine(count)
        return samples


def raised_cosine(samples: int) -> np.ndarray:
    """Gains `s 1` from just above 0 to just below 1; with their complements they sum to one."""
    phase = (np.arange(samples, dtype=np.float64) + 0.5) * (np.pi / samples)
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)[:, None]
