"""A voice made of a `LiveModel` alone: prompts in, music out, its states kept, gone back to and forked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.controls import Controls
from lmdm_adapter.demo.memory import memory_bytes
from lmdm_adapter.demo.voice import Chunk, Report
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.spec import Sampling
from lmdm_adapter.state import StreamState

MOMENTS = ("A", "B")
POLICIES = ("keep", "recache")
MOST_PROMPTS, MOST_LETTERS, MOST_STEPS, MOST_REWIND_BLOCKS = 8, 2000, 200, 256
MOST_TURNS = 1000
"""How many may wait for the next block, which may be long in coming: a page that does not play gets none."""


class LiveVoice:
    """One listener's stream of a model that others may be playing too: `computing` is held while it computes.

    Parameters, by name: `prompt` (a text, or pairs of a text and its weight), `negative_prompt`, `guidance`, `steps`,
    `policy` ("keep" or "recache": what a new prompt does to the context), `seed`, `freeze`, and, once each,
    `recache`, `rewind_blocks`, `keep` and `recall` (a moment, "A" or "B").
    Raises LmdmError for values that do not fit.
    """

    def __init__(
        self, live: LiveModel, *, values: Mapping[str, Any] | None = None, computing: threading.Lock | None = None,
        look_ahead_frames: int | None = None, origin: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._live, self._computing = live, computing or threading.Lock()
        codec = live.codec
        self.sample_rate, self.channels = codec.sample_rate, codec.channels
        self.block_seconds = live.spec.block_frames / codec.frame_rate_hz
        own = {"prompt": (("", 1.0),), "negative_prompt": None, "policy": "keep", "freeze": False, "seed": 0}
        self._values = {**own, "steps": live.sampling.steps, "guidance": live.sampling.guidance}
        self._turns: list[tuple[str, Any]] = []
        self._turned = 0
        self._guard, self._index, self._notice = threading.Lock(), 0, None
        self._moments: dict[str, StreamState] = {}
        self._frozen: StreamState | None = None
        for name, value in (values or {}).items():
            fits = checked(name, value)
            if name in self._values:
                self._values[name] = fits
        if look_ahead_frames is None:
            look_ahead_frames = low_latency_frames(codec)
        self.origin = {**(origin or {}), "look_ahead_frames": look_ahead_frames}
        with self._computing:
            self._state = live.start(self._values["seed"], look_ahead_frames=look_ahead_frames)
        if self._values["freeze"]:
            self._frozen = self._state

    def set(self, name: str, value: Any) -> None:
        """Turn a parameter at the next block's border. Raises LmdmError for what does not fit, and for a flood."""
        value = checked(name, value)
        with self._guard:
            if len(self._turns) >= MOST_TURNS:
                raise LmdmError(f"{MOST_TURNS} turns wait for the next block already; {name} was not taken.")
            self._turns.append((name, value))

    def hear(self, samples: np.ndarray, *, first_sample: int) -> None:
        """Prompts are all it listens to."""

    def close(self) -> None:
        """Let the states go."""
        self._moments.clear()

    def next_chunk(self) -> Chunk:
        """One block; its samples are fewer at first, while the decoder looks ahead."""
        began = time.perf_counter()
        with self._computing:
            self._apply_turns()
            sampling = replace(self._live.sampling, steps=self._values["steps"], guidance=self._values["guidance"])
            audio, self._state = self._live.step(self._context(), self._controls(), sampling=sampling)
        seconds = time.perf_counter() - began
        samples = np.ascontiguousarray(audio.samples.T)
        if not np.isfinite(samples).all():
            raise LmdmError("The model made NaN or infinity; play in float32, or with another model.")
        report = Report(self._index, seconds, audio.seconds, memory_bytes(self._live.device), self._notice)
        self._index, self._notice = self._index + 1, None
        return Chunk(samples, report, self._turned)

    def _controls(self) -> Controls:
        return Controls(self._values["prompt"], self._values["negative_prompt"])

    def _context(self) -> StreamState:
        """Frozen music goes on, sample after sample, but always from the moment at which it was frozen."""
        if self._frozen is None:
            return self._state
        now = self._state
        return replace(self._frozen, codec=now.codec, block_index=now.block_index, frame_index=now.frame_index)

    def _apply_turns(self) -> None:
        with self._guard:
            turns, self._turns = self._turns, []
        self._turned += len(turns)
        for name, value in turns:
            try:
                self._apply(name, value)
            except LmdmError as error:
                self._notice = str(error)

    def _apply(self, name: str, value: Any) -> None:
        once: dict[str, Callable[[Any], None]] = {
            "recache": self._recache, "rewind_blocks": self._rewind, "keep": self._keep, "recall": self._recall,
            "seed": self._reseed,
        }  # fmt: skip
        if name in once:
            once[name](value)
        if name == "freeze":
            self._frozen = self._state if value else None
        told_anew = name in ("prompt", "negative_prompt", "guidance") and value != self._values[name]
        if told_anew and self._values["policy"] == "recache":
            self._recache(True)
        if name in self._values:
            self._values[name] = value

    def _recache(self, wanted: bool) -> None:
        if wanted:
            self._state = self._live.recache(self._state)

    def _rewind(self, blocks: int) -> None:
        self._state = self._live.rewind(self._state, blocks)

    def _keep(self, moment: str) -> None:
        self._moments[moment] = self._state

    def _recall(self, moment: str) -> None:
        if moment not in self._moments:
            raise LmdmError(f"Nothing was kept as {moment} yet; keep a moment first.")
        self._state = self._moments[moment]

    def _reseed(self, seed: int) -> None:
        self._state = replace(self._state, seeds=(seed,))


