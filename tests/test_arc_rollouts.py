"""Rollouts as the objective of ARC-Forcing asks for them: exits, context, and what the replay keeps."""

from __future__ import annotations

import pytest
import torch

from lmdm_adapter.network import transformer
from lmdm_adapter.training import arc_objective
from lmdm_adapter.training.arc_objective import STUDENT, ArcConfig
from lmdm_adapter.training.prompts import conditioning_of
from tests.models import SPEC
from tests.test_arc_forcing import BLOCKS, CLIP, PROMPTS, SAMPLING, losses, objective
from tests.test_arc_gradient import ROWS
from tests.toy import conditioning


def test_every_block_leaves_at_every_step_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform in {1..K}, the last included, drawn for each block by itself, and not as it was in another step."""
    target, asked = objective(), []
    monkeypatch.setattr(arc_objective, "recorded_rollout", lambda *_, exit_steps, **__: asked.append(exit_steps))
    for index in range(400):
        target._rolled(CLIP, conditioning(ROWS), BLOCKS, None, index)
    for exits in zip(*asked, strict=True):
        counts = [exits.count(step) for step in range(1, SAMPLING.steps + 1)]
        assert sum(counts) == 400 and all(70 < count < 130 for count in counts)
    assert len({tuple(exits) for exits in asked}) == SAMPLING.steps ** len(BLOCKS)


@pytest.mark.parametrize("cold", [False, True])
def test_a_rollout_goes_on_from_the_real_context(cold: bool) -> None:
    target, first = objective(), SPEC.context_frames
    clip = CLIP[..., first:] if cold else CLIP
    told = conditioning_of(target.network, PROMPTS, seconds=1.0, device="cpu")
    recording = target._rolled(clip, told, BLOCKS, None, 0)
    assert recording.context_frames == (0 if cold else first) and recording.noisy.shape[-1] == sum(BLOCKS)
    assert cold or torch.equal(recording.clean[..., :first], CLIP[..., :first])


@pytest.mark.parametrize("checkpointed", [True, False])
def test_the_replay_is_checkpointed_where_the_config_says_so(
    checkpointed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, whole = [], transformer.checkpoint
    monkeypatch.setattr(transformer, "checkpoint", lambda *given, **named: kept.append(1) or whole(*given, **named))
    target = objective(ArcConfig(sampling=SAMPLING, rollout_blocks=3, checkpointed=checkpointed))
    losses(target, STUDENT)
    assert len(kept) == (target.network.dit.config.depth if checkpointed else 0)
