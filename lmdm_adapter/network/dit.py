"""The diffusion transformer: tokens in, velocity out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.attention import KeysValues
from lmdm_adapter.network.control_projection import ControlProjection
from lmdm_adapter.network.rope import rotate
from lmdm_adapter.network.transformer import MIN_ROTARY_WIDTH, Transformer
from lmdm_adapter.spec import Objective, require_choice

TIMESTEP_FEATURES = 256


@dataclass(frozen=True)
class DiTConfig:
    """Shape of a DiT with prefix-token conditioning; field names follow the host's config.

    `input_concat_dim` is 0, or 1 + `io_channels` for an inpainting model, whose input layer also takes a mask and the
    latents that are given. `frame_controls` lists (name, channels) of what `to_input_add_embed` takes, mask and context
    latents first; it is empty for an offline checkpoint, which has no such projection. `split_qkv` says that
    self-attention lies on disk as `to_q` and `to_kv`.
    """

    io_channels: int
    embed_dim: int
    depth: int
    num_heads: int
    cond_token_dim: int = 0
    project_cond_tokens: bool = True
    global_cond_dim: int = 0
    project_global_cond: bool = True
    qk_norm: str = "none"
    objective: Objective = "rectified_flow"
    input_concat_dim: int = 0
    frame_controls: tuple[tuple[str, int], ...] = ()
    split_qkv: bool = False

    def __post_init__(self) -> None:
        require_choice("diffusion objective", self.objective, Objective)
        for name in ("io_channels", "embed_dim", "depth", "num_heads"):
            if getattr(self, name) < 1:
                raise LmdmError(f"A DiT needs {name} of at least 1, got {getattr(self, name)}.")
        if min(self.cond_token_dim, self.global_cond_dim) < 0:
            raise LmdmError("cond_token_dim and global_cond_dim must not be negative.")
        if self.embed_dim % self.num_heads:
            raise LmdmError(f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}.")
        if self.embed_dim // self.num_heads < MIN_ROTARY_WIDTH:
            raise LmdmError(
                f"Heads must be at least {MIN_ROTARY_WIDTH} wide for rotary positions; "
                f"{self.num_heads} heads of {self.embed_dim // self.num_heads} are not."
            )
        if self.input_concat_dim not in (0, 1 + self.io_channels):
            raise LmdmError(
                f"input_concat_dim {self.input_concat_dim} is not supported; an inpainting model has "
                f"{1 + self.io_channels} (a mask and {self.io_channels} latent channels), others 0."
            )
        if self.frame_controls and [c for _, c in self.frame_controls[:2]] != [1, self.io_channels]:
            raise LmdmError(
                f"frame_controls must begin with a 1-channel mask and {self.io_channels} context latents, "
                f"got {list(self.frame_controls)}."
            )

    @property
    def cross_width(self) -> int:
        """Width of the cross-attention input after projection; 0 without a prompt."""
        return self.embed_dim if self.cond_token_dim and self.project_cond_tokens else self.cond_token_dim

    @property
    def extra_control_channels(self) -> int:
        """Channels of the frame controls besides mask and context latents."""
        return sum(channels for _, channels in self.further_controls)

    @property
    def further_controls(self) -> tuple[tuple[str, int], ...]:
        """Names and channels of the frame controls besides mask and context latents."""
        return self.frame_controls[2:]


class FourierFeatures(nn.Module):
    """Learned frequencies of the noise level; `weight` is saved with the checkpoint."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features // 2, 1))

    def forward(self, t: Tensor) -> Tensor:
        """Noise levels `b` to features `b f`."""
        angles = 2 * math.pi * t[:, None] @ self.weight.T
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


def _mlp(inputs: int, outputs: int, *, bias: bool) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=bias), nn.SiLU(), nn.Linear(outputs, outputs, bias=bias))


