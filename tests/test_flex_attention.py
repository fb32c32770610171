"""FlexAttention and block-local attention are one function; torch has no backward pass of the former on CPUs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmdm_adapter.network import flex
from lmdm_adapter.network.block_local import BlockLocalAttention
from lmdm_adapter.network.flex import TILE, FlexAttention
from lmdm_adapter.network.layout import Layout
from lmdm_adapter.network.parallel import parallel_velocity
from lmdm_adapter.network.rope import RotaryEmbedding, rotate
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without")
LENGTHS, ROWS, WIDTH = (5, 6, 5, 4, 5, 6), 2, 32
KEPT = torch.tensor([[2, 2, 1, 0, 2, 1], [2, 0, 2, 2, 0, 1]])


def both(targets: int, kept: Tensor | None) -> tuple[FlexAttention, BlockLocalAttention, Layout]:
    layout = Layout(LENGTHS, len(LENGTHS) - targets)
    rotation = RotaryEmbedding(WIDTH // 2)(layout.positions(SPEC.prefix_distance, torch.device("cpu")))
    settings = {"context_blocks": SPEC.context_blocks, "kept_blocks": None if kept is None else kept[:, -targets:]}
    return FlexAttention(layout, rotation, **settings), BlockLocalAttention(layout, rotation, **settings), layout


@pytest.mark.parametrize("kept", [None, KEPT], ids=["whole", "dropped"])
@pytest.mark.parametrize("targets", [1, 6])
def test_flex_attention_equals_block_local_attention(targets: int, kept: Tensor | None) -> None:
    flexible, local, layout = both(targets, kept)
    q, k, v = (draw(ROWS, 2, layout.tokens, WIDTH, seed=seed) for seed in range(3))
    expected = local(0, q, k, v)
    torch.testing.assert_close(flexible(0, q, k, v), expected, atol=1e-5, rtol=0)
    other, _, _ = both(targets, KEPT if kept is None else None)
    assert (other(0, q, k, v) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("kept", [None, KEPT], ids=["whole", "dropped"])
def test_the_gradient_through_its_mask_is_that_of_block_local_attention(kept: Tensor | None) -> None:
    """The predicate that the kernel gets, as a dense mask: padding and all."""
    flexible, local, layout = both(4, kept)
    gradients = []
    for attend in (local, lambda *given: dense(flexible, *given[1:])):
        q, k, v = (draw(ROWS, 2, layout.tokens, WIDTH, seed=seed).requires_grad_(True) for seed in range(3))
        (attend(0, q, k, v) * draw(ROWS, 2, layout.tokens, WIDTH, seed=4)).sum().backward()
        gradients.append((q.grad, k.grad, v.grad))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def dense(flexible: FlexAttention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What the kernel computes, with the whole matrix of scores."""
    index, row = torch.arange(flexible.tokens + flexible.padding), torch.arange(ROWS)
    mask = flexible.sees(row[:, None, None, None], row[0], index[:, None], index)
    assert mask.any(dim=-1).all(), "a row of a softmax that sees nothing"
    q, k, v = (F.pad(x, (0, 0, 0, flexible.padding)) for x in (rotate(q, flexible.rotation),
                                                               rotate(k, flexible.rotation), v))  # fmt: skip
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[..., : flexible.tokens, :]


def test_sequences_are_padded_to_whole_tiles() -> None:
    flexible, _, layout = both(6, None)
    assert 0 < layout.tokens < TILE and flexible.mask.seq_lengths == (TILE, TILE)


def test_tiles_that_nobody_sees_are_left_out() -> None:
    """Of 4 x 64 blocks of 8 frames most pairs of tiles are dark."""
    layout = Layout((8,) * 256)
    rotation = RotaryEmbedding(16)(layout.positions(17, torch.device("cpu")))
    assert FlexAttention(layout, rotation, context_blocks=2).mask.sparsity() > 80.0


@torch.no_grad()
def test_the_parallel_forward_takes_either(monkeypatch: pytest.MonkeyPatch) -> None:
    dit, told, calls = toy_dit(), conditioning(ROWS), []
    clean, noisy = draw(ROWS, CHANNELS, sum(LENGTHS), seed=1), draw(ROWS, CHANNELS, sum(LENGTHS), seed=2)
    whole = flex.flex_attention
    monkeypatch.setattr(flex, "flex_attention", lambda *given, **named: calls.append(1) or whole(*given, **named))
    flexible, local, default = (
        parallel_velocity(
            dit, clean, noisy, torch.full((ROWS, 6), 0.4), lengths_frames=LENGTHS, context_blocks=SPEC.context_blocks,
            prefix_distance=SPEC.prefix_distance, cross=told.cross, global_cond=told.global_cond, kept_blocks=KEPT,
            flex=chosen,
        )
        for chosen in (True, False, None)
    )  # fmt: skip
    assert len(calls) == 3, "one for each layer"
    assert torch.equal(local, default), "on a CPU"
    assert (flexible - local).abs().max() < 1e-5 * local.abs().max()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("checkpointed", [False, True])
def test_gradients_on_a_gpu_are_those_of_block_local_attention(checkpointed: bool) -> None:
    gradients = []
    for chosen in (True, False):
        dit, told = toy_dit().cuda().requires_grad_(True), conditioning(ROWS)
        clean, noisy = (draw(ROWS, CHANNELS, sum(LENGTHS), seed=seed).cuda() for seed in (1, 2))
        out = parallel_velocity(
            dit, clean, noisy, torch.full((ROWS, 6), 0.4).cuda(), lengths_frames=LENGTHS,
            context_blocks=SPEC.context_blocks, prefix_distance=SPEC.prefix_distance, cross=told.cross.cuda(),
            global_cond=told.global_cond.cuda(), kept_blocks=KEPT.cuda(), checkpointed=checkpointed, flex=chosen,
        )  # fmt: skip
        out.square().mean().backward()
        gradients.append([parameter.grad for parameter in dit.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_the_compiled_kernel_is_compiled_once_for_all_block_lengths() -> None:
    """As on a GPU; on a CPU torch compiles the forward pass alone. Needs a C++ compiler."""
    kernel = torch.compile(flex.flex_attention, dynamic=False)
    counters = torch._dynamo.utils.counters["stats"]
    for number, targets in enumerate((6, 4, 2)):
        flexible, local, layout = both(targets, KEPT)
        flexible.kernel = kernel
        q, k, v = (draw(ROWS, 2, layout.tokens, WIDTH, seed=seed) for seed in range(3))
        torch.testing.assert_close(flexible(0, q, k, v), local(0, q, k, v), atol=1e-5, rtol=0)
        if number == 0:
            compiled = counters["unique_graphs"]
    assert counters["unique_graphs"] == compiled
