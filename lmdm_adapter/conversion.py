"""From an offline checkpoint, or a live host object, to a live model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmdm_adapter.checkpoint import Checkpoint, read_checkpoint
from lmdm_adapter.controls.declared import FrameControls, require_addable
from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.generation import refuse_other_generations
from lmdm_adapter.hosts.host_object import host_tensors, is_host_object, lend_text_encoders, network_config_of
from lmdm_adapter.hosts.reference import is_reference, reference_config, reference_spec
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.model import CONTROL_PROJECTION, Network, NetworkConfig, build
from lmdm_adapter.network.text import share_text_encoders
from lmdm_adapter.section import LmdmSection, context_controls
from lmdm_adapter.spec import BlockSpec, Regime, Sampling

PROJECTION_WEIGHT = f"{CONTROL_PROJECTION}weight"
UNTRAINED_SAMPLING = Sampling(steps=50, sampler="euler", guidance=4.0)
FEW_STEP_SAMPLING = Sampling(steps=8, sampler="pingpong", guidance=1.0)  # what `rf_denoiser` hosts were trained for


def convert(
    source: str | Path | nn.Module, spec: BlockSpec | None = None, *, copy: bool = False,
    config: Mapping[str, Any] | None = None, ema: bool = True,
) -> LiveModel:  # fmt: skip
    """Turn an offline checkpoint (folder or file) or a stable-audio-tools object into a live model.

    A host object shares its tensors with the result and is not changed; `copy=True` gives the result its own, which
    training needs. `config` is the host's model config, where the object's attributes do not tell all. Of a
    training checkpoint the averaged weights are taken, or the last ones with `ema=False`. The regime
    "outpaint" adds nothing to the weights: a stock checkpoint plays on beyond its length, at stock quality and cost.
    Raises LmdmError for what is not supported, by name.
    """
    spec = spec or BlockSpec()
    if isinstance(source, str | Path):
        live = convert_checkpoint(read_checkpoint(source, ema=ema), spec)
    elif is_host_object(source):
        live = _convert_object(source, spec, config)
    else:
        raise LmdmError(f"Cannot convert a {type(source).__name__}; give a checkpoint folder or a host object.")
    return live.copied() if copy else live


def convert_checkpoint(checkpoint: Checkpoint, spec: BlockSpec) -> LiveModel:
    """A live model from a checkpoint that was read; one that was converted before is refused."""
    if is_live(checkpoint):
        raise LmdmError(f"{checkpoint.path} is a live model already; load it instead.")
    section = LmdmSection.read(checkpoint.config)
    network = section.extend(network_config(checkpoint.config))
    tensors = {**checkpoint.tensors, **checkpoint.adapter}
    return _converted(network, tensors, spec, config=checkpoint.config, section=section)


def window_spec(checkpoint: Checkpoint) -> BlockSpec:
    """Blocks for outpainting with a stock checkpoint: its own window of `sample_size`, cut into whole default blocks.

    A window shorter than two of them is halved. Raises LmdmError for a checkpoint that does not tell its window.
    """
    network = network_config(checkpoint.config)
    samples = checkpoint.config.get("sample_size")
    if not isinstance(samples, int) or network.codec is None or samples < 2 * network.codec.ratio:
        raise LmdmError(f"{checkpoint.path} tells no window (sample_size {samples!r}); convert it with block settings.")
    frames = samples // network.codec.ratio
    block_frames = min(BlockSpec().block_frames, frames // 2)
    return BlockSpec(block_frames, frames // block_frames - 1, "outpaint")


def is_live(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint was converted before, by this package or in the reference's format."""
    return LmdmSection.read(checkpoint.config).spec is not None or is_reference(checkpoint.config)


def _convert_object(host: nn.Module, spec: BlockSpec, config: Mapping[str, Any] | None) -> LiveModel:
    refuse_other_generations(host)
    network = network_config_of(host) if config is None else network_config(config)
    live = _converted(network, host_tensors(host), spec, config=config, section=LmdmSection())
    lend_text_encoders(host, live.network)
    return live


def _converted(
    network: NetworkConfig, tensors: Mapping[str, Tensor], spec: BlockSpec, *, config: Mapping[str, Any] | None,
    section: LmdmSection,
) -> LiveModel:  # fmt: skip
    if spec.regime == "outpaint":
        few = network.dit.objective == "rf_denoiser"
        section = replace(section, spec=spec, sampling=FEW_STEP_SAMPLING if few else UNTRAINED_SAMPLING)
        return LiveModel(build(network, tensors), section, host_config=config)
    controls = context_controls(network.dit.io_channels)
    projection = context_projection(build(network, tensors).dit)
    network = replace(network, dit=replace(network.dit, frame_controls=controls))
    section = replace(section, spec=spec, frame_controls=controls, sampling=UNTRAINED_SAMPLING)
    return LiveModel(build(network, {**tensors, PROJECTION_WEIGHT: projection}), section, host_config=config)


