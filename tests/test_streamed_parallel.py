"""Law 2: blocks played one by one with cached K/V equal the parallel training forward over the whole sequence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.masks import block_numbers, visible
from lmdm_adapter.network.block_local import BlockLocalAttention
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.layout import Layout
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.network.rope import rotate
from lmdm_adapter.network.streaming import Window, denoise
from lmdm_adapter.rollout import Told, begin, committed
from lmdm_adapter.spec import BlockSpec
from lmdm_adapter.state import Block, Conditioning
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

LENGTHS = (5, 6, 5, 4, 5, 6)  # a tempo grid moves borders by a frame
ROWS = 2


def played(
    dit: DiT, clean: Tensor, noisy: Tensor, t: Tensor, told: Conditioning, *, spec: BlockSpec, controls: Tensor | None
) -> Tensor:
    """Velocities of all blocks, one after another: commit the block before, denoise against cached K/V."""
    ready = Told.of(dit, told, guidance=1.0)
    state, out, start = begin(None, seeds=(0,) * ROWS, spec=spec), [], 0
    for block, frames in enumerate(LENGTHS):
        part = slice(start, start + frames)
        own = None if controls is None else controls[..., part]
        state = committed(dit, state, ready, spec=spec)
        window = Window.of(dit, state.blocks, rows=ROWS, prefix_distance=spec.prefix_distance)
        out.append(denoise(dit, noisy[..., part], t[:, block], window=window, prefix_distance=spec.prefix_distance,
                           prompt=ready.prompt, global_cond=ready.global_cond, controls=own))  # fmt: skip
        state, start = replace(state, pending=(Block(clean[..., part], own),)), start + frames
    return torch.cat(out, dim=-1)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    frames = sum(LENGTHS)
    levels = torch.rand(ROWS, len(LENGTHS), generator=torch.Generator().manual_seed(3))
    return draw(ROWS, CHANNELS, frames, seed=1), draw(ROWS, CHANNELS, frames, seed=2), levels


def difference(dit: DiT, played_spec: BlockSpec, *, extra_controls: int = 0) -> float:
    """Largest difference between playing with `played_spec` and the parallel forward with SPEC, in units of scale."""
    clean, noisy, t = inputs()
    controls = draw(ROWS, extra_controls, clean.shape[-1], seed=4) if extra_controls else None
    told = conditioning(ROWS)
    together = parallel_velocity(
        dit, clean, noisy, t, lengths_frames=LENGTHS, context_blocks=SPEC.context_blocks, controls=controls,
        prefix_distance=SPEC.prefix_distance, cross=told.cross, global_cond=told.global_cond,
    )  # fmt: skip
    alone = played(dit, clean, noisy, t, told, spec=played_spec, controls=controls)
    return float((alone - together).abs().max() / together.abs().max())


@pytest.mark.parametrize("changes", [{}, {"qk_norm": "none", "objective": "v"}], ids=["norm", "no-norm"])
@pytest.mark.parametrize("extra_controls", [0, 2])
def test_streamed_equals_parallel(changes: dict[str, str], extra_controls: int) -> None:
    assert difference(toy_dit(extra_controls=extra_controls, **changes), SPEC, extra_controls=extra_controls) < 1e-5


def test_another_window_is_another_function() -> None:
    """Negative control: a context one block longer, or a prefix one frame off, is seen."""
    dit = toy_dit()
    longer = BlockSpec(SPEC.block_frames, SPEC.context_blocks + 1, prefix_distance_frames=SPEC.prefix_distance)
    moved = replace(SPEC, prefix_distance_frames=SPEC.prefix_distance + 1)
    assert difference(dit, longer) > 1e-3
    assert difference(dit, moved) > 1e-3


def test_host_initialisation_hides_every_mask() -> None:
    """Why weights are drawn: as a host initialises them, a wrong window goes unnoticed."""
    assert difference(toy_dit(drawn=False), BlockSpec(SPEC.block_frames, 1)) == 0.0


@pytest.mark.parametrize("changed", ["clean", "noisy", "t"])
def test_no_bit_before_a_changed_block_changes(changed: str) -> None:
    """Law 3, where all blocks are there at once: what block 3 is, or is noised to, is unseen by those before it.

    Its clean latents are unseen by its own target too; the blocks after it hear them, and nothing else of it.
    """
    dit, told = toy_dit(), conditioning(ROWS)
    given = dict(zip(("clean", "noisy", "t"), inputs(), strict=True))
    start, stop = sum(LENGTHS[:3]), sum(LENGTHS[:4])
    spoiled = {**given, changed: given[changed].clone()}
    spoiled[changed][..., 3 if changed == "t" else slice(start, stop)] += 0.5
    before, after = (
        parallel_velocity(
            dit, **values, lengths_frames=LENGTHS, context_blocks=SPEC.context_blocks, cross=told.cross,
            prefix_distance=SPEC.prefix_distance, global_cond=told.global_cond,
        )
        for values in (given, spoiled)
    )  # fmt: skip
    assert torch.equal(before[..., :start], after[..., :start])
    own, later = (not torch.equal(before[..., part], after[..., part])
                  for part in (slice(start, stop), slice(stop, None)))  # fmt: skip
    assert (own, later) == ((False, True) if changed == "clean" else (True, False))


def test_dropping_context_is_playing_with_less_of_it() -> None:
    """`kept_blocks` m hides all but the newest m context blocks from the target, and from nobody else."""
    dit, told = toy_dit(), conditioning(ROWS)
    clean, noisy, t = inputs()
    settings = {"lengths_frames": LENGTHS, "context_blocks": SPEC.context_blocks, "cross": told.cross,
                "prefix_distance": SPEC.prefix_distance, "global_cond": told.global_cond}  # fmt: skip
    full = parallel_velocity(dit, clean, noisy, t, **settings)
    kept = torch.full((ROWS, len(LENGTHS)), SPEC.context_blocks)
    kept[0, 3] = 0
    dropped = parallel_velocity(dit, clean, noisy, t, kept_blocks=kept, **settings)
    start, stop = sum(LENGTHS[:3]), sum(LENGTHS[:4])
    changed = (dropped - full).abs().amax(dim=1) > 0
    assert changed[0, start:stop].all()
    assert not changed[1].any() and not changed[0, :start].any() and not changed[0, stop:].any()
    alone = denoise(dit, noisy[:1, :, start:stop], t[:1, 3], window=Window((), 0), controls=None,
                    prefix_distance=SPEC.prefix_distance, prompt=dit.prompt_keys_values(told.cross[:1]),
                    global_cond=told.global_cond[:1])  # fmt: skip
    torch.testing.assert_close(dropped[:1, :, start:stop], alone, atol=1e-5, rtol=0)


def test_block_local_attention_is_the_one_predicate() -> None:
    """Attention per block equals dense attention under `visible` over the whole token sequence."""
    layout, width = Layout(LENGTHS), 32
    dit = toy_dit()
    rotation = dit.transformer.rotary_pos_emb(layout.positions(SPEC.prefix_distance, torch.device("cpu")))
    q, k, v = (draw(ROWS, 2, 2 * layout.frames + len(LENGTHS), width, seed=seed) for seed in range(3))
    local = BlockLocalAttention(layout, rotation, context_blocks=SPEC.context_blocks)(0, q, k, v)
    frames = block_numbers(LENGTHS)
    block = torch.cat([frames, frames, torch.arange(len(LENGTHS))])
    target = torch.arange(len(block)) >= layout.frames
    mask = visible(block[:, None], target[:, None], block, target, context_blocks=SPEC.context_blocks)
    dense = F.scaled_dot_product_attention(rotate(q, rotation), rotate(k, rotation), v, attn_mask=mask)
    torch.testing.assert_close(local, dense, atol=1e-5, rtol=0)


def test_prefix_distance_does_not_depend_on_history() -> None:
    """Cold start: the prefix stays at its constant distance, so the first block differs from a shorter distance."""
    dit, told = toy_dit(), conditioning(ROWS)
    clean, noisy, t = inputs()
    x = noisy[..., :5]
    ready = Told.of(dit, told, guidance=1.0)
    near, far = (
        denoise(dit, x, t[:, 0], window=Window((), 0), prefix_distance=d, prompt=ready.prompt,
                global_cond=ready.global_cond, controls=None)
        for d in (1, SPEC.prefix_distance)
    )  # fmt: skip
    assert (near - far).abs().max() > 1e-3


@pytest.mark.parametrize("targets", [1, 3, 6])
def test_context_only_blocks_change_nothing_for_the_targets(targets: int) -> None:
    """Leaving out the noisy frames of the first blocks is the same function for the others."""
    dit, told = toy_dit(), conditioning(ROWS)
    clean, noisy, t = inputs()
    start = sum(LENGTHS[: len(LENGTHS) - targets])
    settings = {
        "lengths_frames": LENGTHS, "context_blocks": SPEC.context_blocks, "prefix_distance": SPEC.prefix_distance,
        "cross": told.cross, "global_cond": told.global_cond,
    }  # fmt: skip
    kept = torch.randint(0, SPEC.context_blocks + 1, (ROWS, len(LENGTHS)), generator=torch.Generator().manual_seed(5))
    whole = parallel_velocity(dit, clean, noisy, t, kept_blocks=kept, **settings)
    part = parallel_velocity(
        dit, clean, noisy[..., start:], t[:, -targets:], kept_blocks=kept[:, -targets:], **settings
    )
    assert (whole[..., start:] - part).abs().max() < 1e-5 * whole.abs().max()
    without_context = parallel_velocity(
        dit, clean, noisy[..., start:], t[:, -targets:], kept_blocks=torch.zeros(ROWS, targets).long(), **settings
    )
    assert (part - without_context).abs().max() > 1e-3


def test_checkpointing_gives_the_same_gradient() -> None:
    clean, noisy, t = inputs()
    told, gradients = conditioning(ROWS), []
    for checkpointed in (False, True):
        dit = toy_dit().requires_grad_(True)
        out = parallel_velocity(
            dit, clean, noisy, t, lengths_frames=LENGTHS, context_blocks=SPEC.context_blocks, cross=told.cross,
            prefix_distance=SPEC.prefix_distance, global_cond=told.global_cond, checkpointed=checkpointed,
        )  # fmt: skip
        out.square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in dit.named_parameters()})
    assert all(torch.equal(gradients[0][name], value) for name, value in gradients[1].items())
    assert all(value.abs().max() > 0 for value in gradients[0].values())
