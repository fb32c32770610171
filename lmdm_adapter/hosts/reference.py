"""The format of the paper's public reference code (arXiv 2605.22717): a stable-audio-tools config with add-ons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.section import Section
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network.model import NetworkConfig
from lmdm_adapter.spec import BlockSpec, Regime

SPLIT_KEY = "self_attn.to_q.weight"

def is_reference(config: Mapping[str, Any]) -> bool:
    """Whether a config was written by the reference code: it feeds context through added inputs."""
    model = config.get("model")
    diffusion = model.get("diffusion") if isinstance(model, Mapping) else None
    return isinstance(diffusion, Mapping) and "input_add_ids" in diffusion


def reference_config(config: Mapping[str, Any], keys: Iterable[str] = ()) -> NetworkConfig:
    """The network that a reference config describes, frame controls included. Raises LmdmError as `network_config`.

    `keys` are the checkpoint's: the reference splits fused projections in place, and saves them as it left them.
    """
    top = Section("model_config", config)
    model = top.section("model")
    diffusion = model.section("diffusion")
    diffusion.skip("input_add_ids")
    dit = diffusion.section("config")
    dit.fixed({"postpend": True})
    controls = dit.take("input_add_dims", tuple[tuple[str, int], ...])
    stock = {**top.left, "model": {**model.left, "diffusion": {**diffusion.left, "config": dit.left}}}
    built = network_config(stock)
    split = any(key.endswith(SPLIT_KEY) for key in keys)
    return replace(built, dit=replace(built.dit, frame_controls=controls, split_qkv=split))


def reference_spec(config: Mapping[str, Any], *, regime: Regime | None = None) -> BlockSpec:
    """Blocks and context of a reference checkpoint, in the regime that its config names unless one is given.

    Block-causal: its "window of 4 chunks" hides the oldest chunk from the target, so 3 context blocks are visible, and
    its prefix keeps the distance `window * chunk + 1` to the target. Without a pattern its router is encoder-decoder:
    the whole context is visible. Raises LmdmError for what is missing or not supported.
    """
    top = Section("model_config", config)
    mask = top.section("training").section("inpainting").section("mask_kwargs")
    pattern = mask.take_or("context_router_attention_pattern", "encoder-decoder", str)
    if pattern not in ("block-causal", "encoder-decoder"):
        raise LmdmError(f"The reference pattern {pattern!r} is not supported; block-causal and encoder-decoder are.")
    if (regime or pattern) == "encoder-decoder":
        return _encoder_decoder_spec(top, mask)
    block_frames, window_blocks = (mask.take(f"block_causal_{key}", int) for key in ("chunk_size", "window_chunks"))
    prefix_distance_frames = window_blocks * block_frames + 1
    return BlockSpec(block_frames, window_blocks - 1, "block-causal", prefix_distance_frames)


def _encoder_decoder_spec(top: Section, mask: Section) -> BlockSpec:
    """`fixed_mask_size` frames of context; a block is the rest of the window, or a chunk where the config has those."""
    context_frames = mask.take("fixed_mask_size", int)
    block_frames = mask.take_or("block_causal_chunk_size", None, int)
    if block_frames is None:
        codec = top.section("model").section("pretransform").section("config")
        block_frames = top.take("sample_size", int) // codec.take("downsampling_ratio", int) - context_frames
    if block_frames < 1 or context_frames % block_frames:
        raise LmdmError(f"A context of {context_frames} frames is not a whole number of blocks of {block_frames}.")
    return BlockSpec(block_frames, context_frames // block_frames, "encoder-decoder")
