"""Where a config and a checkpoint disagree: the tensor, and the settings of the config that decide about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from lmdm_adapter.errors import LmdmError

if TYPE_CHECKING:
    from lmdm_adapter.network.model import NetworkConfig

# The first pattern that a key matches names the fields of our config that shape its tensor; a key that matches none has
# nothing to do with any of them.
_DIT_FIELDS = (
    (r"to_input_add_embed", ("io_channels", "embed_dim", "frame_controls")),
    (r"\.[qk]_norm\.", ("qk_norm", "embed_dim", "num_heads")),
    (r"to_cond_embed|\.cross_att", ("cond_token_dim", "project_cond_tokens", "embed_dim")),
    (r"to_global_embed", ("global_cond_dim", "project_global_cond", "embed_dim")),
    (r"(pre|post)process_conv|project_(in|out)", ("io_channels", "input_concat_dim", "embed_dim")),
    (r"rotary_pos_emb", ("embed_dim", "num_heads")),
    (r"to_timestep_embed|\.layers\.\d+\.(pre_norm|cross_attend_norm|ff_norm|self_attn|ff)\.", ("embed_dim",)),
)
_CODEC_FIELDS = {"audio_channels": "io_channels", "channels": "encoder.config.channels",
                 "c_mults": "encoder.config.c_mults", "strides": "encoder.config.strides",
                 "latent_channels": "latent_dim"}  # fmt: skip
_PLACES = {"qk_norm": "model.diffusion.config.attn_kwargs.qk_norm", "frame_controls": "lmdm.frame_controls"}


def refuse_mismatch(config: NetworkConfig, expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raise LmdmError for the first tensor that is missing, unknown, of another shape or of no floating-point numbers.

    It names the tensor, both shapes, and the values in the config that decide about it, if there are any.
    """
    for what, keys in (("misses", set(expected) - set(given)), ("has the unknown", set(given) - set(expected))):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise LmdmError(
                f"The checkpoint {what} key {min(keys)}{more}{_settings(config, min(keys), ', but the config has ')}; "
                "do the config and the weights belong together?"
            )
    for key, tensor in expected.items():
        if tensor.shape != given[key].shape:
            raise LmdmError(
                f"{key} has shape {tuple(given[key].shape)}, but {tuple(tensor.shape)} is what the config asks for"
                f"{_settings(config, key, ' by ')}; is this the config of another checkpoint?"
            )
        if tensor.is_floating_point() and not given[key].is_floating_point():
            raise LmdmError(f"{key} holds {given[key].dtype}, not floating-point numbers; give unquantised weights.")


def _settings(config: NetworkConfig, key: str, introduction: str) -> str:
    """The settings that decide about a tensor, after an introduction; nothing where none does."""
    settings = ", ".join(f"{name}={value!r}" for name, value in _settings_of(config, key))
    return settings and introduction + settings


def _settings_of(config: NetworkConfig, key: str) -> Iterator[tuple[str, object]]:
    """The values of a `model_config.json` that decide about a tensor, by their places there."""
    if key.startswith("pretransform.") and config.codec is None:
        yield "model.pretransform", None
    elif re.match(r"pretransform\.model\.(encoder|decoder)\.layers\.", key):
        for field, place in _CODEC_FIELDS.items():
            yield f"model.pretransform.config.{place}", getattr(config.codec, field)
    elif key.startswith("conditioner.conditioners."):
        yield "model.conditioning.cond_dim", config.cond_dim
        yield "the ids of model.conditioning.configs", [one.id for one in config.conditioners]
    elif key.startswith("model.model."):
        fields = next((fields for pattern, fields in _DIT_FIELDS if re.search(pattern, key)), ())
        for field in ("depth", *fields) if fields and ".layers." in key else fields:
            yield _PLACES.get(field, f"model.diffusion.config.{field}"), getattr(config.dit, field)
