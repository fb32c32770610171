"""A session played again from its log: the same samples bit for bit, as fast as the model is, or with finer blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.events import EventQueue
from lmdm_adapter.session.heard_again import Deaf, HeardAgain, Recorded, Repeated, Samples
from lmdm_adapter.session.looped_sound import LoopedSound
from lmdm_adapter.session.maker import Facts, Maker
from lmdm_adapter.session.mixer import Mixer
from lmdm_adapter.session.modes import Mode, StreamMode
from lmdm_adapter.session.parameters import BY_NAME
from lmdm_adapter.session.performer import Performer
from lmdm_adapter.session.session_log import SessionLog
from lmdm_adapter.session.timeline import Timeline
from lmdm_adapter.session.told_again import ToldAgain, told_in

PIECE_SAMPLES = 65_536


class Replay:
    """What a log says was played, made anew by `maker` from the session's first `state`.

    That is `live.start(log.header["seed"])` unless the session was primed. Blocks get the denoise steps that they had,
    or `steps`, for a finer rendering. Holds, fades and the mixer's turns come from the log, never from a clock. `mode`
    is the session's, fresh; `heard` and `dry` are the recorded input (`input.wav` and `dry.wav`, `s ch`) of a session
    that had one. `sound` in their place was its input from sample 0 on; then what was fed back is made anew too, by
    `played` alone. A log that says what each block was told needs no input at all, but for the dry sound.
    Raises LmdmError for a log of another model or mode.
    """

    def __init__(
        self, maker: Maker, facts: Facts, log: SessionLog, *, state: Any, mode: Mode | None = None,
        steps: int | None = None, heard: np.ndarray | None = None, dry: np.ndarray | None = None,
        sound: LoopedSound | None = None,
    ) -> None:  # fmt: skip
        self._log, self._mode, self._steps = log, mode or StreamMode(), steps
        _require_same(log, facts, self._mode)
        self._heard_samples = 0
        if (told := told_in(log.of("block"))) is not None:
            self._mode = ToldAgain(self._mode, told)
        self._heard = Deaf() if told is not None else _heard_again(heard, sound, feeds_back=self._mode.feeds_back)
        self._dry = sound.at if sound is not None else _silent_after(dry, facts.channels)
        self._performer = Performer(maker, facts, self._mode, state=state, values=log.header["model_values"])
        self._facts = facts

    def blocks(self) -> Iterator[np.ndarray]:
        """The generated samples, `s ch`, block by block."""
        turns = self._model_turns()
        turn = next(turns, None)
        for cue in self._log.cues:
            while turn is not None and turn["frame"] <= cue.event.frame:
                self._mode.turn(turn["name"], turn["value"])
                turn = next(turns, None)
            self._hear(cue.heard_samples)
            yield self._performer.perform(cue if self._steps is None else replace(cue, steps=self._steps)).samples

    def played(self) -> Iterator[np.ndarray]:
        """The played samples, `s ch`, piece by piece: as recorded, to the last bit."""
        timeline = self._timeline()
        send = None if not self._mode.feeds_back else self._heard.send
        mixer = _LoggedMixer(self._log, self._facts, self._dry, send=send)
        # What was played before a block may have been fed back into what the block was told.
        yield from self._ready(timeline, mixer)
        for block in self.blocks():
            timeline.generated(block)
            yield from self._ready(timeline, mixer)

    def _ready(self, timeline: Timeline, mixer: _LoggedMixer) -> Iterator[np.ndarray]:
        """What can be played now. Silence and loops need no music, so they go no further than the log knows."""
        end = self._log.of("end")
        while end or timeline.doing == "music" or timeline.next_change() is not None:
            left = end[0]["sample"] - timeline.sample if end else PIECE_SAMPLES
            piece = timeline.rendered(min(PIECE_SAMPLES, left))
            if not len(piece):
                return
            yield mixer.mixed(piece, timeline.sample - len(piece))

    def _hear(self, until: int) -> None:
        if (count := until - self._heard_samples) > 0:
            self._mode.hear(self._heard.at(self._heard_samples, count))
            self._heard_samples = until

    def _model_turns(self) -> Iterator[Any]:
        return (record for record in self._log.of("event") if BY_NAME[record["name"]].layer == "model")

    def _timeline(self) -> Timeline:
        longest = max((record["samples"] for record in self._log.of("block")), default=1)
        kept = self._log.header["history_samples"] + 2 * self._log.header["fade_samples"] + 2 * longest + PIECE_SAMPLES
        timeline = Timeline(channels=self._facts.channels, kept_samples=kept)
        for record in self._log.records:
            timeline.note(record)
        return timeline


class _LoggedMixer:
    """The mixer of a session, with its turns at the samples at which they took effect."""

    def __init__(
        self, log: SessionLog, facts: Facts, dry: Samples, *, send: Callable[[np.ndarray], None] | None
    ) -> None:  # fmt: skip
        self._events, self._dry = EventQueue(), dry
        self._turns = deque(record for record in log.of("event") if BY_NAME[record["name"]].layer == "mix")
        self._mixer = Mixer(
            self._events, channels=facts.channels, sample_rate=facts.sample_rate, announce=lambda record: None,
            values=log.header["mix_values"], send=send,
        )  # fmt: skip

    def mixed(self, piece: np.ndarray, first: int) -> np.ndarray:
        """`piece` (`s ch`), mixed in place; it begins at sample `first` of the session."""
        while self._turns and self._turns[0]["effect"] < first + len(piece):
            turn = self._turns.popleft()
            self._events.post(turn["name"], turn["value"], stamp=turn["effect"])
        self._mixer.process(piece, self._dry(first, len(piece)), first_sample=first)
        return piece


def _heard_again(heard: np.ndarray | None, sound: LoopedSound | None, *, feeds_back: bool) -> HeardAgain:
    if sound is not None:
        return Repeated(sound, feeds_back=feeds_back)
    return Recorded(heard)


def _silent_after(dry: np.ndarray | None, channels: int) -> Samples:
    """The recorded dry sound, and silence where it has ended or there was none."""

    def at(first_sample: int, count: int) -> np.ndarray:
        samples = np.zeros((count, channels), np.float32)
        if dry is not None:
            there = dry[first_sample : first_sample + count]
            samples[: len(there)] = there
        return samples

    return at


def _require_same(log: SessionLog, facts: Facts, mode: Mode) -> None:
    if log.facts != facts:
        differing = [name for name, value in vars(log.facts).items() if value != getattr(facts, name)]
        raise LmdmError(
            f"This session was played by another model ({', '.join(differing)} differ); load that one, in its --dtype."
        )
    if log.header["mode"] != mode.name:
        raise LmdmError(f"This is a session of the mode {log.header['mode']!r}, not {mode.name!r}.")
