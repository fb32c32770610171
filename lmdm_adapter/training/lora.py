"""Low-rank adapters for training: small matrices learn beside frozen ones, and are added to them at the end.

The layers are those of the library peft (LoRA, arXiv 2106.09685).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import CONTROL_PROJECTION, Network
from lmdm_adapter.network.transformer import Transformer

ADAPTER = "default"


@dataclass(frozen=True)
class LoraConfig:
    """Adapters of `rank` on the layers of the transformer that are named in `targets`; rank 0 trains without any.

    What an adapter says is multiplied by `alpha / rank`. `targets` are parts of a transformer layer, such as
    "self_attn", or one linear layer in it, such as "cross_attn.to_q"; all linear layers of a part get adapters. There
    is no dropout: what a step draws depends on its number alone.
    """

    rank: int = 0
    alpha: float = 16.0
    targets: tuple[str, ...] = ("self_attn", "cross_attn", "ff")

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise LmdmError(f"The rank of LoRA is at least 1, or 0 for none, got {self.rank}.")
        if not 0.0 < self.alpha < float("inf"):
            raise LmdmError(f"The alpha of LoRA must be a positive number, got {self.alpha}.")
        if not self.targets:
            raise LmdmError("LoRA needs at least one target, such as self_attn; rank 0 trains without adapters.")


def require_peft() -> None:
    """Refuse to go on without peft. Recipes ask first, before they spend hours on songs."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise LmdmError("LoRA needs peft: pip install 'lmdm-adapter[lora]'.") from error


def add_adapters(network: Network, config: LoraConfig, *, seed: int) -> Network:
    """Put adapters into a network that owns its tensors, and let them and the frame-control projection learn alone.

    Fresh adapters change nothing. Returns the network. Raises LmdmError without peft, and for a target that is no
    linear layer of the transformer.
    """
    require_peft()
    import peft

    transformer = network.requires_grad_(False).dit.transformer
    names = _targeted(transformer, config.targets)
    settings = peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=names)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(settings, transformer, ADAPTER)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(_is_adapter(name) or name.startswith(CONTROL_PROJECTION))
    return network


def add_like(network: Network, other: Network) -> Network:
    """Put adapters into `network` where `other` has some, with the same settings. Returns the network."""
    if any(_is_adapter(name) for name, _ in other.named_parameters()):
        import peft

        peft.inject_adapter_in_model(other.dit.transformer.peft_config[ADAPTER], network.dit.transformer, ADAPTER)
    return network


def merge_adapters(network: Network) -> Network:
    """Add the adapters of a network to its weights and take them out: its keys are the host's again. Returns it."""
    if any(_is_adapter(name) for name, _ in network.named_parameters()):
        from peft.tuners.tuners_utils import BaseTunerLayer

        transformer = network.dit.transformer
        adapted = [(name, layer) for name, layer in transformer.named_modules() if isinstance(layer, BaseTunerLayer)]
        for name, layer in adapted:
            layer.merge()
            transformer.set_submodule(name, layer.get_base_layer())
        del transformer.peft_config
    return network


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _targeted(transformer: Transformer, targets: tuple[str, ...]) -> list[str]:
    """Names of all linear layers that are meant. Raises LmdmError for a target that a layer does not have."""
    names = []
    linear = [name for name, layer in transformer.layers[0].named_modules() if isinstance(layer, nn.Linear)]
    for target in targets:
        own = [name for name in linear if name == target or name.startswith(f"{target}.")]
        if not own:
            raise LmdmError(f"A layer has no {target!r} for LoRA; its linear layers are {', '.join(linear)}.")
        names += own
    return [f"layers.{index}.{name}" for index in range(len(transformer.layers)) for name in dict.fromkeys(names)]
