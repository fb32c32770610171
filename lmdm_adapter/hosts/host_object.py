"""A live stable-audio-tools object: its config, read from attributes and shapes, and its tensors, untouched.

Nothing of the host is imported: a host object is recognised by its attributes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import refuse_other_inputs
from lmdm_adapter.network.conditioners import ConditionerConfig
from lmdm_adapter.network.dit import DiTConfig
from lmdm_adapter.network.model import Network, NetworkConfig
from lmdm_adapter.network.oobleck import OobleckConfig
from lmdm_adapter.network.text import T5_WIDTHS, T5Conditioner, TextEncoder
from lmdm_adapter.network.transformer import NORM_EPS

WRAPPER_ATTRIBUTES = ("model", "conditioner", "io_channels", "sample_rate", "cross_attn_cond_ids", "global_cond_ids")


def is_host_object(thing: object) -> bool:
    """Whether `thing` looks like the host's `ConditionedDiffusionModelWrapper`."""
    return isinstance(thing, nn.Module) and all(hasattr(thing, name) for name in WRAPPER_ATTRIBUTES)


def host_tensors(host: nn.Module) -> dict[str, Tensor]:
    """The host's state dict, its own tensors. Raises LmdmError for hooked or parametrised modules (LoRA)."""
    for name, module in host.named_modules():
        if parametrize.is_parametrized(module):
            raise LmdmError(f"{name} is parametrised (LoRA?); merge it into the weights first.")
        if module._forward_hooks or (module._forward_pre_hooks and not _is_weight_norm(module)):
            raise LmdmError(f"{name} has forward hooks that a conversion would lose; remove them first.")
    return dict(host.state_dict())


def _is_weight_norm(module: nn.Module) -> bool:
    """The codec's weight norm is a hook too, one that our own network knows."""
    return all(type(hook).__name__ == "WeightNorm" for hook in module._forward_pre_hooks.values())


def network_config_of(host: Any) -> NetworkConfig:
    """Everything that `build` needs and tensors do not show, from the attributes of a host object.

    Raises LmdmError for what the network does not know: other concatenated inputs than those of inpainting, unknown
    conditioners, other codecs.
    """
    if host.prepend_cond_ids:
        raise LmdmError(f"A host with prepend_cond_ids={host.prepend_cond_ids} is not supported.")
    dit = _dit_config_of(host)
    refuse_other_inputs(host.input_concat_ids, dit)
    codec, scale = _codec_of(host.pretransform)
    conditioners = tuple(_conditioner_of(name, module) for name, module in host.conditioner.conditioners.items())
    widths = {module.output_dim for module in host.conditioner.conditioners.values()}
    return NetworkConfig(
        dit=dit, sample_rate=int(host.sample_rate), codec=codec, codec_scale=scale,
        conditioners=conditioners, cond_dim=max(widths, default=0),
        default_keys=tuple(host.conditioner.default_keys.items()),
        cross_ids=tuple(host.cross_attn_cond_ids), global_ids=tuple(host.global_cond_ids),
    )  # fmt: skip


def _dit_config_of(host: Any) -> DiTConfig:
    dit = host.model.model
    if not hasattr(dit, "transformer"):
        raise LmdmError(f"A host whose network is a {type(dit).__name__} cannot stream; a DiffusionTransformer can.")
    _refuse_other_transformers(dit)
    layers, tensors = dit.transformer.layers, dit.state_dict()
    width = tensors["to_timestep_embed.2.weight"].shape[0]
    cross, global_cond = tensors.get("to_cond_embed.0.weight"), tensors.get("to_global_embed.0.weight")
    return DiTConfig(
        io_channels=int(host.io_channels), embed_dim=width, depth=len(layers), num_heads=layers[0].self_attn.num_heads,
        cond_token_dim=0 if cross is None else cross.shape[1],
        project_cond_tokens=cross is None or cross.shape[0] == width,
        global_cond_dim=0 if global_cond is None else global_cond.shape[1],
        project_global_cond=True, qk_norm=layers[0].self_attn.qk_norm, objective=host.diffusion_objective,
        input_concat_dim=dit.input_concat_dim,
    )  # fmt: skip


