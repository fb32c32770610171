"""Models, facts and makers for tests of the modes that listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import lmdm_adapter as lmdm
from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.declared import HARMONY, accompaniment_controls
from lmdm_adapter.controls.harmony import HARMONY_CHANNELS
from lmdm_adapter.controls.sketch import Sketch, SketchConfig
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.model import Network
from lmdm_adapter.session.engine import Engine
from lmdm_adapter.session.maker import Facts
from lmdm_adapter.session.plan import SessionPlan
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.models import LATENT_CHANNELS, host_config, tiny_section
from tests.randomise import randomise

RATE, FRAME = 8000, 64
CONFIG = SketchConfig(FRAME, RATE, bins=24, top_k=2, window_seconds=0.016, melody_ahead_seconds=0.02, widest_frames=5)
ACCOMPANIMENT = accompaniment_controls(LATENT_CHANNELS)
HARMONY_CONTROLS = ((HARMONY, HARMONY_CHANNELS),)
PLAN = SessionPlan.listening(0.1)
SPEC = BlockSpec(block_frames=6, context_blocks=3)


def listening_live(seed: int = 0, *, steps: int = 2, spec: BlockSpec = SPEC, harmony: bool = False) -> LiveModel:
    """A tiny model at 8 kHz with accompaniment, its harmony if told so, and sketch, all of whose columns are drawn."""
    config = host_config()
    config["sample_rate"] = RATE
    autoencoder = config["model"]["pretransform"]["config"]
    for part in ("encoder", "decoder"):
        autoencoder[part]["config"]["strides"] = [8, 8]
    autoencoder["downsampling_ratio"] = FRAME
    section = tiny_section(spec, sampling=Sampling(steps=steps, sampler="euler"))
    network = Network(section.extend(network_config(config)))
    randomise(network, seed)
    live = LiveModel(network.requires_grad_(False).eval(), section, config)
    heard = (*ACCOMPANIMENT, *HARMONY_CONTROLS) if harmony else ACCOMPANIMENT
    live = lmdm.with_controls(live, (*heard, *CONFIG.frame_controls), sketch=CONFIG)
    weight = live.network.dit.to_input_add_embed.weight
    first = 1 + LATENT_CHANNELS
    with torch.no_grad():
        weight[:, first:] = torch.randn(weight[:, first:].shape, generator=torch.Generator().manual_seed(seed + 1)) / 6
    return live


class RawEars:
    """Instead of a sketch, the sound itself: each frame's loudness has a channel for each of its samples."""

    def __init__(self, frame_samples: int = FRAME) -> None:
        self._frame, self._waiting, self.past_frames = frame_samples, np.zeros((0, 2), np.float32), 0

    def fresh(self) -> RawEars:
        """As they were at first."""
        return RawEars(self._frame)

    def push(self, samples: np.ndarray) -> Sketch:
        """The frames that are whole by now."""
        self._waiting = np.concatenate([self._waiting, np.broadcast_to(samples, (len(samples), 2))])
        frames = len(self._waiting) // self._frame
        whole, self._waiting = np.split(self._waiting, [frames * self._frame])
        return Sketch.told({"loudness": whole.reshape(frames, -1).T})


@dataclass(frozen=True)
class Nothing:
    """The state of a maker that remembers nothing."""


class EchoMaker:
    """Plays what `RawEars` heard, to the sample; what is not drawn is silence."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def step(self, state: Nothing, prompt: Any, *, sampling: Any = None, frames: int = 0, frame_controls: Any = None):
        """One block."""
        rows = None if frame_controls is None else frame_controls["sketch_loudness"][1:]
        silence = np.zeros((frames * self.facts.frame_samples, 2), np.float32)
        samples = silence if rows is None else rows.T.reshape(-1, 2)
        return Audio(np.ascontiguousarray(samples.T), self.facts.sample_rate), state

    def recache(self, state: Nothing) -> Nothing:
        """Nothing to hear anew."""
        return state

    def forget(self, state: Nothing, blocks: int) -> Nothing:
        """Nothing to forget."""
        return state

    def rewind(self, state: Nothing, blocks: int) -> Nothing:
        """Nowhere to go back to."""
        return state


def performed(engine: Engine, heard: np.ndarray, *, chunk: int, hear_chunk: int | None = None) -> np.ndarray:
    """Play `heard` (`s ch`) to an engine in chunks, as a device would; what it plays meanwhile."""
    out, told = np.zeros_like(heard), 0
    for start in range(0, len(heard), chunk):
        while engine.produce():
            continue
        stop = min(len(heard), start + chunk)
        while engine.input is not None and told < stop:
            count = min(hear_chunk or chunk, stop - told)
            engine.hear(heard[told : told + count])
            told += count
        engine.pull(out[start:stop])
    return out
