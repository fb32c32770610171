"""The format of the paper's public reference code (arXiv 2605.22717): a stable-audio-tools config with add-ons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.section import Section
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network.model import NetworkConfig
from lmdm_adapter.spec import BlockSpec


def is_reference(config: Mapping[str, Any]) -> bool:
    """Whether a config was written by the reference code: it feeds context through added inputs."""
    model = config.get("model")
    diffusion = model.get("diffusion") if isinstance(model, Mapping) else None
    return isinstance(diffusion, Mapping) and "input_add_ids" in diffusion


def reference_config(config: Mapping[str, Any]) -> NetworkConfig:
    """The network that a reference config describes, frame controls included. Raises LmdmError as `network_config`."""
    top = Section("model_config", config)
    model = top.section("model")
    diffusion = model.section("diffusion")
    diffusion.skip("input_add_ids")
    dit = diffusion.section("config")
    dit.fixed({"postpend": True})
    controls = dit.take("input_add_dims", tuple[tuple[str, int], ...])
    stock = {**top.left, "model": {**model.left, "diffusion": {**diffusion.left, "config": dit.left}}}
    built = network_config(stock)
    return replace(built, dit=replace(built.dit, frame_controls=controls))


def reference_spec(config: Mapping[str, Any]) -> BlockSpec:
    """Blocks and context of a reference checkpoint.

    Its "window of 4 chunks" hides the oldest chunk from the target, so 3 context blocks are visible, and its prefix
    keeps the distance `window * chunk + 1` to the target. Raises LmdmError for what is missing or not supported.
    """
    mask = Section("model_config", config).section("training").section("inpainting").section("mask_kwargs")
    pattern = mask.take("context_router_attention_pattern", str)
    if pattern != "block-causal":
        raise LmdmError(f"The reference pattern {pattern!r} is not supported yet; only 'block-causal' is.")
    block_frames, window_blocks = (mask.take(f"block_causal_{key}", int) for key in ("chunk_size", "window_chunks"))
    prefix_distance_frames = window_blocks * block_frames + 1
    return BlockSpec(block_frames, window_blocks - 1, "block-causal", prefix_distance_frames)
