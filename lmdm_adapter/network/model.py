"""A whole checkpoint as one module: DiT, codec and conditioners under the host's keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.conditioners import ConditionerConfig, Conditioners, build_conditioners
from lmdm_adapter.network.dit import DiT, DiTConfig
from lmdm_adapter.network.mismatch import refuse_mismatch
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig

CONTROL_PROJECTION = "model.model.to_input_add_embed."


@dataclass(frozen=True)
class NetworkConfig:
    """Everything needed to build the network of a checkpoint.

    `sample_size` is the length in samples that the checkpoint was trained on, `codec_scale` divides latents,
    `cross_ids` and `global_ids` name the conditioners that feed cross-attention and the prefix token.
    """

    dit: DiTConfig
    sample_rate: int
    sample_size: int | None = None
    codec: OobleckConfig | None = None
    codec_scale: float = 1.0
    conditioners: tuple[ConditionerConfig, ...] = ()
    cond_dim: int = 0
    default_keys: tuple[tuple[str, str], ...] = ()
    cross_ids: tuple[str, ...] = ()
    global_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or not 0 < self.codec_scale < float("inf"):
            raise LmdmError(f"sample_rate {self.sample_rate} and codec scale {self.codec_scale} must be positive.")
        if self.conditioners and self.cond_dim < 1:
            raise LmdmError(f"cond_dim must be at least 1, got {self.cond_dim}.")
        if self.cross_ids and not self.dit.cond_token_dim or self.global_ids and not self.dit.global_cond_dim:
            raise LmdmError("The config feeds conditioning to a network with cond_token_dim or global_cond_dim of 0.")
        if self.codec is not None and self.codec.latent_channels != self.dit.io_channels:
            raise LmdmError(
                f"The codec has {self.codec.latent_channels} latent channels, the DiT takes {self.dit.io_channels}."
            )


class Network(nn.Module):
    """Holds the parts of a checkpoint so that `state_dict()` has exactly the host's keys."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.model = nn.ModuleDict({"model": DiT(config.dit)})
        if config.conditioners:
            _refuse_unfed(config)
            self.conditioner = build_conditioners(
                config.conditioners, config.cond_dim, default_keys=dict(config.default_keys)
            )
        if config.codec is not None:
            self.pretransform = nn.ModuleDict({"model": AudioAutoencoder(config.codec)})

    @property
    def dit(self) -> DiT:
        """The diffusion transformer."""
        return cast(DiT, self.model["model"])

    @property
    def conditioners(self) -> Conditioners:
        """The conditioners; LmdmError for a model that has none."""
        if not self.config.conditioners:
            raise LmdmError("This model has no conditioners; give the conditioning as tensors.")
        return self.conditioner

    @property
    def autoencoder(self) -> AudioAutoencoder:
        """The codec's autoencoder; LmdmError for a model without one."""
        if self.config.codec is None:
            raise LmdmError("This model has no codec; it can make latents but no audio.")
        return cast(AudioAutoencoder, self.pretransform["model"])

    def adapter_keys(self) -> set[str]:
        """Keys that conversion added and hosts do not know: frame controls and offline conditioners."""
        ours = [f"conditioner.conditioners.{c.id}." for c in self.config.conditioners if not c.known_to_hosts]
        prefixes = (CONTROL_PROJECTION, *ours)
        return {key for key in self.state_dict() if key.startswith(prefixes)}


def _refuse_unfed(config: NetworkConfig) -> None:
    known = {conditioner.id for conditioner in config.conditioners}
    for name in (*config.cross_ids, *config.global_ids):
        if name not in known:
            raise LmdmError(f"The config feeds {name!r} to the network, but no conditioner has that id.")


def build(config: NetworkConfig, tensors: Mapping[str, Tensor]) -> Network:
    """A network whose parameters and buffers *are* `tensors`: nothing copied, renamed, missing or left over.

    Parameters do not require gradients; the caller's tensors keep their own flags. Raises LmdmError naming the
    first key that is missing, unknown, of another shape or of another kind of number, and what the config says of it.
    """
    with torch.device("meta"):
        network = Network(config)
    refuse_mismatch(config, network.state_dict(), tensors)
    learned = dict(network.named_parameters())
    owned = {
        key: nn.Parameter(value.detach(), requires_grad=False) if key in learned else value.detach()
        for key, value in tensors.items()
    }
    network.load_state_dict(owned, strict=True, assign=True)
    return network.requires_grad_(False).eval()
