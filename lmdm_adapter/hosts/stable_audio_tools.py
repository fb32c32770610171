"""stable-audio-tools: its `model_config.json` for networks of 0.0.19, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.hosts.generation import (
    LATER_ATTENTION_OPTIONS,
    LATER_CONDITIONER_OPTIONS,
    LATER_DIFFUSION_OPTIONS,
    LATER_DIT_OPTIONS,
    refuse_later_config,
)
from lmdm_adapter.hosts.section import Section
from lmdm_adapter.network.conditioners import ConditionerConfig
from lmdm_adapter.network.dit import DiTConfig
from lmdm_adapter.network.model import NetworkConfig
from lmdm_adapter.network.oobleck import OobleckConfig

ConfigDict = Mapping[str, Any]
DROP_INS = ("generate_diffusion_cond", "stream_diffusion_cond")
MODEL_TYPES = ("diffusion_cond", "diffusion_cond_inpaint")

# Options whose only supported value is the one given here; hosts have others that would change the arithmetic.
FIXED_DIT_OPTIONS: ConfigDict = {
    "transformer_type": "continuous_transformer", "timestep_cond_type": "global",
    "timestep_embed_dim": None, "patch_size": 1, "prepend_cond_dim": 0, "causal": False,
    "rotary_pos_emb": True, "conformer": False, "use_sinusoidal_emb": False, "use_abs_pos_emb": False,
    "sliding_window": None, "final_cross_attn_ix": -1, "remove_norms": False,
    "layer_scale": False, "add_rope": False, "ff_kwargs": {}, "norm_kwargs": {},
    **LATER_DIT_OPTIONS,
}  # fmt: skip
DIT_OPTIONS = ("io_channels", "embed_dim", "depth", "num_heads", "cond_token_dim", "project_cond_tokens",
               "global_cond_dim", "project_global_cond", "input_concat_dim")  # fmt: skip
IGNORED_DIT_OPTIONS = ("zero_init_branch_outputs", "abs_pos_emb_max_length")  # initialisation only; of a refused option
CONDITIONING_ROUTES = ("cross_attention_cond_ids", "global_cond_ids")
FIXED_ATTENTION_OPTIONS: ConfigDict = {"feat_scale": False, **LATER_ATTENTION_OPTIONS}
FIXED_DIFFUSION_OPTIONS: ConfigDict = {"type": "dit", "prepend_cond_ids": [], **LATER_DIFFUSION_OPTIONS}
# They bend the host's own schedule; ours is a list of levels.
SCHEDULE_OPTIONS = ("distribution_shift_options", "sampling_distribution_shift_options",
                    "use_effective_length_for_schedule")  # fmt: skip
INPAINTING_IDS = ("inpaint_mask", "inpaint_masked_input")


def network_config(config: ConfigDict) -> NetworkConfig:
    """The network that a `model_config.json` of stable-audio-tools describes.

    The top-level sections "training" and "lmdm" are not its business. Raises LmdmError for a key or option that is
    missing, unknown or not supported, by name, and by that of its generation where it is a later one.
    """
    refuse_later_config(config)
    top = Section("model_config", config)
    top.skip("training", "lmdm")
    model_type = top.take("model_type", str)
    if model_type not in MODEL_TYPES:
        supported = ", ".join(MODEL_TYPES)
        raise LmdmError(f"A {model_type!r} checkpoint cannot stream; supported model types are {supported}.")
    sample_rate, sample_size = top.take("sample_rate", int), top.take_or("sample_size", None, int)
    channels = top.take_or("audio_channels", 2, int)
    model = top.section("model")
    top.finish()
    return _model_config(model, sample_rate=sample_rate, sample_size=sample_size, channels=channels)


def _model_config(model: Section, *, sample_rate: int, sample_size: int | None, channels: int) -> NetworkConfig:
    diffusion = model.section("diffusion")
    dit = _dit_config(diffusion.section("config"), objective=diffusion.take_or("diffusion_objective", "v", str))
    cross_ids, global_ids = (diffusion.take_or(key, (), tuple[str, ...]) for key in CONDITIONING_ROUTES)
    refuse_other_inputs(diffusion.take_or("input_concat_ids", (), tuple[str, ...]), dit)
    diffusion.fixed(FIXED_DIFFUSION_OPTIONS)
    diffusion.skip(*SCHEDULE_OPTIONS)
    diffusion.finish()
    if model.take("io_channels", int) != dit.io_channels:
        raise LmdmError("model.io_channels and model.diffusion.config.io_channels differ.")
    conditioning = model.section("conditioning", optional=True)
    conditioners, cond_dim, default_keys = _conditioning(conditioning)
    codec, scale = _pretransform(model.section("pretransform", optional=True), channels)
    model.finish()
    return NetworkConfig(
        dit=dit, sample_rate=sample_rate, sample_size=sample_size, codec=codec, codec_scale=scale,
        conditioners=conditioners, cond_dim=cond_dim, default_keys=default_keys, cross_ids=cross_ids,
        global_ids=global_ids,
    )  # fmt: skip


def _dit_config(section: Section, *, objective: str) -> DiTConfig:
    attention = section.section("attn_kwargs", optional=True)
    qk_norm = attention.take_or("qk_norm", "none", str)
    attention.fixed(FIXED_ATTENTION_OPTIONS)
    attention.finish()
    section.fixed(FIXED_DIT_OPTIONS)
    section.skip(*IGNORED_DIT_OPTIONS)
    shape = {key: section.left.pop(key) for key in DIT_OPTIONS if key in section.left}
    section.finish()
    return from_json(DiTConfig, {**shape, "qk_norm": qk_norm, "objective": objective})


def refuse_other_inputs(ids: Sequence[str], dit: DiTConfig) -> None:
    """Raise LmdmError unless what is concatenated to the latents is nothing, or the mask and latents of inpainting."""
    if ids and tuple(ids) != INPAINTING_IDS:
        other = next((name for name in ids if name not in INPAINTING_IDS), ", ".join(ids))
        raise LmdmError(f"input_concat_ids with {other!r} is not supported; only {list(INPAINTING_IDS)} is, in order.")
    if bool(ids) != bool(dit.input_concat_dim):
        raise LmdmError(f"input_concat_ids {list(ids)} and input_concat_dim {dit.input_concat_dim} do not go together.")


def _conditioning(section: Section) -> tuple[tuple[ConditionerConfig, ...], int, tuple[tuple[str, str], ...]]:
    if not section.left:
        return (), 0, ()
    cond_dim = section.take("cond_dim", int)
    entries = section.take("configs", tuple[dict, ...])
    configs = [_conditioner(Section(f"{section.name}.configs", entry)) for entry in entries]
    default_keys = tuple(section.take_or("default_keys", {}, dict).items())
    section.fixed({"pre_encoded_keys": []})
    section.finish()
    return tuple(configs), cond_dim, default_keys


def _conditioner(entry: Section) -> ConditionerConfig:
    name, kind, settings = entry.take("id", str), entry.take("type", str), entry.take_or("config", {}, dict)
    entry.finish()
    return ConditionerConfig(name, kind, {k: v for k, v in settings.items() if k not in LATER_CONDITIONER_OPTIONS})


def _pretransform(section: Section, channels: int) -> tuple[OobleckConfig | None, float]:
    if not section.left:
        return None, 1.0
    section.fixed({"type": "autoencoder", "enable_grad": False})
    scale = float(section.take_or("scale", 1.0, float))
    section.skip("model_half", "iterate_batch", "chunked")  # how the host runs it, not what it computes
    codec = _oobleck(section.section("config"), channels)
    section.finish()
    return codec, scale


def _oobleck(section: Section, channels: int) -> OobleckConfig:
    encoder, _ = _oobleck_half(section.section("encoder"))
    decoder, soft_clip = _oobleck_half(section.section("decoder"))
    bottleneck = section.section("bottleneck")
    bottleneck.fixed({"type": "vae", "requires_grad": True})
    bottleneck.skip("config")
    bottleneck.finish()
    latent_channels, ratio = section.take("latent_dim", int), section.take("downsampling_ratio", int)
    io_channels = section.take("io_channels", int)
    section.fixed({"pretransform": None, "in_channels": None, "out_channels": None})
    section.finish()
    whole = {"audio_channels": io_channels, "latent_channels": latent_channels, "soft_clip": soft_clip}
    config = from_json(OobleckConfig, {**whole, **_shape_of(encoder, decoder)})
    _refuse_inconsistent(config, encoder, decoder, ratio=ratio, channels=channels)
    return config


def _oobleck_half(section: Section) -> tuple[dict[str, Any], bool]:
    """Options of the encoder or decoder, and the clipping that hosts keep beside the decoder's."""
    section.fixed({"type": "oobleck"})
    section.skip("requires_grad")
    options, soft_clip = dict(section.take("config", dict)), section.take_or("soft_clip", False, bool)
    section.finish()
    return options, soft_clip


