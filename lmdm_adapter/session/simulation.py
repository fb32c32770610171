"""A session against a virtual sound device and a virtual clock: everything real time does to it, deterministically."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.clock import VirtualClock
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.maker import Facts, FrameControls, Maker
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.verify import Verifier
from lmdm_adapter.spec import Sampling


@dataclass(frozen=True)
class ComputeTimes:
    """How long a block takes on a machine that is not there, as a function of its number, length and steps alone.

    `share` of a block's own length at `steps` denoise steps, in proportion for fewer; at random up to `jitter` times
    more; and every `stall_every_blocks`-th block `stall_seconds` more. Raises LmdmError for negative times.
    """

    share: float = 0.3
    jitter: float = 0.0
    stall_every_blocks: int = 0
    stall_seconds: float = 0.0
    steps: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.share, self.jitter, self.stall_every_blocks, self.stall_seconds) < 0 or self.steps < 1:
            raise LmdmError(f"Compute times are 0 or more, got {self}.")

    def seconds(self, block: int, *, block_seconds: float, steps: int) -> float:
        """Compute time of one block."""
        drawn = random.Random(f"{self.seed} {block}").random()
        seconds = self.share * block_seconds * steps / self.steps * (1.0 + self.jitter * drawn)
        stalled = self.stall_every_blocks and (block + 1) % self.stall_every_blocks == 0
        return seconds + (self.stall_seconds if stalled else 0.0)


@dataclass(frozen=True)
class ToneState:
    """Where a tone is: its next sample and block."""

    sample: int = 0
    block: int = 0


class ToneMaker:
    """A maker of steady chords, cheap and without seams: any sample is a function of its place and channel alone."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def step(
        self, state: ToneState, prompt: Controls, *, sampling: Sampling | None = None, frames: int | None = None,
        frame_controls: FrameControls | None = None,
    ) -> tuple[Audio, ToneState]:  # fmt: skip
        """The next block; what it is told changes nothing."""
        count = (frames or self.facts.block_frames) * self.facts.frame_samples
        return Audio(self.samples(state.sample, count), self.facts.sample_rate), ToneState(
            state.sample + count, state.block + 1
        )

    def samples(self, first: int, count: int) -> np.ndarray:
        """`ch s` from sample `first` on; pitches are whole numbers of Hz, so an hour is as exact as a second."""
        seconds = ((first + np.arange(count)) % self.facts.sample_rate) / self.facts.sample_rate
        rows = [sum(np.sin(2.0 * np.pi * pitch * seconds) for pitch in (110 + 3 * channel, 165 + 5 * channel))
                for channel in range(self.facts.channels)]  # fmt: skip
        return (0.25 * np.stack(rows)).astype(np.float32)

    def recache(self, state: ToneState) -> ToneState:
        """A tone has no context."""
        return state

    def forget(self, state: ToneState, blocks: int) -> ToneState:
        """A tone has no context."""
        return state

    def rewind(self, state: ToneState, blocks: int) -> ToneState:
        """Back by so many blocks of usual length. Raises LmdmError for more than were played."""
        if blocks > state.block:
            raise LmdmError(f"This tone can be rewound by 0 to {state.block} blocks, got {blocks}.")
        length = self.facts.block_frames * self.facts.frame_samples
        return ToneState(max(0, state.sample - blocks * length), state.block - blocks)


class Timed:
    """A maker that takes its time: the virtual clock runs while it computes, and the device plays meanwhile."""

    def __init__(self, maker: Maker, facts: Facts, clock: VirtualClock, times: ComputeTimes) -> None:
        self._maker, self._facts, self._clock, self._times, self._block = maker, facts, clock, times, 0
        self.recache, self.forget, self.rewind = maker.recache, maker.forget, maker.rewind

    def step(
        self, state: Any, prompt: Controls, *, sampling: Sampling | None = None, frames: int | None = None,
        frame_controls: FrameControls | None = None,
    ) -> tuple[Audio, Any]:  # fmt: skip
        """One block of the maker, after its compute time."""
        length = (frames or self._facts.block_frames) / self._facts.frame_rate_hz
        steps = (sampling or self._facts.sampling).steps
        self._clock.wait(self._times.seconds(self._block, block_seconds=length, steps=steps))
        self._block += 1
        extra = {} if frame_controls is None else {"frame_controls": frame_controls}
        return self._maker.step(state, prompt, sampling=sampling, frames=frames, **extra)