class DiT(nn.Module):
    """Stable Audio's diffusion transformer with a prefix token, under the host's parameter names."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width, inputs = config.embed_dim, config.io_channels + config.input_concat_dim
        self.timestep_features = FourierFeatures(TIMESTEP_FEATURES)
        self.to_timestep_embed = _mlp(TIMESTEP_FEATURES, width, bias=True)
        if config.cond_token_dim:
            self.to_cond_embed = _mlp(config.cond_token_dim, config.cross_width, bias=False)
        if config.global_cond_dim:
            global_width = width if config.project_global_cond else config.global_cond_dim
            self.to_global_embed = _mlp(config.global_cond_dim, global_width, bias=False)
        self.transformer = Transformer(
            width, config.depth, head_dim=width // config.num_heads, in_channels=inputs,
            out_channels=config.io_channels, cross_width=config.cross_width, qk_norm=config.qk_norm,
            split_qkv=config.split_qkv,
        )  # fmt: skip
        self.preprocess_conv = nn.Conv1d(inputs, inputs, 1, bias=False)
        self.postprocess_conv = nn.Conv1d(config.io_channels, config.io_channels, 1, bias=False)
        if config.frame_controls:
            widths = (1 + config.io_channels, *(channels for _, channels in config.further_controls))
            self.to_input_add_embed = ControlProjection(widths, width)

    def prompt_keys_values(self, cross: Tensor | None) -> list[KeysValues] | None:
        """Cross-attention K/V of every layer for the prompt features `b m d`; None without a prompt."""
        if cross is None:
            return None
        cross = self.to_cond_embed(cross.to(self.dtype))
        return [layer.cross_attn.keys_values(cross) for layer in self.transformer.layers]

    def prefix_token(self, t: Tensor, global_cond: Tensor | None) -> Tensor:
        """The token that carries noise level `t` (`b`) and global conditioning (`b g`): `b 1 d`."""
        token = self.to_timestep_embed(self.timestep_features(t.to(self.dtype)))
        if global_cond is not None:
            token = token + self.to_global_embed(global_cond.to(self.dtype))
        return token[:, None]

    def noisy_tokens(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        """Input projection of noisy latents, `b c n -> b n d`, as the stock model does it.

        `given` (`b (1 + c) n`) is for inpainting models: 1 and clean latents where a frame is given, zeros where it is
        to be made. None gives nothing.
        """
        x = x.to(self.dtype)
        if self.config.input_concat_dim:
            given = x.new_zeros(x.shape[0], self.config.input_concat_dim, x.shape[-1]) if given is None else given
            x = torch.cat([x, given.to(self.dtype)], dim=1)
        return self.transformer.project_in(rearrange(self.preprocess_conv(x) + x, "b c n -> b n c"))

    def target_tokens(self, x: Tensor, controls: Tensor | None) -> Tensor:
        """Tokens of a block being denoised: noisy latents `b c n` plus its frame controls `b e n`: `b n d`."""
        return self.noisy_tokens(x) + self._added(torch.zeros_like(x[:, :1]), torch.zeros_like(x), controls)

    def context_tokens(self, clean: Tensor, controls: Tensor | None) -> Tensor:
        """Tokens of finished blocks: clean latents enter through the frame-control projection alone: `b n d`."""
        return self._added(torch.ones_like(clean[:, :1]), clean, controls)

    def _added(self, mask: Tensor, context: Tensor, controls: Tensor | None) -> Tensor:
        extra = self.config.extra_control_channels
        if controls is not None and controls.shape[1] != extra:
            raise LmdmError(f"This model takes {extra} frame-control channels, got {controls.shape[1]}.")
        given = (torch.cat([mask, context], dim=1), None if controls is None or not extra else controls)
        return self.to_input_add_embed(
            *(None if part is None else rearrange(part.to(self.dtype), "b c n -> b n c") for part in given)
        )

    def velocity(self, hidden: Tensor) -> Tensor:
        """Output projection of target tokens, `b n d -> b c n`."""
        out = rearrange(self.transformer.project_out(hidden), "b n c -> b c n")
        return self.postprocess_conv(out) + out

    def forward(
        self, x: Tensor, t: Tensor, *, cross: Tensor | None = None, global_cond: Tensor | None = None,
        given: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The host's own offline pass: noisy `b c n` at levels `b`, full attention, stock positions: `b c n`."""
        return self.offline(x, t, prompt=self.prompt_keys_values(cross), global_cond=global_cond, given=given)

    def offline(
        self, x: Tensor, t: Tensor, *, prompt: Sequence[KeysValues] | None, global_cond: Tensor | None,
        given: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """`forward` with the prompt's cross K/V, which serve many passes; `given` as in `noisy_tokens`."""
        return self.velocity(self.offline_hidden(x, t, prompt=prompt, global_cond=global_cond, given=given))

    def offline_hidden(
        self, x: Tensor, t: Tensor, *, prompt: Sequence[KeysValues] | None, global_cond: Tensor | None,
        given: Tensor | None = None, layers: int | None = None, checkpointed: bool = False,
        added: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Hidden states of the frames in the offline pass, `b n d`, after `layers` layers or all of them.

        `added` (`b n d`) is added to the frames' tokens.
        """
        frames = self.noisy_tokens(x, given)
        frames = frames if added is None else frames + added
        tokens = torch.cat([self.prefix_token(t, global_cond), frames], dim=1)
        rotation = self.transformer.rotary_pos_emb(torch.arange(tokens.shape[1], device=x.device))

        def attend(_layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v)

        return self.transformer(tokens, prompt, attend, layers=layers, checkpointed=checkpointed)[:, 1:]

    @property
    def dtype(self) -> torch.dtype:
        """Parameter dtype; inputs are cast to it, as the host does."""
        return self.preprocess_conv.weight.dtype
