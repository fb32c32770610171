"""A state is a value: forgetting, recaching, rewinding, and one file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel
from lmdm_adapter.rollout import begin
from lmdm_adapter.spec import BlockSpec, Regime, Sampling
from lmdm_adapter.state import HISTORY_BLOCKS, Block, StreamState
from tests.models import SAMPLE_RATE, SPEC, tiny_live

HOUSE, TECHNO = "house 120 bpm", "techno 140 bpm drums"
REGIMES: tuple[Regime, ...] = ("block-causal", "encoder-decoder", "outpaint")


def played(live: LiveModel, state: StreamState, blocks: int, prompt: str = HOUSE) -> tuple[list[Audio], StreamState]:
    out = []
    for _ in range(blocks):
        audio, state = live.step(state, prompt)
        out.append(audio)
    return out, state


def same(one: list[Audio], other: list[Audio]) -> bool:
    """Bit for bit, and not silent."""
    pairs = list(zip(one, other, strict=True))
    assert any(np.abs(a.samples).max(initial=0.0) > 0 for a, _ in pairs)
    return all(np.array_equal(a.samples, b.samples) for a, b in pairs)


def test_recaching_is_being_primed_with_the_window_under_the_new_prompt() -> None:
    """The expected stream is begun from plain latents, those of the blocks that the next step hears."""
    live = tiny_live()
    _, state = played(live, live.start(seed=3), 6)
    latents = torch.cat([block.latents for block in state.blocks + state.pending], dim=-1)
    primed = replace(begin(latents, seeds=(3,), spec=SPEC), codec=state.codec, frame_index=36, block_index=6)
    assert latents.shape[-1] > SPEC.context_frames
    ours, theirs, kept = (played(live, one, 2, TECHNO)[0] for one in (live.recache(state), primed, state))
    assert same(ours, theirs) and not same(ours, kept)


@pytest.mark.parametrize("blocks", [1, 2])
def test_forgetting_is_playing_as_if_the_oldest_had_never_been_cached(blocks: int) -> None:
    """Of the three blocks that the next step hears, two are committed and one is pending."""
    live = tiny_live()
    _, state = played(live, live.start(seed=3), 6)
    assert len(state.blocks) == 3 and len(state.pending) == 1
    never = replace(state, blocks=state.blocks[1 + blocks :])
    ours, theirs, kept = (played(live, one, 2, TECHNO)[0] for one in (live.forget(state, blocks), never, state))
    assert same(ours, theirs) and not same(ours, kept)
    assert len(state.blocks) == SPEC.context_blocks, "the given state stays as it was"


def test_what_is_forgotten_is_heard_no_more() -> None:
    """Blind to the music of the forgotten block: spoiling its K/V changes nothing, that of the next one does."""
    live = tiny_live()
    _, state = played(live, live.start(seed=3), 6)

    def spoiled(index: int) -> StreamState:
        blocks = list(state.blocks)
        blocks[index] = replace(blocks[index], keys_values=blocks[index].keys_values + 1.0)
        return replace(state, blocks=tuple(blocks))

    plain, forgot, heard = (played(live, live.forget(one, 1), 1)[1].pending[0].latents
                            for one in (state, spoiled(1), spoiled(2)))  # fmt: skip
    assert torch.equal(plain, forgot) and not torch.equal(plain, heard)


def test_pending_blocks_can_be_forgotten_but_for_the_newest() -> None:
    live = tiny_live()
    _, state = played(live, live.start(seed=3), 6)
    primed = live.recache(state)
    assert len(live.forget(primed, 1).pending) == 2
    for one in (state, primed):
        least = live.forget(one, 99)
        assert not least.blocks and len(least.pending) == 1
        assert torch.equal(least.pending[0].latents, state.pending[0].latents)
        assert len(least.history) == len(state.history) + 3
    assert live.forget(state, 0) is state and not live.forget(live.start(), 3).pending
    with pytest.raises(LmdmError, match="got -1"):
        live.forget(state, -1)


@pytest.mark.parametrize("regime", REGIMES)
def test_a_state_in_a_file_plays_on_bit_for_bit(regime: Regime, tmp_path: Path) -> None:
    live = tiny_live().with_regime(regime)
    _, state = played(live, live.start(seed=3), 5)
    live.save_state(state, tmp_path / "moment.safetensors")
    loaded = live.load_state(tmp_path / "moment.safetensors")
    assert same(played(live, state, 3)[0], played(live, loaded, 3)[0])
    assert (loaded.block_index, loaded.frame_index, loaded.seeds) == (5, 30, (3,))
    assert [path.name for path in tmp_path.iterdir()] == ["moment.safetensors"]


def test_a_guided_low_latency_state_and_its_history_survive_the_file(tmp_path: Path) -> None:
    live, sampling = tiny_live(), Sampling(2, guidance=3.0)
    state = live.start(seed=3, look_ahead_frames=2)
    for _ in range(7):
        _, state = live.step(state, HOUSE, sampling=sampling)
    live.save_state(state, tmp_path / "moment.safetensors")
    loaded = live.load_state(tmp_path / "moment.safetensors")
    assert len(loaded.history) == len(state.history) == 3 and loaded.codec.look_ahead_frames == 2
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(state.history, loaded.history, strict=True))
    ours, theirs = (live.step(one, HOUSE, sampling=sampling)[0] for one in (state, loaded))
    assert same([ours], [theirs])


@pytest.mark.parametrize(
    "other",
    [lambda live: tiny_live(seed=1), lambda live: tiny_live(spec=BlockSpec(6, 4)),
     lambda live: live.with_regime("encoder-decoder")],
    ids=["weights", "blocks", "regime"],
)  # fmt: skip
def test_a_state_of_another_model_is_refused(other: object, tmp_path: Path) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    live.save_state(played(live, live.start(), 2)[1], path)
    tiny_live().load_state(path)
    with pytest.raises(LmdmError, match="another model"):
        other(live).load_state(path)  # type: ignore[operator]


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    with pytest.raises(LmdmError, match="no stream state at"):
        live.load_state(path)
    save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(LmdmError, match="holds no stream state"):
        live.load_state(path)
    live.save_state(played(live, live.start(), 2)[1], path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LmdmError, match="truncated"):
        live.load_state(path)
    with pytest.raises(LmdmError, match="Cannot write"):
        live.save_state(live.start(), tmp_path / "nowhere" / "moment.safetensors")


def test_a_state_without_a_part_is_refused(tmp_path: Path) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    live.save_state(played(live, live.start(), 2)[1], path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file({name: value for name, value in tensors.items() if name != "pending.0.latents"}, path, metadata)
    with pytest.raises(LmdmError, match="misses a part"):
        live.load_state(path)


BROKEN_FACTS = {
    "no JSON": "{oops", "no seeds": {"seeds": []}, "no look-ahead": {"codec": [1]}, "no codec": {"codec": None},
    "negative frames": {"frame_index": -1}, "negative blocks": {"counts": [-1, 0, 1]}, "no kinds": {"counts": [1]},
    "words": {"block_index": "three"}, "more seeds than rows": {"seeds": [1, 2]},
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_FACTS)
def test_facts_that_no_state_has_are_refused(name: str, tmp_path: Path) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    live.save_state(played(live, live.start(), 2)[1], path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    broken = BROKEN_FACTS[name]
    facts = broken if isinstance(broken, str) else json.dumps({**json.loads(metadata["facts"]), **broken})
    save_file(load_file(path), path, {**metadata, "facts": facts})
    with pytest.raises(LmdmError):
        live.load_state(path)


@pytest.mark.parametrize(("name", "value"), [("pending.0.latents", "NaN"), ("pending.0.latents", "narrow"),
                                             ("blocks.0.keys_values", "narrow"), ("codec.tail", "wide")])  # fmt: skip
def test_tensors_that_no_state_of_this_model_has_are_refused(name: str, value: str, tmp_path: Path) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    live.save_state(played(live, live.start(), 3)[1], path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    changes = {"NaN": lambda x: x * torch.nan, "narrow": lambda x: x[:, :1], "wide": lambda x: x.repeat(1, 2, 1)}
    save_file({**tensors, name: changes[value](tensors[name]).contiguous()}, path, metadata)
    with pytest.raises(LmdmError, match="another model" if value != "NaN" else "NaN"):
        live.load_state(path)


def test_a_folder_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(LmdmError, match="is a folder"):
        tiny_live().load_state(tmp_path)


@pytest.mark.parametrize("change", [
    {"sampling": Sampling(2, "euler")}, {"seconds_total": 99.0}, {"spec": BlockSpec(6, 2)},
], ids=["sampling", "seconds", "blocks"])  # fmt: skip
def test_settings_that_change_the_music_make_another_model(change: dict[str, object], tmp_path: Path) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    live.save_state(live.start(), path)
    other = replace(live, section=replace(live.section, **change))
    with pytest.raises(LmdmError, match="another model"):
        other.load_state(path)
    longer = replace(live, section=replace(live.section, trained_steps=7))
    assert longer.load_state(path).block_index == 0, "how long it was trained is in its weights"


def test_a_state_of_another_shape_of_model_is_refused_in_memory() -> None:
    live = tiny_live()
    _, state = played(live, live.start(), 3)
    wide = replace(state, pending=tuple(Block(block.latents.repeat(1, 2, 1)) for block in state.pending))
    deep = replace(state, blocks=tuple(replace(b, keys_values=b.keys_values.repeat(2, 1, 1, 1, 1, 1))
                                       for b in state.blocks))  # fmt: skip
    for other in (wide, deep):
        with pytest.raises(LmdmError, match="another model"):
            live.step(other, "house")
    with pytest.raises(LmdmError, match="no codec state"):
        live.step(replace(state, codec=None), "house")


@pytest.mark.parametrize("primed", [False, True], ids=["cold", "primed"])
@pytest.mark.parametrize("regime", REGIMES)
def test_rewinding_is_being_primed_with_what_was_before(regime: Regime, primed: bool) -> None:
    """Twelve blocks, five of them undone: the stream goes on from the latents of seven, and so does its audio."""
    live = tiny_live().with_regime(regime)
    prime = Audio(0.1 * np.random.default_rng(0).normal(size=(1, 300)), SAMPLE_RATE) if primed else None
    _, then = played(live, live.start(seed=3, prime=prime), 7)
    _, now = played(live, then, 5, TECHNO)
    back = live.rewind(now, 5)
    assert (back.block_index, back.frame_index) == (then.block_index, then.frame_index)
    window = (then.history + then.blocks + then.pending)[-SPEC.context_blocks :]
    expected = replace(then, blocks=(), pending=tuple(block.uncommitted() for block in window))
    deaf = live.forget(back, 99)
    ours, theirs, other = (played(live, state, 6)[0] for state in (back, expected, deaf))
    scale = max(float(np.abs(a.samples).max(initial=0.0)) for a in theirs)

    def apart(audio: list[Audio]) -> float:
        pairs = zip(audio, theirs, strict=True)
        return max(float(np.abs(a.samples - b.samples).max(initial=0.0)) for a, b in pairs) / scale

    assert apart(ours) < 1e-5 < 1e-3 < apart(other)


def test_rewinding_to_a_cold_start_is_a_cold_start() -> None:
    live = tiny_live()
    _, state = played(live, live.start(seed=3), 4)
    back = live.rewind(state, 4)
    assert not back.blocks and not back.pending
    assert same(played(live, back, 6)[0], played(live, live.start(seed=3), 6)[0])


def test_history_is_bounded_and_rewinding_stops_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HISTORY_BLOCKS == 256
    monkeypatch.setattr("lmdm_adapter.state.HISTORY_BLOCKS", 4)
    live = tiny_live()
    _, state = played(live, live.start(seed=3), 12)
    assert len(state.history) == 4 and all(block.keys_values is None for block in state.history)
    for blocks in (-1, 6, 100):
        with pytest.raises(LmdmError, match="0 to 5 blocks"):
            live.rewind(state, blocks)
    assert len(live.rewind(state, 5).pending) == SPEC.context_blocks, "the whole context is there"


def test_a_state_of_another_format_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live, path = tiny_live(), tmp_path / "moment.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("lmdm_adapter.state_file.FORMAT", "lmdm stream state 2")
        live.save_state(live.start(), path)
    with pytest.raises(LmdmError, match="'lmdm stream state 2', this package reads 'lmdm stream state 1'"):
        live.load_state(path)
