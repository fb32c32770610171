"""A judge of rollouts: how real do these latents sound, frame by frame, given their prompt?

The trunk is the offline model that the student comes from: bidirectional, and at home with noisy latents. A small head
of convolutions reads its hidden states (arXiv 2605.22717, ARC-Forcing; the head's blocks are ConvNeXt's, 2201.03545).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import Network
from lmdm_adapter.spec import require_choice
from lmdm_adapter.state import Conditioning
from lmdm_adapter.training.lora import LoraConfig, add_adapters

Trained = Literal["full", "lora", "head"]
KERNEL_FRAMES = 7
EXPANSION = 4


@dataclass(frozen=True)
class LatentJudgeConfig:
    """`trunk_share` of the layers are read (12 of 16 in the paper), `channels` and `strides` are the head's stages.

    `trained` says what learns beside the head: the whole trunk, adapters on it (`lora`), or nothing. `hears_controls`
    shows it the frame controls of a student that has some.
    Raises LmdmError for sizes that do not fit.
    """

    trunk_share: float = 0.75
    channels: tuple[int, ...] = (128, 256, 512)
    strides: tuple[int, ...] = (1, 2, 2)
    trained: Trained = "full"
    lora: LoraConfig = LoraConfig()
    checkpointed: bool = False
    hears_controls: bool = True

    def __post_init__(self) -> None:
        require_choice("trained part of the discriminator", self.trained, Trained)
        if not 0.0 < self.trunk_share <= 1.0:
            raise LmdmError(f"trunk_share must be above 0 and at most 1, got {self.trunk_share}.")
        if (self.trained == "lora") != (self.lora.rank > 0):
            raise LmdmError(
                f"The discriminator's adapters have rank {self.lora.rank} while {self.trained!r} is trained; give a "
                "rank of at least 1 with lora, and 0 without."
            )
        if not self.channels or len(self.channels) != len(self.strides) or min(*self.channels, *self.strides) < 1:
            raise LmdmError(f"The head needs as many strides as channels, all at least 1, got {self}.")


class LatentJudge(nn.Module):
    """The trunk of an offline network, which must own its tensors, and a head that is drawn from `seed`.

    Frame controls of `control_channels` enter beside the latents, through a matrix of zeros that learns whatever else
    does: a judge who does not hear what was asked for cannot tell whether it was followed.
    """

    def __init__(
        self, network: Network, config: LatentJudgeConfig, *, seed: int = 0, control_channels: int = 0
    ) -> None:
        super().__init__()
        self.network, self.config = network.requires_grad_(False), config
        dit = network.dit
        self.layers = max(1, math.floor(config.trunk_share * dit.config.depth + 0.5))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = Head(dit.config.embed_dim, config.channels, config.strides)
        self.hear_controls: nn.Linear | None = None
        if control_channels and config.hears_controls:
            self.hear_controls = nn.Linear(control_channels, dit.config.embed_dim, bias=False)
            nn.init.zeros_(self.hear_controls.weight)
        if config.trained == "full":
            for part in trunk_parts(network, self.layers):
                part.requires_grad_(True)
        elif config.trained == "lora":
            add_adapters(network, config.lora, seed=seed)
            dit.transformer.layers[self.layers :].requires_grad_(False)

    def forward(
        self, x_t: Tensor, t: Tensor, told: Conditioning, *, first_frame: int, controls: Tensor | None = None
    ) -> Tensor:
        """Scores `b f` of noisy latents `b c n` at levels `t` (`b`); only frames from `first_frame` on are judged.

        `controls` are the frame controls `b e n` that were asked for, the accompaniment at its own place. High is real.
        A score covers as many frames as the head's strides multiply to.
        """
        dit, added = self.network.dit, None
        if controls is not None and self.hear_controls is not None:
            added = self.hear_controls(rearrange(controls, "b e n -> b n e"))
        hidden = dit.offline_hidden(
            x_t, t, prompt=dit.prompt_keys_values(told.cross), global_cond=told.global_cond, layers=self.layers,
            checkpointed=self.config.checkpointed, added=added,
        )  # fmt: skip
        return self.head(hidden[:, first_frame:])


def trunk_parts(network: Network, layers: int) -> list[nn.Module]:
    """The modules that a score depends on: inputs and the first `layers` layers, not what comes after them."""
    dit = network.dit
    inputs = [dit.timestep_features, dit.to_timestep_embed, dit.preprocess_conv, dit.transformer.project_in]
    optional = [getattr(dit, name) for name in ("to_cond_embed", "to_global_embed") if hasattr(dit, name)]
    return [*inputs, *optional, *dit.transformer.layers[:layers]]


class Head(nn.Module):
    """Hidden states `b n d` to scores `b f`: one for as many frames as the strides multiply to, or the last few."""

    def __init__(self, width: int, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        widths, stages = (width, *channels), []
        for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True):
            stages += [nn.Conv1d(before, after, kernel_size=stride, stride=stride), ConvNeXtBlock(after)]
        self.stride = math.prod(strides)
        self.norm = nn.LayerNorm(width)
        self.stages = nn.Sequential(*stages)
        self.score = nn.Conv1d(channels[-1], 1, kernel_size=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """`b n d -> b f`."""
        x = rearrange(self.norm(hidden), "b n d -> b d n")
        x = nn.functional.pad(x, (0, -x.shape[-1] % self.stride))  # the last frames get a score too
        return self.score(self.stages(x))[:, 0]


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution over time, then a feed-forward over channels, on a residual branch; `b c n -> b c n`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, KERNEL_FRAMES, padding=KERNEL_FRAMES // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen, self.narrow = nn.Linear(channels, EXPANSION * channels), nn.Linear(EXPANSION * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """`b c n -> b c n`."""
        inner = rearrange(self.depthwise(x), "b c n -> b n c")
        inner = self.narrow(nn.functional.gelu(self.widen(self.norm(inner))))
        return x + rearrange(inner, "b n c -> b c n")
