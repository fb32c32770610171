"""What diffusion models are trained for: the velocity of noisy latents, offline and block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.network.text import share_text_encoders
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training.control_drops import require_known_controls, with_dropped_controls
from lmdm_adapter.training.draws import normal, torch_draws
from lmdm_adapter.training.drops import DropConfig, kept_blocks, newest_frames
from lmdm_adapter.training.flow import noised, per_frame, shifted_levels
from lmdm_adapter.training.guide import Guide, Velocity
from lmdm_adapter.training.lora import add_like, merge_adapters
from lmdm_adapter.training.prompts import conditioning_of, with_dropped_prompts

SHORT_WINDOW_SHIFT = 0.5  # arXiv 2605.22717: the odds of noise are multiplied by e^0.5 for windows up to 256 frames


@dataclass(frozen=True)
class FlowConfig:
    """Noise and drops of a flow objective; `seed` fixes all its draws."""

    shift: float = SHORT_WINDOW_SHIFT
    drops: DropConfig = field(default_factory=DropConfig)
    seed: int = 0


class OfflineObjective(nn.Module):
    """Rectified flow over whole windows with the host's own forward; trains the DiT and its conditioners."""

    def __init__(self, network: Network, config: FlowConfig, *, seconds: float) -> None:
        super().__init__()
        self.network, self.config, self.seconds = require_flow(network), config, seconds

    def forward(self, latents: Tensor, prompts: Sequence[str], step: int) -> dict[str, Tensor]:
        """The loss on latents `b c n`: mean squared error of the velocity."""
        config, device = self.config, latents.device
        told = told_in_training(self.network, prompts, config, seconds=self.seconds, device=device, step=step)
        generator = torch_draws(config.seed, step, "levels")
        t = shifted_levels((len(latents),), mu=config.shift, generator=generator).to(device)
        eps = normal(latents.shape, seed=config.seed, step=step, purpose="noise", device=device)
        mixed = noised(latents, t, eps)
        velocity = self.network.dit(mixed.x_t, t, cross=told.cross, global_cond=told.global_cond)
        return {"loss": F.mse_loss(velocity.float(), mixed.velocity)}


