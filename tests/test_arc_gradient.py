"""ARC-Forcing's gradient through one parallel forward is that of the rollout, played block by block."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.network.dit import DiT
from lmdm_adapter.regimes import Target, opened
from lmdm_adapter.rollout import begin
from lmdm_adapter.samplers import estimate
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Block, Conditioning
from lmdm_adapter.told import Told
from lmdm_adapter.training.rollout_recording import Recording, recorded_rollout, replayed
from tests.toy import CHANNELS, conditioning, draw, toy_dit

TOY_SPEC = BlockSpec(block_frames=5, context_blocks=2)
SAMPLING = Sampling(steps=4, sampler="pingpong")
LENGTHS, EXITS, ROWS = (5, 6, 4, 5), (1, 4, 2, 3), 2
REGIMES = ("block-causal", "encoder-decoder")


def rolled(dit: DiT, spec: BlockSpec, *, cold: bool = False) -> Recording:
    """A rollout, with frame controls if the model has some: as long as context and rolled blocks together."""
    context = None if cold else draw(ROWS, CHANNELS, spec.context_frames, seed=7)
    extra, frames = dit.config.extra_control_channels, sum(LENGTHS) + (0 if cold else spec.context_frames)
    return recorded_rollout(
        dit, context, conditioning(ROWS), spec=spec, sampling=SAMPLING, lengths_frames=LENGTHS, exit_steps=EXITS,
        seeds=(3, 4), controls=draw(ROWS, extra, frames, seed=8) if extra else None,
    )  # fmt: skip


def played_literally(dit: DiT, recording: Recording, told: Conditioning, spec: BlockSpec) -> Tensor:
    """The rollout once more, block after block: commits inside the graph, block latents detached."""
    ready, context, controls = Told.of(dit, told, guidance=1.0), recording.context_frames, recording.controls
    state = begin(
        recording.clean[..., :context] if context else None, seeds=(0,) * ROWS, spec=spec,
        controls=None if controls is None else controls[..., :context],
    )  # fmt: skip
    out, start = [], 0
    for block, frames in enumerate(LENGTHS):
        noisy, t = recording.noisy[..., start : start + frames], float(recording.t[0, block])
        own = None if controls is None else controls[..., context + start : context + start + frames]
        heard = opened(dit, state, ready, Target(noisy, own, fused=False), spec=spec)
        out.append(estimate(noisy, heard.velocity(noisy, t), t, dit.config.objective).denoised)
        clean = recording.clean[..., context + start : context + start + frames].detach()
        state, start = replace(heard.state, pending=(Block(clean, own),)), start + frames
    return torch.cat(out, dim=-1)


def gradients(dit: DiT, output: Tensor) -> dict[str, Tensor]:
    named = {name: parameter for name, parameter in dit.named_parameters()}
    weight = draw(*output.shape, seed=11)
    found = torch.autograd.grad((weight * output).sum(), list(named.values()), allow_unused=True)
    return {name: torch.zeros(()) if value is None else value for name, value in zip(named, found, strict=True)}


@pytest.mark.parametrize("cold", [False, True], ids=["primed", "cold"])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("extra_controls", [0, 3])
def test_the_gradient_is_that_of_the_literal_rollout(extra_controls: int, regime: str, cold: bool) -> None:
    spec, told = replace(TOY_SPEC, regime=regime), conditioning(ROWS)
    dit = toy_dit(extra_controls=extra_controls).requires_grad_(True)
    recording = rolled(dit, spec, cold=cold)
    together = replayed(dit, recording, told, spec=spec)
    alone = played_literally(dit, recording, told, spec)
    assert (together - alone).abs().max() < 1e-5 * alone.abs().max()
    own, literal = gradients(dit, together), gradients(dit, alone)
    scale = max(value.abs().max() for value in literal.values())
    for name, value in literal.items():
        if name.endswith("cross_attn.k_norm.bias"):  # moves all keys of a prompt alike, to which softmax is blind
            assert max(value.abs().max(), own[name].abs().max()) < 1e-6 * scale
            continue
        assert value.abs().max() > 1e-6 * scale, f"{name} is used by the rollout, the context projection included"
        assert (own[name] - value).abs().max() < 1e-5 * value.abs().max() + 1e-7 * scale, name
    if extra_controls:
        assert own["to_input_add_embed.weight"][:, -extra_controls:].abs().amax(dim=0).min() > 1e-6 * scale


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("extra_controls", [0, 3])
def test_the_replay_is_the_rollout(extra_controls: int, regime: str) -> None:
    spec, dit = replace(TOY_SPEC, regime=regime), toy_dit(extra_controls=extra_controls)
    recording = rolled(dit, spec)
    rolled_part = recording.clean[..., recording.context_frames :]
    again = replayed(dit, recording, conditioning(ROWS), spec=spec)
    assert (again - rolled_part).abs().max() < 1e-5 * rolled_part.abs().max()
    other = replayed(dit, recording, conditioning(ROWS, seed=5), spec=spec)
    assert (other - rolled_part).abs().max() > 1e-3
    if extra_controls:
        shifted = recording._replace(controls=recording.controls.roll(1, dims=-1))
        assert (replayed(dit, shifted, conditioning(ROWS), spec=spec) - rolled_part).abs().max() > 1e-3


def test_the_context_path_alone_carries_gradient() -> None:
    """The context projection learns from later blocks, also where each block took several steps."""
    dit = toy_dit().requires_grad_(True)
    recording = rolled(dit, TOY_SPEC)
    output = replayed(dit, recording, conditioning(ROWS), spec=TOY_SPEC)
    context_columns = gradients(dit, output)["to_input_add_embed.weight"][:, 1:]
    assert context_columns.abs().max() > 0


def test_checkpointed_replay_has_the_same_gradient() -> None:
    dit = toy_dit().requires_grad_(True)
    recording = rolled(dit, TOY_SPEC)
    plain, kept = (
        gradients(dit, replayed(dit, recording, conditioning(ROWS), spec=TOY_SPEC, checkpointed=checkpointed))
        for checkpointed in (False, True)
    )
    assert all(torch.equal(plain[name], kept[name]) for name in plain)


def test_exits_are_recorded_as_they_were() -> None:
    dit = toy_dit()
    recording = rolled(dit, TOY_SPEC)
    assert recording.t[0, 0] == 1.0, "left after the first step: the input is pure noise"
    assert len(set(recording.t[0].tolist())) == len(set(EXITS))
    assert recording.lengths_frames == (5, 5, *LENGTHS)
