"""What a state remembers beyond its window: the newest blocks, in order, without K/V, and only what was played."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.state import Block, Conditioning, StreamState, recached, rewound, windowed

FRAMES = 5


def block(number: int) -> Block:
    """A committed block that can be told from others."""
    return Block(torch.full((1, 4, FRAMES), float(number)), keys_values=torch.ones(2, 2, 1, 2, FRAMES, 8))


def numbers(blocks: tuple[Block, ...]) -> list[int]:
    """Which blocks these are."""
    return [int(one.latents[0, 0, 0]) for one in blocks]


def state(blocks: int, *, pending: int = 1, played: int | None = None) -> StreamState:
    """Blocks 0, 1, ... of which the last are pending; `played` of them were not its prefix."""
    made, count = tuple(map(block, range(blocks))), blocks if played is None else played
    waiting = tuple(one.uncommitted() for one in made[blocks - pending :])
    return StreamState(made[: blocks - pending], waiting, "a codec's state", count * FRAMES, count, (0,))


def test_a_window_has_the_newest_blocks_and_nothing_is_pending() -> None:
    blocks = tuple(map(block, range(5)))
    cut = windowed(state(4), blocks, context_blocks=3)
    assert numbers(cut.blocks) == [2, 3, 4] and numbers(cut.history) == [0, 1] and not cut.pending
    short = windowed(state(1), blocks[:2], context_blocks=3)
    assert numbers(short.blocks) == [0, 1] and not short.history and not short.pending


def test_history_keeps_the_newest_without_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmdm_adapter.state.HISTORY_BLOCKS", 3)
    moment = state(0, pending=0)
    for number in range(9):
        moment = windowed(moment, (*moment.blocks, block(number)), context_blocks=2)
    assert numbers(moment.history) == [4, 5, 6] and all(one.keys_values is None for one in moment.history)


def test_recaching_leaves_no_keys_and_loses_no_block() -> None:
    again = recached(state(5), context_blocks=3)
    assert not again.blocks and numbers(again.pending) == [2, 3, 4] and numbers(again.history) == [0, 1]
    assert all(one.keys_values is None for one in again.pending + again.history)


def test_rewinding_leaves_no_keys_and_no_stale_codec_state() -> None:
    back = rewound(state(7), 2, context_blocks=3)
    assert numbers(back.pending) == [2, 3, 4] and numbers(back.history) == [0, 1] and not back.blocks
    assert all(one.keys_values is None for one in back.pending + back.history)
    assert (back.block_index, back.frame_index, back.codec) == (5, 5 * FRAMES, None)
    assert rewound(state(7), 2, context_blocks=3, codec="that of then").codec == "that of then"


def test_rewinding_twice_is_rewinding_farther() -> None:
    twice = rewound(rewound(state(9), 2, context_blocks=3), 4, context_blocks=3)
    once = rewound(state(9), 6, context_blocks=3)
    assert numbers(twice.pending) == numbers(once.pending) == [0, 1, 2]
    assert (twice.block_index, twice.frame_index) == (once.block_index, once.frame_index)


def test_a_prefix_was_not_played_and_stays() -> None:
    """Of seven blocks four came before the music."""
    assert numbers(rewound(state(7, played=3), 3, context_blocks=3).pending) == [1, 2, 3]
    with pytest.raises(LmdmError, match="0 to 3 blocks, got 4"):
        rewound(state(7, played=3), 4, context_blocks=3)


def test_doubled_conditioning_has_the_null_branch_last() -> None:
    """Zeros, or what is to be heard instead; both branches share the global conditioning."""
    cross, negative, vector = torch.ones(1, 3, 8), torch.full((1, 3, 8), 2.0), torch.ones(1, 6)
    told = Conditioning(cross, global_cond=vector)
    for one, null in ((told, torch.zeros(1, 3, 8)), (replace(told, null_cross=negative), negative)):
        both = one.doubled()
        assert torch.equal(both.cross, torch.cat([cross, null])) and both.null_cross is None
        assert torch.equal(both.global_cond, vector.repeat(2, 1))
    assert Conditioning().doubled().cross is None