class _OnBlocks(nn.Module):
    """What both objectives on blocks hold; `checkpointed` trades a second forward pass for memory.

    With a `guide` they learn its guided velocity instead of the one that made the noisy latents.
    Raises LmdmError for a model that is no rectified flow, or drops of frame controls that it does not have.
    """

    def __init__(
        self, network: Network, config: FlowConfig, *, spec: BlockSpec, seconds: float, checkpointed: bool = False,
        guide: Guide | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.config = require_flow(network), config
        self.spec, self.seconds, self.checkpointed, self.guide = spec, seconds, checkpointed, guide
        require_known_controls(network.config.dit.further_controls, config.drops)

    def _loss(self, velocity: Velocity, truth: Tensor, prompts: Sequence[str], *, step: int) -> dict[str, Tensor]:
        """The mean squared error of the network's velocity, from `truth` (`b c n`) or from the guide's."""
        kept = {"seconds": self.seconds, "device": truth.device, "step": step}
        if self.guide is not None:
            truth = self.guide(velocity, told_in_training(self.guide.network, prompts, self.config, **kept))
        told = told_in_training(self.network, prompts, self.config, **kept)
        return {"loss": F.mse_loss(velocity(self.network, told, 1).float(), truth)}

    def _target_controls(self, own: Tensor | None, copies: int) -> Tensor | None:
        return None if self.guide is None else self.guide.target_controls(own, copies)


class BlockObjective(_OnBlocks):
    """Rectified flow on every block of a sequence at once, through the parallel forward that equals play (law 2)."""

    def forward(
        self, latents: Tensor, prompts: Sequence[str], lengths_frames: tuple[int, ...], controls: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:  # fmt: skip
        """The loss on latents `b c n` cut into blocks, with frame controls `b e n` or None.

        Every block has a noise level and a context drop of its own.
        """
        config, spec, device = self.config, self.spec, latents.device
        shape = (len(latents), len(lengths_frames))
        t = shifted_levels(shape, mu=config.shift, generator=torch_draws(config.seed, step, "levels")).to(device)
        eps = normal(latents.shape, seed=config.seed, step=step, purpose="noise", device=device)
        mixed = noised(latents, per_frame(t, lengths_frames), eps)
        kept = kept_blocks(
            *shape, context_blocks=spec.context_blocks, drops=config.drops,
            generator=torch_draws(config.seed, step, "context drops"),
        ).to(device)  # fmt: skip
        controls = controls_in_training(self.network, controls, config, step=step)

        def velocity(network: Network, told: Conditioning, copies: int) -> Tensor:
            return parallel_velocity(
                network.dit, _copied(latents, copies), _copied(mixed.x_t, copies), _copied(t, copies),
                lengths_frames=lengths_frames, context_blocks=spec.context_blocks, cross=told.cross,
                prefix_distance=spec.prefix_distance, global_cond=told.global_cond, checkpointed=self.checkpointed,
                kept_blocks=_copied(kept, copies), controls=_copied(controls, copies),
                target_controls=self._target_controls(controls, copies),
            )  # fmt: skip

        return self._loss(velocity, mixed.velocity, prompts, step=step)


class WindowObjective(_OnBlocks):
    """Rectified flow on the last block of every row, after a context that hears all of itself (encoder-decoder)."""

    def forward(
        self, latents: Tensor, prompts: Sequence[str], lengths_frames: tuple[int, ...], controls: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:  # fmt: skip
        """The loss on windows `b c n` of context blocks and one block more, with frame controls `b e n` or None.

        Every row has a noise level and a context drop of its own.
        """
        config, device, rows = self.config, latents.device, len(latents)
        context, clean = latents.split([sum(lengths_frames[:-1]), lengths_frames[-1]], dim=-1)
        t = shifted_levels((rows,), mu=config.shift, generator=torch_draws(config.seed, step, "levels")).to(device)
        eps = normal(clean.shape, seed=config.seed, step=step, purpose="noise", device=device)
        mixed = noised(clean, t, eps)
        kept = kept_blocks(
            rows, 1, context_blocks=self.spec.context_blocks, drops=config.drops,
            generator=torch_draws(config.seed, step, "context drops"),
        )  # fmt: skip
        kept_frames = newest_frames(kept[:, 0], lengths_frames[:-1]).to(device)
        controls = controls_in_training(self.network, controls, config, step=step)

        def velocity(network: Network, told: Conditioning, copies: int) -> Tensor:
            return window_velocity(
                network.dit, _copied(context, copies), _copied(mixed.x_t, copies), _copied(t, copies),
                prefix_distance=self.spec.prefix_distance, cross=told.cross, global_cond=told.global_cond,
                controls=_copied(controls, copies), kept_frames=_copied(kept_frames, copies),
                target_controls=self._target_controls(_newest(controls, lengths_frames[-1]), copies),
                checkpointed=self.checkpointed,
            )  # fmt: skip

        return self._loss(velocity, mixed.velocity, prompts, step=step)


_Rows = TypeVar("_Rows", Tensor, "Tensor | None")


def _copied(rows: _Rows, copies: int) -> _Rows:
    """A batch behind itself, as the branches of guidance lie."""
    return rows if rows is None or copies == 1 else rows.repeat(copies, *[1] * (rows.ndim - 1))


def _newest(controls: Tensor | None, frames: int) -> Tensor | None:
    return None if controls is None else controls[..., -frames:]


def told_in_training(
    network: Network, prompts: Sequence[str], config: FlowConfig, *, seconds: float, device: torch.device, step: int
) -> Conditioning:
    """What a batch is told: its prompts, some of them dropped, and the settings of play."""
    told = conditioning_of(network, prompts, seconds=seconds, device=device)
    return replace(told, cross=with_dropped_prompts(told.cross, drops=config.drops, seed=config.seed, step=step))


def controls_in_training(network: Network, controls: Tensor | None, config: FlowConfig, *, step: int) -> Tensor | None:
    """Frame controls `b e n` of a batch, some of them dropped in some rows."""
    further = network.config.dit.further_controls
    return with_dropped_controls(controls, frame_controls=further, drops=config.drops, seed=config.seed, step=step)


def require_flow(network: Network) -> Network:
    """The network itself; refuses one that is no rectified flow."""
    if network.config.dit.objective == "v":
        raise LmdmError("This recipe trains rectified flows; the v objective of this model is not supported here.")
    return network


def set_trainable(network: Network) -> Network:
    """Let everything learn but the codec; for networks that own their tensors. Returns the network."""
    network.requires_grad_(True)
    if network.config.codec is not None:
        network.autoencoder.requires_grad_(False)
    return network


def rebuilt(network: Network) -> Network:
    """A copy of the network on the CPU, with tensors of its own, and with its adapters if it has some."""
    copied = add_like(Network(network.config), network)
    copied.load_state_dict({name: value.detach().cpu() for name, value in network.state_dict().items()})
    share_text_encoders(network, copied)
    return copied


def averaged(network: Network, average: dict[str, Tensor]) -> Network:
    """A copy of the network with the averaged weights of an objective (names begin with `network.`), for inference.

    Adapters are merged: its keys are the host's.
    """
    copied = rebuilt(network).requires_grad_(False).eval()
    parameters = dict(copied.named_parameters())
    with torch.no_grad():
        for name, value in average.items():
            parameters[name.removeprefix("network.")].copy_(value)
        return merge_adapters(copied)