def _refuse_other_transformers(dit: Any) -> None:
    """Refuse options that leave no trace in tensor names, and would change the arithmetic silently."""
    transformer, layer = dit.transformer, dit.transformer.layers[0]
    found = {
        "timestep_cond_type": (dit.timestep_cond_type, "global"), "patch_size": (dit.patch_size, 1),
        "causal": (transformer.causal, False), "sliding_window": (transformer.sliding_window, None),
        "feat_scale": (layer.self_attn.feat_scale, False), "norm": (type(layer.pre_norm).__name__, "LayerNorm"),
        "norm_kwargs.eps": (getattr(layer.pre_norm, "eps", NORM_EPS), NORM_EPS),
    }  # fmt: skip
    for name, (value, supported) in found.items():
        if value != supported:
            raise LmdmError(f"The option {name}={value!r} is not supported; only {supported!r} is.")
    if transformer.rotary_pos_emb is None:
        raise LmdmError("A host without rotary positions is not supported.")


def _conditioner_of(name: str, module: Any) -> ConditionerConfig:
    kind = type(module).__name__
    if kind in ("NumberConditioner", "IntConditioner"):
        bounds = {"min_val": module.min_val, "max_val": module.max_val, "output_dim": module.output_dim}
        return ConditionerConfig(name, kind.removesuffix("Conditioner").lower(), bounds)
    if kind == "T5Conditioner":
        return ConditionerConfig(name, "t5", _t5_settings(module))
    supported = "NumberConditioner, IntConditioner and T5Conditioner"
    raise LmdmError(f"The conditioner {name!r} is a {kind}; supported are {supported}.")


def _t5_settings(module: Any) -> dict[str, Any]:
    if module.enable_grad:
        raise LmdmError("A T5 conditioner with enable_grad carries its own T5 weights, which is not supported.")
    if getattr(module, "padding_mode", "zero") != "zero":  # 0.0.19 has no such attribute, and pads with zeros
        raise LmdmError(f"A T5 conditioner with padding_mode={module.padding_mode!r} is not supported; only 'zero' is.")
    name = module.model.config.name_or_path
    if name not in T5_WIDTHS:
        raise LmdmError(f"The host does not say which T5 it uses (its name is {name!r}); pass config=model_config.")
    return {
        "t5_model_name": name, "max_length": module.max_length,
        "project_out": isinstance(module.proj_out, nn.Linear), "output_dim": module.output_dim,
    }  # fmt: skip


def lend_text_encoders(host: Any, network: Network) -> None:
    """Let converted T5 conditioners use the T5 that the host has already loaded; its weights are in no state dict."""
    if not network.config.conditioners:
        return
    for name, ours in network.conditioners.conditioners.items():
        if isinstance(ours, T5Conditioner):
            theirs = host.conditioner.conditioners[name]
            ours.encoder = TextEncoder(theirs.tokenizer, theirs.model)


def _codec_of(pretransform: Any) -> tuple[OobleckConfig | None, float]:
    if pretransform is None:
        return None, 1.0
    autoencoder = getattr(pretransform, "model", None)
    kinds = [type(getattr(autoencoder, part, None)).__name__ for part in ("encoder", "decoder", "bottleneck")]
    if kinds != ["OobleckEncoder", "OobleckDecoder", "VAEBottleneck"]:
        raise LmdmError(f"A codec made of {', '.join(kinds)} is not supported; Oobleck with a VAE bottleneck is.")
    return _oobleck_of(autoencoder), float(pretransform.scale)


def _oobleck_of(autoencoder: Any) -> OobleckConfig:
    layers = list(autoencoder.encoder.layers)
    first, stages = layers[0], [layer.layers[-1] for layer in layers[1:-2]]
    output, ending = list(autoencoder.decoder.layers)[-2:]
    return OobleckConfig(
        audio_channels=autoencoder.io_channels, channels=first.out_channels,
        c_mults=tuple(stage.out_channels // first.out_channels for stage in stages),
        strides=tuple(stage.stride[0] for stage in stages), latent_channels=autoencoder.latent_dim,
        use_snake=type(layers[-2]).__name__ == "SnakeBeta", final_tanh=type(ending).__name__ == "Tanh",
        soft_clip=bool(autoencoder.soft_clip),
    )  # fmt: skip
