"""A toy DiT with drawn weights, and conditioning for it, for laws about blocks."""

from __future__ import annotations

import torch

from lmdm_adapter.network.dit import DiT, DiTConfig
from lmdm_adapter.section import context_controls
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.state import Conditioning
from tests.randomise import randomise

CHANNELS, CROSS_WIDTH = 4, 16
SPEC = BlockSpec(block_frames=5, context_blocks=2)


def toy_dit(seed: int = 0, *, extra_controls: int = 0, drawn: bool = True, **changes: object) -> DiT:
    """A small converted DiT; `drawn=False` leaves it as a host initialises it: zero output projections."""
    controls = context_controls(CHANNELS) + ((("sketch", extra_controls),) if extra_controls else ())
    settings = {"cond_token_dim": CROSS_WIDTH, "global_cond_dim": CROSS_WIDTH, "qk_norm": "ln", **changes}
    config = DiTConfig(io_channels=CHANNELS, embed_dim=64, depth=3, num_heads=2, frame_controls=controls, **settings)
    dit = DiT(config)
    randomise(dit, seed)
    if not drawn:
        zero_like_a_host(dit)
    return dit.requires_grad_(False).eval()


def zero_like_a_host(dit: DiT) -> None:
    """The zero initialisation of a freshly built host, which hides every mistake in attention."""
    with torch.no_grad():
        for layer in dit.transformer.layers:
            for linear in (layer.self_attn.to_out, layer.cross_attn.to_out, layer.ff.ff[2]):
                linear.weight.zero_()
                if linear.bias is not None:
                    linear.bias.zero_()
        dit.preprocess_conv.weight.zero_()
        dit.postprocess_conv.weight.zero_()


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Unit normal numbers from a seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conditioning(rows: int = 1, *, seed: int = 100) -> Conditioning:
    """Random prompt features of three tokens, and global conditioning."""
    return Conditioning(draw(rows, 3, CROSS_WIDTH, seed=seed), global_cond=draw(rows, CROSS_WIDTH, seed=seed + 1))