OOBLECK_DEFAULTS: ConfigDict = {"channels": 128, "c_mults": [1, 2, 4, 8], "strides": [2, 4, 8, 8], "use_snake": False,
                                "antialias_activation": False}  # fmt: skip


def _shape_of(encoder: dict[str, Any], decoder: dict[str, Any]) -> dict[str, Any]:
    """The mirrored shape, with the host's defaults filled in; refuses halves that do not mirror each other."""
    shapes = [{key: half.get(key, default) for key, default in OOBLECK_DEFAULTS.items()} for half in (encoder, decoder)]
    if shapes[0] != shapes[1]:
        raise LmdmError(f"Encoder and decoder must mirror each other, got {shapes[0]} and {shapes[1]}.")
    only_decoder = {"final_tanh": decoder.get("final_tanh", True),
                    "use_nearest_upsample": decoder.get("use_nearest_upsample", False)}  # fmt: skip
    return {**shapes[0], **only_decoder}


def _refuse_inconsistent(
    config: OobleckConfig, encoder: dict[str, Any], decoder: dict[str, Any], *, ratio: int, channels: int
) -> None:
    known = {*OOBLECK_DEFAULTS, "latent_dim", "final_tanh", "use_nearest_upsample", "in_channels", "out_channels"}
    unknown = sorted((set(encoder) | set(decoder)) - known)
    if unknown:
        raise LmdmError(f"Unknown Oobleck option {unknown[0]!r}; it may change the codec, so remove it.")
    claims = {
        "downsampling_ratio": (ratio, config.ratio),
        "audio_channels": (channels, config.audio_channels),
        "encoder.config.latent_dim": (encoder.get("latent_dim", 32), 2 * config.latent_channels),
        "decoder.config.latent_dim": (decoder.get("latent_dim", 32), config.latent_channels),
        "encoder.config.in_channels": (encoder.get("in_channels", 2), config.audio_channels),
        "decoder.config.out_channels": (decoder.get("out_channels", 2), config.audio_channels),
    }
    for name, (claimed, meant) in claims.items():
        if claimed != meant:
            raise LmdmError(f"The codec's {name} is {claimed}, but the rest of its config means {meant}.")


def __getattr__(name: str) -> Any:
    """The host's own functions, in our version, where someone who swaps an import looks for them.

    They play, so they live above this layer, which imports nothing of it: the name is resolved on first use.
    """
    if name not in DROP_INS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("lmdm_adapter.pipeline"), name)