def checked(name: str, value: Any) -> Any:
    """`value` as the parameter `name` takes it. Raises LmdmError for names and values that do not fit."""
    if name not in _CHECKS:
        raise LmdmError(f"There is no parameter {name!r}; there are {', '.join(_CHECKS)}.")
    return _CHECKS[name](name, value)


def _prompts(name: str, value: Any) -> tuple[tuple[str, float], ...]:
    pairs = ((value, 1.0),) if isinstance(value, str) else value
    if not isinstance(pairs, (list, tuple)):
        raise LmdmError(f"{name} is a text, or pairs of a text and its weight, got {value!r}.")
    prompts = Controls(tuple(tuple(pair) if isinstance(pair, list) else pair for pair in pairs)).prompts
    if len(prompts) > MOST_PROMPTS or any(len(text) > MOST_LETTERS for text, _ in prompts):
        raise LmdmError(f"At most {MOST_PROMPTS} prompts of {MOST_LETTERS} letters each can be mixed.")
    return tuple((text, float(weight)) for text, weight in prompts)


def _text(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > MOST_LETTERS):
        raise LmdmError(f"{name} must be a text of at most {MOST_LETTERS} letters.")
    return value or None


def _guidance(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise LmdmError(f"{name} must be a number, got {value!r}.")
    try:
        return Sampling(guidance=float(value)).guidance
    except OverflowError:
        raise LmdmError(f"{name} is too large a number.") from None


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise LmdmError(f"{name} must be a whole number from {low} to {high}, got {value!r}.")
        if value != int(value):
            raise LmdmError(f"{name} must be a whole number, got {value!r}.")
        return int(value)

    return check


def _one_of(*choices: Any) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if value not in choices:
            raise LmdmError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}.")
        return value

    return check


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "prompt": _prompts, "negative_prompt": _text, "guidance": _guidance, "steps": _whole(1, MOST_STEPS),
    "policy": _one_of(*POLICIES), "seed": _whole(0, 2**31 - 1), "freeze": _one_of(True, False),
    "recache": _one_of(True, False), "rewind_blocks": _whole(1, MOST_REWIND_BLOCKS), "keep": _one_of(*MOMENTS),
    "recall": _one_of(*MOMENTS),
}  # fmt: skip
