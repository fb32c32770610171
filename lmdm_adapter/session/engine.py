"""A session as a machine that can be stepped: one side makes blocks, the other plays them, a ring lies between.

`produce` is for the thread that makes music, `pull` for the device's callback, `turn` and `hear` for anyone. Nothing
here knows of threads or of the time of day: `threaded.py` runs it in real time, `simulation.py` in no time at all.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.budget import Budget
from lmdm_adapter.session.clock import Clock, SystemClock
from lmdm_adapter.session.events import EventQueue, Turn
from lmdm_adapter.session.feedback import FeedbackLoop
from lmdm_adapter.session.governor import Seen, governed
from lmdm_adapter.session.governor import start as unrestrained
from lmdm_adapter.session.grid import Quantum
from lmdm_adapter.session.live_input import LiveInput
from lmdm_adapter.session.maker import Facts, Maker
from lmdm_adapter.session.mixer import Mixer
from lmdm_adapter.session.modes import Mode
from lmdm_adapter.session.pacing import TEMPO_NAMES, Pacing
from lmdm_adapter.session.parameters import parameter_named
from lmdm_adapter.session.performer import Performer
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.session.player import WORK_SAMPLES
from lmdm_adapter.session.tempo import Beat
from lmdm_adapter.session.told_again import TOLD, told_of
from lmdm_adapter.spec import require_choice

MOST_NOTES = 20_000


class Engine:
    """One session. `values` are the parameters it begins with; `source` is the live input, if there is one.

    `tap(name, samples)` hears "played", "dry" and "input" (`s ch`), for a recorder; the first two from the callback.
    Log records gather in `notes` until the owner takes them with `noted`; of more than `MOST_NOTES` the oldest go.
    With `keeps_told` they say what each block was told, and a replay needs no sound that was heard.
    Raises LmdmError for a model whose blocks are longer than the plan allows, and for values that do not fit.
    """

    def __init__(
        self, maker: Maker, facts: Facts, mode: Mode, *, state: Any, plan: SessionPlan | None = None,
        values: Mapping[str, Any] | None = None, clock: Clock | None = None, source: tuple[int, int] | None = None,
        tap: Callable[[str, np.ndarray], None] | None = None, keeps_told: bool = False,
    ) -> None:  # fmt: skip
        self.plan, self.facts, self.mode, values = plan or SessionPlan(), facts, mode, values or {}
        self.clock, self.failure, self.blocks = clock or SystemClock(), None, 0
        self.notes: deque[dict[str, Any]] = deque(maxlen=MOST_NOTES)
        self.events = EventQueue()
        self.performer = Performer(maker, facts, mode, state=state, values=values)
        own, most = mode.longest_block_frames(facts.block_frames), self.plan.longest_frames(facts)
        self.pacing = Pacing(facts, self.performer.values, longest_block_frames=min(most, own or most))
        self.player = self.plan.player(facts, self.notes.append)
        self.loop = None if not mode.feeds_back else FeedbackLoop(
            facts.channels, facts.sample_rate, announce=self.notes.append
        )  # fmt: skip
        self.mixer = Mixer(
            self.events, channels=facts.channels, sample_rate=facts.sample_rate, announce=self.notes.append,
            values=values, send=None if self.loop is None else self.loop.send,
        )  # fmt: skip
        self.input = None if source is None else LiveInput(
            self.notes.append, sample_rate=facts.sample_rate, channels=facts.channels, source_rate=source[0],
            source_channels=source[1],
        )  # fmt: skip
        self.governed = unrestrained(self.plan.governor)
        self._tap, self._keeps_told = tap or (lambda name, samples: None), keeps_told
        self._dry = np.zeros((WORK_SAMPLES, facts.channels), np.float32)
        self._holds_seen = self._slip_samples = self._heard_samples = 0
        self._rewound = False
        self._follow_loop()

    # ---- for anyone

    def turn(self, name: str, value: Any, *, at: int | None = None, quantum: Quantum = "now") -> Turn:
        """Turn a parameter at sample `at` of the session (None: now), moved to the next beat or bar if asked.

        What the model is told counts from a border that stands for that beat or bar. Raises LmdmError for names and
        values that do not exist, and for beats where there is no grid.
        """
        require_choice("quantum", quantum, Quantum)
        stamp = self.player.sample if at is None else at
        grid = self.pacing.grid  # once: the thread that makes the music may clear the tempo meanwhile
        if quantum != "now" and grid is None:
            raise LmdmError(f"There are no {quantum}s without a tempo; set tempo_bpm first.")
        if parameter_named(name).layer == "model":
            return self.events.post(name, value, stamp=stamp, quantum=quantum)
        if grid is not None and quantum != "now":
            stamp = math.ceil(self._session_sample(grid.quantised(self._frame(stamp), quantum)))
        return self.events.post(name, value, stamp=max(0, stamp) if at is None else stamp)

    def follow(self, beat: Beat) -> None:
        """Take over a tempo that was tapped, or an external clock's; its time is in seconds of the session."""
        self.turn("tempo_bpm", beat.bpm)
        self.turn("beat_at_seconds", max(0.0, beat.beat_at_seconds))

    def hear(self, samples: np.ndarray, *, first_sample: int | None = None) -> None:
        """The next chunk of the live input, `s ch`. Raises LmdmError in a session without one."""
        if self.input is None:
            raise LmdmError("This session has no live input; begin it with the source's rate and channels.")
        self.input.hear(samples, first_sample=first_sample)

    def budget(self, *, device_seconds: float = 0.0, compute_seconds: float = 0.0) -> Budget:
        """The mode's latency, part by part, at the lead that the governor has come to."""
        # Who hears is as late as the longest blocks that its lag allows, whatever the grid is now.
        block_frames = self.mode.longest_block_frames(self.facts.block_frames) or self.pacing.longest_frames
        timing = self.facts.timing(
            device_seconds=device_seconds, compute_seconds=compute_seconds, block_frames=block_frames,
            resampling_seconds=0.0 if self.input is None else self.input.resampling_seconds,
        )  # fmt: skip
        return self.mode.budget(timing, lead_seconds=self.governed.lead_seconds)

    @property
    def beat(self) -> float | None:
        """Where in its bar the session is, in beats from 0 on, as far as it was pulled; None without a tempo."""
        grid = self.pacing.grid
        if grid is None:
            return None
        return (self._frame(self.player.sample) - grid.origin_frames) / grid.beat_frames % grid.beats_per_bar

    def stop(self) -> None:
        """Fade out now."""
        self.player.stop()

    def noted(self) -> list[dict[str, Any]]:
        """Take the log records that have gathered, oldest first. For one thread."""
        return [self.notes.popleft() for _ in range(len(self.notes))]

    # ---- for the device's callback

    def pull(self, out: np.ndarray) -> None:
        """Fill `out` (`s ch`) with what is played next. Raises LmdmError for other channels than the session's."""
        if out.ndim != 2 or out.shape[1] != self.facts.channels:
            raise LmdmError(f"The session plays {self.facts.channels} channels (s ch), got room of shape {out.shape}.")
        for start in range(0, len(out), WORK_SAMPLES):
            piece = out[start : start + WORK_SAMPLES]
            first, dry = self.player.sample, self._dry[: len(piece)]
            self.player.pull(piece)
            if self.input is not None:
                self.input.dry(dry)
                self._tap("dry", dry)
            self.mixer.process(piece, dry, first_sample=first)
            self._tap("played", piece)

    # ---- for the thread that makes music

    @property
    def ready_seconds(self) -> float:
        """How much music is made and not yet played."""
        return self.player.ring.readable_samples / self.facts.sample_rate

    @property
    def idle_seconds(self) -> float:
        """How long until the next block is wanted; 0 when it is wanted now."""
        return max(0.0, self.ready_seconds - self.governed.lead_seconds)

    @property
    def over(self) -> bool:
        """Whether no block will be made any more."""
        return self.failure is not None or self.player.doing in ("ending", "ended")

    def produce(self) -> bool:
        """Make one block if the lead asks for it; whether it did.

        What the maker raises is kept as `failure` and raised as LmdmError; the music that is ready plays out and fades.
        """
        if self.over or self.ready_seconds >= self.governed.lead_seconds:
            return False
        began = self.clock.now()
        try:
            self._listen()
            self._make(began)
        except Exception as error:
            self._fail(error)
        return True

    def _make(self, began: float) -> None:
        """One block, since `began`: listening is part of its compute."""
        self._turn_model()
        frames, asked = self.pacing.next_frames(), self.performer.asked_steps
        border = self._session_sample(self.pacing.border_frame)
        cue = self.performer.cue(
            first_frame=self.pacing.border_frame, clock_frame=round(border / self.facts.frame_samples), frames=frames,
            steps=min(asked, self.governed.steps or asked),
            heard_samples=self._heard_samples,
        )  # fmt: skip
        made = self.performer.perform(cue)
        compute = self._compute_seconds(began)
        if made.refused is not None:
            self.notes.append({"kind": "refused", "what": "rewind_blocks", "why": made.refused})
        margin, waiting = self.ready_seconds, self.player.doing == "waiting"
        # First the record, so that no sample is ever played of a block that the log does not know.
        self.notes.append({"kind": "block", "index": self.blocks, "cue": cue, "samples": len(made.samples),
                           "compute_seconds": compute, "margin_seconds": margin,
                           **({TOLD: told_of(made.told)} if self._keeps_told else {})})  # fmt: skip
        self._push(made.samples, frames, rewound=cue.rewind_blocks > 0 and made.refused is None)
        if not waiting:
            block_seconds = frames / self.facts.frame_rate_hz
            self._govern(Seen(compute, margin, block_seconds, asked, cue.steps, self._held()))

    def _push(self, samples: np.ndarray, frames: int, *, rewound: bool) -> None:
        self._tap("generated", samples)
        if self.player.ring.write(samples) < len(samples):
            raise LmdmError(f"The ring of {self.player.ring.capacity_samples} samples is full; raise the lead's limit.")
        self._rewound |= rewound
        if self._rewound:
            # Going back to a cold start makes the decoder lag anew: the same frames come that much later.
            self._slip_samples += len(samples) - frames * self.facts.frame_samples
        self.pacing.advance(frames)
        self.blocks += 1

    def _govern(self, seen: Seen) -> None:
        self.governed, decision = governed(self.plan.governor, self.governed, seen)
        if decision is not None:
            self.notes.append({**decision.record(), "block": self.blocks - 1, "sample": self.player.sample})

    def _held(self) -> bool:
        held, self._holds_seen = self.player.holds > self._holds_seen, self.player.holds
        return held

    def _turn_model(self) -> None:
        """Everything stamped at or before this border takes effect here, or waits for a beat or a bar."""
        border, early = self._session_sample(self.pacing.border_frame), []
        while (turn := self.events.due("model", math.floor(border))) is not None:
            if not self.pacing.crossed(turn.quantum, self._frame(turn.meant)):
                early.append(turn)
                continue
            if turn.name in TEMPO_NAMES and not self._turn_tempo(turn):
                continue
            try:
                self.performer.turn(turn.name, turn.value)
            except LmdmError as error:
                self._refuse(turn.name, error)
                continue
            self.notes.append({**turn.record(math.floor(border)), "frame": self.pacing.border_frame})
        for turn in early:
            self.events.put_back(turn, math.floor(border) + 1)

    def _turn_tempo(self, turn: Turn) -> bool:
        """Whether the grid can follow; if not it stays as it was, and the log says why."""
        beat_frame = None
        if turn.name == "beat_at_seconds" and turn.value is not None:
            beat_frame = self._frame(turn.value * self.facts.sample_rate)
        try:
            self.pacing.turn({**self.performer.values, turn.name: turn.value}, beat_frame=beat_frame)
        except LmdmError as error:
            self._refuse(turn.name, error)
            return False
        self._follow_loop()
        return True

    def _refuse(self, what: str, why: LmdmError) -> None:
        self.notes.append({"kind": "refused", "what": what, "why": str(why)})

    def _listen(self) -> None:
        samples = None if self.input is None else self.input.drained(played_samples=self.player.sample)
        if self.loop is not None:
            samples = self.loop.joined(samples)
        if samples is not None and len(samples):
            self._tap("input", samples)
            self._heard_samples += len(samples)
            self.mode.hear(samples)

    def _compute_seconds(self, began: float) -> float:
        compute = self.clock.now() - began
        if compute < 0.0:
            self.notes.append({"kind": "clock", "jump_seconds": compute})
        return max(0.0, compute)

    def _fail(self, error: Exception) -> None:
        sentence = str(error) if isinstance(error, LmdmError) else f"{type(error).__name__}: {error}"
        self.failure = LmdmError(f"The session ended at block {self.blocks}: {sentence}")
        self.notes.append({"kind": "failure", "why": str(self.failure)})
        self.player.run_out()
        raise self.failure from error

    # ---- places

    def _session_sample(self, frame: float) -> float:
        """Where a frame of the music lies on the session's clock, as far as is known now."""
        return frame * self.facts.frame_samples + self._slip_samples + self.player.shift_samples

    def _frame(self, sample: float) -> float:
        return (sample - self._slip_samples - self.player.shift_samples) / self.facts.frame_samples

    def _follow_loop(self) -> None:
        loop_samples = self.pacing.loop_samples(self.plan.history_samples(self.facts.sample_rate))
        self.player.loop_samples = max(2 * self.player.fade_samples, loop_samples)