def context_projection(dit: DiT) -> Tensor:
    """The fresh frame-control projection `d (1 + c)`: no mask, and latents enter as the model's own input layer takes
    them (pre-convolution, then input projection), so that a context frame first looks like a clean frame.

    An inpainting model has a mask of its own, and latents enter twice: a clean frame that is marked as given.
    """
    project_in = dit.transformer.project_in.weight.detach()
    pre_conv = dit.preprocess_conv.weight.detach()[:, :, 0]
    whole, channels = project_in + project_in @ pre_conv, dit.config.io_channels
    if not dit.config.input_concat_dim:
        return torch.cat([whole.new_zeros(whole.shape[0], 1), whole], dim=1)
    noisy, mask, given = whole.split([channels, 1, channels], dim=1)
    return torch.cat([mask, noisy + given], dim=1)


def with_controls(live: LiveModel, controls: FrameControls, *, sketch: SketchConfig | None = None) -> LiveModel:
    """The same model with further frame controls, e.g. (("accompaniment_mask", 1), ...): names and channels.

    They are zero columns at the end of the one projection, so it plays what it played, bit for bit, until they are
    trained; all other tensors are shared. `sketch` says how the sketches among them are made. Raises LmdmError for a
    model that was not converted, and for a control that exists, stands out of its order, or is not that of `sketch`.
    """
    network = live.network
    present = network.config.dit.frame_controls
    if not present:
        raise LmdmError("Frame controls need the projection of a converted model; convert this one to blocks first.")
    require_addable(present, controls)
    declared = (*present, *((name, channels) for name, channels in controls))
    weight = network.dit.to_input_add_embed.weight.detach()
    fresh = weight.new_zeros(weight.shape[0], sum(channels for _, channels in controls))
    tensors = {**network.state_dict(), PROJECTION_WEIGHT: torch.cat([weight, fresh], dim=1)}
    config = replace(network.config, dit=replace(network.config.dit, frame_controls=declared))
    wider = build(config, tensors)
    share_text_encoders(network, wider)
    section = replace(live.section, frame_controls=declared, sketch=sketch or live.section.sketch)
    return LiveModel(wider, section, live.host_config)


def live_from_checkpoint(checkpoint: Checkpoint, *, regime: Regime | None = None) -> LiveModel:
    """The live model in a checkpoint: a converted one, or one in the reference's format; `regime` None is its own.

    Raises LmdmError for an offline checkpoint, naming the command that converts it.
    """
    if is_reference(checkpoint.config):
        return _live_from_reference(checkpoint, regime)
    section = LmdmSection.read(checkpoint.config)
    network = section.extend(network_config(checkpoint.config))
    if section.spec is None:
        raise LmdmError(
            f"{checkpoint.path} is an offline checkpoint; run `lmdm convert {checkpoint.path} DST` first, "
            "or play it as it is with the regime outpaint."
        )
    tensors = {**checkpoint.tensors, **checkpoint.adapter}
    live = LiveModel(build(network, tensors), section, host_config=checkpoint.config)
    return live if regime is None else live.with_regime(regime)


def _live_from_reference(checkpoint: Checkpoint, regime: Regime | None) -> LiveModel:
    """Blocks are the reference's own in each of its regimes; a section that we saved beside its config comes first."""
    tensors, config = {**checkpoint.tensors, **checkpoint.adapter}, checkpoint.config
    network = reference_config(config, tensors)
    trained = None if regime == "outpaint" else regime
    section = LmdmSection(reference_spec(config, regime=trained), frame_controls=network.dit.frame_controls)
    if "lmdm" in config:
        section = LmdmSection.read(config)
        network = replace(network, dit=replace(network.dit, frame_controls=section.frame_controls))
    live = LiveModel(build(network, tensors), section, host_config=config)
    return live if regime is None else live.with_regime(regime)


def offline_network(checkpoint: Checkpoint) -> Network:
    """The offline network of a checkpoint, e.g. to train or to inspect it; its own conditioners included."""
    section = LmdmSection.read(checkpoint.config)
    network = section.extend(network_config(checkpoint.config))
    return build(network, {**checkpoint.tensors, **checkpoint.adapter})
