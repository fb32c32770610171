"""Shapes of published checkpoints, by name; a benchmark needs no weights, only their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from lmdm_adapter.network.dit import DiTConfig
from lmdm_adapter.network.model import NetworkConfig
from lmdm_adapter.network.oobleck import OobleckConfig
from lmdm_adapter.section import context_controls
from lmdm_adapter.spec import BlockSpec

T5_BASE_PARAMETERS = 109_628_544


@dataclass(frozen=True)
class Shape:
    """Sizes of one checkpoint: its converted DiT, its codec, the tokens of its prompt; and the blocks it plays.

    `text_encoder_parameters` are those of a text encoder that is loaded beside the checkpoint.
    """

    dit: DiTConfig
    codec: OobleckConfig
    sample_rate: int
    prompt_tokens: int
    spec: BlockSpec = BlockSpec()
    text_encoder_parameters: int = 0

    @property
    def network(self) -> NetworkConfig:
        """DiT with its context projection, and codec; conditioners run once per prompt and are left out."""
        dit = replace(self.dit, frame_controls=context_controls(self.dit.io_channels))
        return NetworkConfig(dit, self.sample_rate, codec=self.codec)


SHAPES: Mapping[str, Shape] = {
    "sao-small": Shape(
        DiTConfig(
            io_channels=64, embed_dim=1024, depth=16, num_heads=8, cond_token_dim=768, global_cond_dim=768, qk_norm="ln"
        ),
        OobleckConfig(), sample_rate=44100, prompt_tokens=65, text_encoder_parameters=T5_BASE_PARAMETERS,
    ),
    "sao-1.0": Shape(
        DiTConfig(
            io_channels=64, embed_dim=1536, depth=24, num_heads=24, cond_token_dim=768, project_cond_tokens=False,
            global_cond_dim=1536, objective="v",
        ),
        OobleckConfig(), sample_rate=44100, prompt_tokens=130, text_encoder_parameters=T5_BASE_PARAMETERS,
    ),
    "tiny": Shape(
        DiTConfig(
            io_channels=32, embed_dim=256, depth=6, num_heads=4, cond_token_dim=128, global_cond_dim=128, qk_norm="ln"
        ),
        OobleckConfig(audio_channels=1, channels=16, c_mults=(2, 4, 8, 16), strides=(4, 4, 8, 8), latent_channels=32),
        sample_rate=22050, prompt_tokens=16, spec=BlockSpec(block_frames=12, context_blocks=16),
    ),
}  # fmt: skip
