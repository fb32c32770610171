"""`LiveModel`: a thin handle on a network that plays block by block."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from lmdm_adapter import codec_stream
from lmdm_adapter.audio import Audio
from lmdm_adapter.checkpoint import write_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.controls import Controls, Gains, condition
from lmdm_adapter.controls.frames import UNITY, ControlSource, GivenControls, packed_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.reference import is_reference, reference_spec
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.identity import MadeFromWeights
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.packing import packed, packs
from lmdm_adapter.prime import prime_latents
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.spec import BlockSpec, Regime, Sampling
from lmdm_adapter.state import StreamState, forgotten, recached, rewound
from lmdm_adapter.state_file import model_digest, read_state, state_bytes, write_whole
from lmdm_adapter.state_fit import require_finite, require_fit

PROMPTS_KEPT = 16


def _nothing(first_frame: int, frames: int) -> None:
    """The source of frame controls of a stream without any."""


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A network, how it was converted, and its codec. Plays through values: states in, states out.

    `host_config` is the host's `model_config.json`, needed for saving; None when a host object was converted without.
    """

    network: Network
    section: LmdmSection
    host_config: Mapping[str, Any] | None = None
    _made: MadeFromWeights = field(default_factory=MadeFromWeights, init=False, repr=False)

    @property
    def spec(self) -> BlockSpec:
        """Block length, context and regime."""
        assert self.section.spec is not None, "live models have a BlockSpec"
        return self.section.spec

    @property
    def sampling(self) -> Sampling:
        """How this model is denoised unless a call says otherwise."""
        return self.section.sampling

    @property
    def codec(self) -> Codec:
        """The codec, with weight norms folded until its weights change. Raises LmdmError for a model without one."""
        config, autoencoder = self.network.config, self.network.autoencoder
        whole = Codec(autoencoder, config.sample_rate, config.codec_scale)
        return self._made.get("codec", autoencoder, whole.folded)

    @property
    def engine(self) -> DiT:
        """The DiT as it plays: its matrices laid out for this CPU where that can be, until its weights change.

        Takes the memory of the matrices once more. What is written through `.data` in place is not noticed.
        """
        dit = self.network.dit
        return self._made.get("engine", dit, lambda: packed(dit) if packs(dit) else dit)

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.network.dit.preprocess_conv.weight.device

    @property
    def window_seconds(self) -> float:
        """Context plus one block in seconds: what the model is told as `seconds_total` unless it says otherwise."""
        if self.section.seconds_total is not None:
            return self.section.seconds_total
        return (self.spec.context_frames + self.spec.block_frames) / self.codec.frame_rate_hz

    def start(self, seed: int = 0, *, prime: Audio | None = None, look_ahead_frames: int | None = None) -> StreamState:
        """A stream's first state: cold, or going on from the last context frames of `prime`.

        A prefix of another rate or channel count is fitted to the model's. `look_ahead_frames` None decodes exactly;
        less trades a small error at block borders for latency. Raises LmdmError for a prefix with NaN, or one shorter
        than a block.
        """
        with torch.inference_mode():
            latents = None if prime is None else prime_latents(self.codec, prime, self.spec)
            decoder = codec_stream.start(self.codec, look_ahead_frames=look_ahead_frames, context=latents)
        return begin(latents, seeds=(seed,), spec=self.spec, codec=decoder)

    def step(
        self, state: StreamState, prompt: str | Controls, *, sampling: Sampling | None = None,
        frames: int | None = None, frame_controls: GivenControls | None = None, gains: Gains = UNITY,
    ) -> tuple[Audio, StreamState]:  # fmt: skip
        """Play one block: the audio that is ready, and the state after it. `state` stays as it was.

        `frame_controls` are arrays `(channels, frames)` by name, as many of the model's as there are; the others are
        not there. `gains` say how much of each enters. Audio lags latents by the codec's look-ahead, so the first
        pieces are shorter than a block. Raises LmdmError for a state that this model cannot have made, and for frame
        controls that it does not have, or of another shape than the block.
        """
        sampling = sampling or self.sampling
        require_fit(state, self.network.dit.config, self.codec)
        with torch.inference_mode():
            told = self._told_of(Controls.of(prompt), sampling.guidance)
            controls = packed_controls(
                frame_controls, self.network.dit.config.further_controls, rows=len(state.seeds),
                frames=self.spec.block_frames if frames is None else frames, gains=gains, device=self.device,
            )  # fmt: skip
            latents, state = next_block(
                self.engine, state, told, spec=self.spec, sampling=sampling, frames=frames, controls=controls
            )
            audio, decoder = codec_stream.decode_step(self.codec, state.codec, latents.to(self.codec.dtype))
        return Audio(audio[0].float().cpu().numpy(), self.codec.sample_rate), replace(state, codec=decoder)

    def stream(
        self, prompt: str | Controls, seconds: float | None = None, *, seed: int = 0, prime: Audio | None = None,
        sampling: Sampling | None = None, look_ahead_frames: int | None = None,
        frame_controls: ControlSource | None = None, gains: Gains = UNITY,
    ) -> Iterator[Audio]:  # fmt: skip
        """Endless music, or exactly the first `seconds` of it, one piece per block.

        Generates past the end by the codec's hold-back, then cuts. `frame_controls(first_frame, frames)` is asked for
        those of every block (see `step`). Raises LmdmError for a length that is not positive.
        """
        if seconds is not None and not 0 < seconds < float("inf"):
            raise LmdmError(f"A stream needs a positive, finite number of seconds, got {seconds}.")
        state = self.start(seed, prime=prime, look_ahead_frames=look_ahead_frames)
        left = None if seconds is None else max(1, round(seconds * self.codec.sample_rate))
        return self._pieces(state, prompt, left, sampling, frame_controls or _nothing, gains)

    def _pieces(
        self, state: StreamState, prompt: str | Controls, left: int | None, sampling: Sampling | None,
        source: ControlSource, gains: Gains,
    ) -> Iterator[Audio]:  # fmt: skip
        while left is None or left > 0:
            given = source(state.frame_index, self.spec.block_frames)
            audio, state = self.step(state, prompt, sampling=sampling, frame_controls=given, gains=gains)
            if left is not None:
                audio = Audio(audio.samples[:, :left], audio.sample_rate)
                left -= audio.samples.shape[1]
            yield audio

    def _told_of(self, controls: Controls, guidance: float) -> Told:
        """Prompt K/V depend on prompt and weights alone: the last few are kept, oldest dropped first."""
        kept = self._made.get("told", self.network, dict[tuple[Controls, float], Told])
        key = controls, guidance
        if key not in kept:
            conditioning = condition(
                self.network, controls, window_seconds=self.window_seconds, device=self.device
            )
            while len(kept) >= PROMPTS_KEPT:
                kept.pop(next(iter(kept)))
            kept[key] = Told.of(self.engine, conditioning, guidance=guidance)
        return kept[key]

    def with_regime(self, regime: Regime) -> LiveModel:
        """The same weights, shared, played in another regime; how good that sounds is up to their training.

        Raises LmdmError for a regime that needs the frame-control projection of a converted model.
        """
        if regime != "outpaint" and not self.network.dit.config.frame_controls:
            raise LmdmError(f"The regime {regime!r} needs a converted model; this one can only be played by outpaint.")
        if regime == self.spec.regime:
            return self
        return replace(self, section=self.section.in_regime(regime))

    @property
    def trained(self) -> bool:
        """Whether the weights were trained for the regime: by fine-tuning, or by others before conversion."""
        if self.host_config is not None and is_reference(self.host_config):
            return reference_spec(self.host_config).regime == self.spec.regime
        return self.section.own_steps > 0 or not self.network.dit.config.frame_controls

    def recache(self, state: StreamState) -> StreamState:
        """`state` whose next step hears its context as its own prompt would have played it."""
        return recached(state, context_blocks=self.spec.context_blocks)

    def forget(self, state: StreamState, blocks: int) -> StreamState:
        """`state` whose next step hears the `blocks` oldest blocks of its context no more; the newest one stays.

        Raises LmdmError for a negative number.
        """
        return forgotten(state, blocks, context_blocks=self.spec.context_blocks)

    def rewind(self, state: StreamState, blocks: int) -> StreamState:
        """The stream `blocks` blocks ago, from latents that the state remembers: as if primed with what was before.

        Going back to a state that was kept is exact; this is for when none was. Audio goes on where it was then.
        Raises LmdmError for more blocks than were played and are remembered.
        """
        back = rewound(state, blocks, context_blocks=self.spec.context_blocks)
        look_ahead, parts = state.codec.look_ahead_frames, [block.latents for block in back.history + back.pending]
        latents = torch.cat(parts, dim=-1).to(self.codec.dtype) if parts else state.codec.latents[..., :0]
        heard = latents.shape[-1] - min(look_ahead, back.frame_index, latents.shape[-1])
        with torch.inference_mode():
            decoder = codec_stream.start(
                self.codec, batch=len(state.seeds), look_ahead_frames=look_ahead,
                context=latents[..., :heard] if heard else None,
            )  # fmt: skip
            if heard < latents.shape[-1]:
                _, decoder = codec_stream.decode_step(self.codec, decoder, latents[..., heard:])
        return replace(back, codec=decoder)

    def save_state(self, state: StreamState, path: str | Path) -> None:
        """Write a moment of a stream to one safetensors file. Raises LmdmError when the place cannot be written."""
        path = Path(path)
        content = state_bytes(state, model=self.digest)
        try:
            write_whole(path, content)
        except OSError as error:
            raise LmdmError(f"Cannot write {path}: {error.strerror or error}.") from None

    def load_state(self, path: str | Path) -> StreamState:
        """A moment that `save_state` wrote; it plays on bit for bit.

        Raises LmdmError for a file that holds none, or one of another model, other blocks or another number format.
        """
        state = read_state(Path(path), model=self.digest, device=self.device)
        require_fit(state, self.network.dit.config, self.codec)
        require_finite(state)
        return state

    @property
    def digest(self) -> str:
        """What states and takes know this model by: weights, blocks, regime, settings and number format.

        Weights of T5 are not in it, they belong to no checkpoint.
        """
        section = {name: value for name, value in self.section.to_json().items() if not name.startswith("trained")}
        settings = {"section": section, "network": asdict(self.network.config), "dtype": str(self.network.dit.dtype)}
        return model_digest(self.network, settings)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` (the host's keys), `adapter.safetensors` and `model_config.json`.

        Raises LmdmError when the place cannot be written, or when no host config is known.
        """
        if self.host_config is None:
            raise LmdmError("Saving needs the host's model config; convert with convert(host, config=model_config).")
        config = {**self.host_config, "lmdm": self.section.to_json()}
        write_checkpoint(folder, self.network, config)

    def copied(self) -> LiveModel:
        """The same model with tensors of its own."""
        return LiveModel(copy.deepcopy(self.network), self.section, self.host_config)

    def __repr__(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        spec, rate_hz = self.spec, self.codec.frame_rate_hz
        latency_frames = spec.block_frames + self.codec.hold_back_frames
        return (
            f"LiveModel({parameters / 1e6:.1f}M parameters, {self.codec.sample_rate} Hz {self.codec.channels} ch, "
            f"{spec.regime}: block {spec.block_frames} frames = {spec.block_frames / rate_hz:.3f} s, "
            f"context {spec.context_frames} frames = {spec.context_frames / rate_hz:.2f} s, "
            f"algorithmic latency {latency_frames / rate_hz:.2f} s exact)"
        )
