"""Generations of stable-audio-tools: this package knows the networks of 0.0.19; what others add is refused by name.

Later releases build those networks too, bit for bit, so they are judged by what they use and not by their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lmdm_adapter.errors import LmdmError

PACKAGE = "stable_audio_tools"
OLDEST = (0, 0, 19)
LATER = "the generation of stable-audio-tools 0.0.20 and Stable Audio 3"

# What later networks added or live by, with the value that leaves a network of 0.0.19 as it is.
LATER_DIFFUSION_OPTIONS: Mapping[str, Any] = {
    "local_add_cond_ids": [], "modular_local_cond_configs": [], "mask_padding_attention": False,
}  # fmt: skip
LATER_DIT_OPTIONS: Mapping[str, Any] = {
    "global_cond_type": "prepend", "num_memory_tokens": 0, "norm_type": "layer_norm", "local_add_cond_dim": None,
    "modular_local_cond_configs": None, "cross_attn_rotary_pos_emb": False, "timestep_features_type": "learned",
    "timestep_features_dim": 256, "timestep_features_logsnr": False,
}  # fmt: skip
LATER_ATTENTION_OPTIONS: Mapping[str, Any] = {"differential": False, "qk_norm_eps": 1e-6}
LATER_CONDITIONER_OPTIONS: Mapping[str, Any] = {
    "padding_mode": "zero", "model_path": None, "fourier_features_type": "learned",
}  # fmt: skip
_LATER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "model.diffusion": LATER_DIFFUSION_OPTIONS, "model.diffusion.config": LATER_DIT_OPTIONS,
    "model.diffusion.config.attn_kwargs": LATER_ATTENTION_OPTIONS,
    "model.diffusion.config.ff_kwargs": {"sinusoidal": False},
    "model.conditioning.configs.config": LATER_CONDITIONER_OPTIONS,
}  # fmt: skip
_LATER_CODECS = ("same", "taae_v2", "patched", "staged_patched")
_LATER_VALUES: Mapping[str, tuple[str, ...]] = {
    "model.diffusion.config.transformer_type": ("mm_transformer",),
    "model.diffusion.config.attn_kwargs.qk_norm": ("rms",),
    "model.conditioning.configs.type": ("t5gemma", "causal_lm", "sat_clap_text", "sat_clap_audio"),
    "model.pretransform.config.encoder.type": _LATER_CODECS, "model.pretransform.config.decoder.type": _LATER_CODECS,
    "model.pretransform.config.bottleneck.type": ("softnorm",),
}  # fmt: skip
_LATER_CLASSES = (
    "T5GemmaConditioner", "CausalLMConditioner", "SATCLAPTextConditioner", "SATCLAPAudioConditioner", "SAMEEncoder",
    "SAMEDecoder", "SoftNormBottleneck", "ExpoFourierFeatures", "RMSNorm", "Sin",
)  # fmt: skip


def refuse_later_config(config: Mapping[str, Any]) -> None:
    """Raise LmdmError for a `model_config.json` with an option of later generations, naming option and generation."""
    for path, options in _LATER_OPTIONS.items():
        for section in _sections(config, path.split(".")):
            for key, neutral in options.items():
                if section.get(key, neutral) != neutral:
                    raise _later(f"The option {path}.{key}={section[key]!r}")
    for path, values in _LATER_VALUES.items():
        *sections, key = path.split(".")
        for section in _sections(config, sections):
            if section.get(key) in values:
                raise _later(f"The option {path}={section[key]!r}")


def _sections(value: object, path: list[str]) -> Iterator[Mapping[str, Any]]:
    """The objects at a path of a JSON value, which may lead through lists; none where there is something else."""
    if isinstance(value, list):
        for item in value:
            yield from _sections(item, path)
    elif isinstance(value, Mapping):
        if path:
            yield from _sections(value.get(path[0]), path[1:])
        else:
            yield value


def refuse_other_generations(host: Any) -> None:
    """Raise LmdmError for a host object that is too old, or that uses what later generations added, by its name."""
    _refuse_too_old(host)
    for name, (value, neutral) in _later_attributes(host).items():
        if value != neutral:
            raise _later(f"The option {name}={value!r}")
    for name, module in host.named_modules():
        if type(module).__name__ in _LATER_CLASSES:
            raise _later(f"{name} is a {type(module).__name__}, which")


def _later_attributes(host: Any) -> dict[str, tuple[Any, Any]]:
    """What a host object has of later options, and the neutral value; objects of 0.0.19 lack most of them."""
    neutral = {"local_add_cond_ids": [], "modular_local_cond_ids": [], "mask_padding_attention": False}
    dit = host.model.model
    if not hasattr(dit, "transformer"):
        return {}
    transformer, attention = dit.transformer, dit.transformer.layers[0].self_attn
    places = (
        (host, neutral), (dit, {"global_cond_type": "prepend", "timestep_features_logsnr": False}),
        (transformer, {"num_memory_tokens": 0, "cross_attn_rotary_pos_emb": None}),
        (attention, LATER_ATTENTION_OPTIONS),
    )  # fmt: skip
    return {name: (getattr(place, name, value), value) for place, options in places for name, value in options.items()}


def _refuse_too_old(host: object) -> None:
    """Objects from elsewhere (a checkout, a fork) carry no version and are judged by their attributes alone."""
    if type(host).__module__.partition(".")[0] != PACKAGE:
        return
    try:
        found = version(PACKAGE.replace("_", "-"))
    except PackageNotFoundError:
        return
    if tuple(int(part) for part in re.findall(r"\d+", found)[:3]) < OLDEST:
        raise LmdmError(f"stable-audio-tools {found} is too old to convert; pip install stable-audio-tools==0.0.19.")


def _later(what: str) -> LmdmError:
    return LmdmError(
        f"{what} belongs to {LATER}, whose networks are not supported yet; "
        "play it with its own tools, or give a checkpoint of Stable Audio Open (1.0 or Small)."
    )
