"""The flow loss on real music beside another objective, so that what was learned of following is not lost."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lmdm_adapter.network.model import Network
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.training.drops import DropConfig
from lmdm_adapter.training.flow_objectives import BlockObjective, FlowConfig, WindowObjective

NOTHING_DROPPED = DropConfig(no_context=0.0, short_context=0.0, prompt=0.0, jitter_frames=0)


def reconstruction_loss(
    network: Network, latents: Tensor, prompts: Sequence[str], lengths_frames: tuple[int, ...],
    controls: Tensor | None, *, spec: BlockSpec, seconds: float, seed: int, step: int, checkpointed: bool = False,
) -> Tensor:  # fmt: skip
    """Fine-tuning's loss on real clips `b c n` in blocks, with their frame controls `b e n`, nothing dropped.

    Every block of a block-causal model is in it, the last one of an encoder-decoder model.
    """
    config = FlowConfig(drops=NOTHING_DROPPED, seed=seed)
    kind = BlockObjective if spec.regime == "block-causal" else WindowObjective
    if kind is WindowObjective:
        lengths_frames = lengths_frames[-1 - spec.context_blocks :]
        frames = sum(lengths_frames)
        latents, controls = latents[..., -frames:], None if controls is None else controls[..., -frames:]
    objective = kind(network, config, spec=spec, seconds=seconds, checkpointed=checkpointed)
    return objective(latents, prompts, lengths_frames, controls, step)["loss"]
