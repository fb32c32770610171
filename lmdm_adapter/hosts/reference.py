"""The format of the paper's public reference code (arXiv 2605.22717): a stable-audio-tools config with add-ons."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.section import Section
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network.model import NetworkConfig
from lmdm_adapter.spec import BlockSpec


def is_reference(config: Mapping[str, Any]) -> bool:
    """Whether a config was written by the reference code: it feeds context through added inputs."""
    diffusion = config.get("model", {}).get("diffusion", {})
    return isinstance(diffusion, Mapping) and "input_add_ids" in diffusion


def reference_config(config: Mapping[str, Any]) -> NetworkConfig:
    """The network that a reference config describes, frame controls included. Raises LmdmError as `network_config`."""
    stock = deepcopy(dict(config))
    diffusion = stock["model"]["diffusion"]
    diffusion.pop("input_add_ids")
    dit = Section("model.diffusion.config", diffusion["config"])
    dit.fixed({"postpend": True})
    controls = dit.take("input_add_dims", tuple[tuple[str, int], ...])
    diffusion["config"] = dit.left
    built = network_config(stock)
    return replace(built, dit=replace(built.dit, frame_controls=controls))


def reference_spec(config: Mapping[str, Any]) -> BlockSpec:
    """Blocks and context of a reference checkpoint.

    Its "window of 4 chunks" hides the oldest chunk from the target, so 3 context blocks are visible, and its prefix
    keeps the distance `window * chunk + 1` to the target.
    """
    try:
        mask = config["training"]["inpainting"]["mask_kwargs"]
        pattern, block_frames = mask["context_router_attention_pattern"], int(mask["block_causal_chunk_size"])
        window_blocks = int(mask["block_causal_window_chunks"])
    except KeyError as error:
        raise LmdmError(f"The reference config misses training.inpainting.mask_kwargs ({error}).") from None
    if pattern != "block-causal":
        raise LmdmError(f"The reference pattern {pattern!r} is not supported yet; only 'block-causal' is.")
    prefix_distance_frames = window_blocks * block_frames + 1
    return BlockSpec(block_frames, window_blocks - 1, "block-causal", prefix_distance_frames)