@dataclass(frozen=True)
class Device:
    """A virtual sound device: the lengths of its chunks in turn, and what it hears, if it has an input.

    `hears(first, count)` is `s ch`, or None where the input stands still. Raises LmdmError for chunks of no length.
    """

    chunk_samples: Sequence[int] = (512,)
    hears: Callable[[int, int], np.ndarray | None] | None = None
    source: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.chunk_samples or min(self.chunk_samples) < 1:
            raise LmdmError(f"A device plays chunks of 1 sample or more, got {self.chunk_samples}.")


class Simulation:
    """One session in virtual time. `hear(samples, records)` gets each chunk that was played and the log so far.

    All checks of `verify` run along, so the mixer has to be neutral for `verdict` to mean anything.
    """

    def __init__(
        self, maker: Maker, facts: Facts, *, state: Any, times: ComputeTimes | None = None,
        device: Device | None = None, mode: Mode | None = None, plan: SessionPlan | None = None,
        values: Mapping[str, Any] | None = None,
        tap: Callable[[str, np.ndarray], None] | None = None,
        hear: Callable[[np.ndarray, list[dict[str, Any]]], None] | None = None,
    ) -> None:  # fmt: skip
        self.clock, self.device, plan = VirtualClock(), device or Device(), plan or SessionPlan()
        self._tap, self._hear = tap or (lambda name, samples: None), hear or (lambda samples, records: None)
        self.engine = Engine(
            Timed(maker, facts, self.clock, times or ComputeTimes()), facts, mode or StreamMode(), state=state,
            plan=plan, values=values, clock=self.clock, source=self.device.source, tap=self._tapped,
        )  # fmt: skip
        ring, history = self.engine.player.ring, plan.history_samples(facts.sample_rate)
        self.verifier = Verifier(
            channels=facts.channels, sample_rate=facts.sample_rate, kept_samples=ring.capacity_samples + history,
            fade_samples=self.engine.player.fade_samples,
        )  # fmt: skip
        self._pulls = 0
        self._out = np.zeros((max(self.device.chunk_samples), facts.channels), np.float32)
        self.clock.call_at(0.0, self._pull)

    def turn_at(self, seconds: float, name: str, value: Any) -> None:
        """Turn a parameter when the clock is there, as a hand would: its stamp is what is played then."""
        self.clock.call_at(seconds, lambda: self.engine.turn(name, value) and None)

    def run(self, seconds: float) -> None:
        """Let so much virtual time pass; a block that is being made is finished. Raises what `produce` does."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            if not self.engine.produce():
                self.clock.wait(min(self.clock.next_call() or until, until) - self.clock.now())

    def _pull(self) -> None:
        out = self._out[: self.device.chunk_samples[self._pulls % len(self.device.chunk_samples)]]
        first = self.engine.player.sample
        heard = None if self.device.hears is None else self.device.hears(first, len(out))
        if heard is not None:
            self.engine.hear(heard)
        self.engine.pull(out)
        records = self.engine.noted()
        for record in records:
            self.verifier.note(record)
        self.verifier.played(out)
        self._hear(out, records)
        self._pulls += 1
        self.clock.call_at(max(self.clock.now(), self.engine.player.sample / self.engine.facts.sample_rate), self._pull)

    def _tapped(self, name: str, samples: np.ndarray) -> None:
        if name == "generated":
            self.verifier.generated(samples)
        self._tap(name, samples)
