"""Playing with frame controls: packed by name, scaled by gains, and part of a state like everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmdm_adapter import Gains, LmdmError, Sampling
from lmdm_adapter.controls.frames import UNITY, packed_controls
from lmdm_adapter.live import LiveModel
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.state import Block, StreamState
from tests.models import LATENT_CHANNELS, SPEC, controlled_live, tiny_live
from tests.toy import conditioning, draw

DECLARED = (("sketch_loudness", 2), ("sketch_melody", 3))
REGIMES = ("block-causal", "encoder-decoder")


@pytest.fixture(scope="module")
def live() -> LiveModel:
    return controlled_live(DECLARED)


def curves(block: int, frames: int = SPEC.block_frames) -> dict[str, np.ndarray]:
    return {name: draw(channels, frames, seed=10 * block + i).numpy() for i, (name, channels) in enumerate(DECLARED)}


def played(
    live: LiveModel, state: StreamState, blocks: range, *, controlled: bool = True, gains: Gains = UNITY
) -> tuple[np.ndarray, StreamState]:
    """Audio of blocks of varying length, each with curves of its own."""
    sound = []
    for block in blocks:
        frames = SPEC.block_frames + block % 2
        given = curves(block, frames) if controlled else None
        audio, state = live.step(state, "house", frames=frames, frame_controls=given, gains=gains)
        sound.append(audio.samples)
    return np.concatenate(sound, axis=1), state


def latents(state: StreamState) -> torch.Tensor:
    return torch.cat([block.latents for block in state.history + state.blocks + state.pending], dim=-1)


def test_names_may_come_in_any_order_and_none_is_zeros() -> None:
    given = curves(0)
    packed = packed_controls(dict(reversed(given.items())), DECLARED, rows=2, frames=6)
    assert packed.shape == (2, 5, 6) and torch.equal(packed[0], packed[1])
    assert torch.equal(packed[0], torch.from_numpy(np.concatenate([given[name] for name, _ in DECLARED])))
    part = packed_controls({"sketch_melody": given["sketch_melody"]}, DECLARED, rows=1, frames=6)
    assert not part[0, :2].any() and torch.equal(part[0, 2:], packed[0, 2:])
    assert packed_controls(None, DECLARED, rows=1, frames=6) is None
    assert packed_controls({}, DECLARED, rows=1, frames=6) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sketch_loud": np.zeros((2, 6))}, "no frame control 'sketch_loud'; it has sketch_loudness.*--controls"),
        ({"sketch": np.zeros((2, 6))}, "no frame control 'sketch'"),
        ({"sketch_loudness": np.zeros((2, 5))}, r"\(2, 6\) for this block, got \(2, 5\)"),
        ({"sketch_loudness": np.zeros(6)}, r"got \(6,\)"),
        ({"sketch_loudness": np.full((2, 6), np.nan)}, "NaN or infinity"),
        ({"sketch_loudness": torch.full((2, 6), torch.inf)}, "NaN or infinity"),
        ({"sketch_loudness": "loud"}, "array of numbers, got str"),
        ({"sketch_loudness": None}, "array of numbers, got NoneType"),
    ],
)
def test_what_is_no_frame_control_of_the_model_is_refused(
    live: LiveModel, given: Mapping[str, object], words: str
) -> None:
    with pytest.raises(LmdmError, match=words):
        live.step(live.start(), "house", frame_controls=given)


def test_a_model_without_frame_controls_says_how_to_get_one() -> None:
    live = tiny_live()
    with pytest.raises(LmdmError, match="none besides its context.*with_controls.*lmdm train finetune --controls"):
        live.step(live.start(), "house", frame_controls=curves(0))


@pytest.mark.parametrize("pairs", [(("sketch", -1.0),), (("sketch", np.nan),), (("sketch", "loud"),), ("sketch",)])
def test_gains_that_are_none_are_refused(pairs: tuple) -> None:
    with pytest.raises(LmdmError, match="Gains are pairs"):
        Gains(pairs)


def test_a_gain_of_no_control_is_refused(live: LiveModel) -> None:
    with pytest.raises(LmdmError, match="no frame control 'accompaniment'"):
        live.step(live.start(), "house", frame_controls=curves(0), gains=Gains((("accompaniment", 0.5),)))


def test_gains_of_a_group_and_of_one_of_its_controls_multiply() -> None:
    gains = Gains((("sketch", 0.5), ("sketch_melody", 0.5)))
    assert [gains.of(name) for name in ("sketch_loudness", "sketch_melody", "sketches")] == [0.5, 0.25, 1.0]
    plain, scaled = (packed_controls(curves(0), DECLARED, rows=1, frames=6, gains=g) for g in (Gains(), gains))
    assert torch.equal(scaled[:, :2], 0.5 * plain[:, :2]) and torch.equal(scaled[:, 2:], 0.25 * plain[:, 2:])


@pytest.mark.parametrize("regime", REGIMES)
def test_a_gain_runs_from_absent_to_as_it_was_trained(live: LiveModel, regime: str) -> None:
    live, cold = live.with_regime(regime), live.start(3)
    absent, state = played(live, cold, range(4), controlled=False)
    full, controlled = played(live, cold, range(4))
    silent, muted = played(live, cold, range(4), gains=Gains((("sketch", 0.0),)))
    assert np.array_equal(absent, silent) and torch.equal(latents(state), latents(muted))
    one, _ = played(live, cold, range(4), gains=Gains((("sketch_loudness", 1.0),)))
    assert np.array_equal(one, full)
    half, _ = played(live, cold, range(4), gains=Gains((("sketch", 0.5),)))
    assert min(np.abs(half - full).max(), np.abs(half - absent).max()) > 1e-3


def test_a_control_that_is_not_named_is_absent(live: LiveModel) -> None:
    first = {"sketch_loudness": curves(0)["sketch_loudness"]}
    part, _ = live.step(live.start(1, look_ahead_frames=0), "house", frame_controls=first)
    muted, _ = live.step(
        live.start(1, look_ahead_frames=0), "house", frame_controls=curves(0), gains=Gains((("sketch_melody", 0.0),))
    )
    assert np.array_equal(part.samples, muted.samples)


def test_a_stream_asks_for_the_controls_of_every_block(live: LiveModel) -> None:
    asked = []

    def source(first_frame: int, frames: int) -> dict[str, np.ndarray] | None:
        asked.append((first_frame, frames))
        return curves(len(asked)) if len(asked) % 2 else None

    with_source = np.concatenate([a.samples for a in live.stream("house", 0.15, seed=2, frame_controls=source)], axis=1)
    assert asked == [(SPEC.block_frames * block, SPEC.block_frames) for block in range(len(asked))] and len(asked) > 2
    state, pieces = live.start(2), []
    for block in range(len(asked)):
        audio, state = live.step(state, "house", frame_controls=None if block % 2 else curves(block + 1))
        pieces.append(audio.samples)
    assert np.array_equal(with_source, np.concatenate(pieces, axis=1)[:, : with_source.shape[1]])


def test_controls_stay_with_their_block_until_it_leaves_the_window(live: LiveModel) -> None:
    _, state = played(live, live.start(3), range(6))
    held = state.history + state.blocks + state.pending
    assert len(held) == 6
    for number, block in enumerate(held):
        expected = packed_controls(curves(number, block.frames), DECLARED, rows=1, frames=block.frames)
        assert torch.equal(block.controls, expected)


def without_controls(state: StreamState) -> StreamState:
    """The same state, its blocks robbed of their frame controls."""
    rob = {part: tuple(replace(b, controls=None) for b in getattr(state, part)) for part in ("blocks", "pending")}
    return replace(state, **rob)


@pytest.mark.parametrize("regime", REGIMES)
def test_saved_and_loaded_the_stream_goes_on_bit_for_bit(live: LiveModel, regime: str, tmp_path: Path) -> None:
    live = live.with_regime(regime)
    _, state = played(live, live.start(3), range(3))
    live.save_state(state, tmp_path / "moment")
    loaded = live.load_state(tmp_path / "moment")
    straight, robbed = played(live, state, range(3, 6))[0], played(live, without_controls(state), range(3, 6))[0]
    assert np.array_equal(straight, played(live, loaded, range(3, 6))[0])
    assert not np.array_equal(straight, robbed), "the controls of the past are heard"


def test_two_futures_of_one_moment_share_its_past(live: LiveModel) -> None:
    _, state = played(live, live.start(3), range(3))
    before = [(block.latents.clone(), block.controls.clone()) for block in state.blocks + state.pending]
    other, _ = played(live, state, range(7, 9))
    first, again = (played(live, state, range(3, 5))[0] for _ in range(2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    for (own, controls), block in zip(before, state.blocks + state.pending, strict=True):
        assert torch.equal(own, block.latents) and torch.equal(controls, block.controls)


def primed(live: LiveModel, state: StreamState, controlled: bool) -> StreamState:
    """A stream begun with the window of `state`: its latents and, if so, its controls."""
    window = (state.blocks + state.pending)[-SPEC.context_blocks :]
    pending = tuple(Block(block.latents, block.controls if controlled else None) for block in window)
    fresh = begin(None, seeds=state.seeds, spec=SPEC, codec=state.codec)
    return replace(fresh, pending=pending, frame_index=state.frame_index, block_index=state.block_index)


def test_recaching_hears_the_latents_with_their_own_controls(live: LiveModel) -> None:
    _, state = played(live, live.start(3), range(5))
    again = played(live, live.recache(state), range(5, 7))[0]
    assert np.array_equal(again, played(live, primed(live, state, True), range(5, 7))[0])
    assert not np.array_equal(again, played(live, primed(live, state, False), range(5, 7))[0])


def test_rewinding_remembers_controls(live: LiveModel) -> None:
    _, state = played(live, live.start(3, look_ahead_frames=0), range(6))
    back = live.rewind(state, 3)
    assert len(back.pending) == 3 and all(block.controls is not None for block in back.pending)
    _, kept = played(live, live.start(3, look_ahead_frames=0), range(3))
    again = live.recache(kept)
    ours, theirs = (played(live, one, range(3, 5))[1] for one in (back, again))
    assert torch.equal(latents(ours), latents(theirs))


def test_a_state_with_controls_of_another_width_is_refused(live: LiveModel) -> None:
    _, state = played(live, live.start(), range(2))
    with pytest.raises(LmdmError, match="frame controls of shape"):
        controlled_live((("sketch_loudness", 2),)).step(state, "house")


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("fused", [True, False])
def test_guided_controls_lead_away_from_the_block_without_them(live: LiveModel, regime: str, fused: bool) -> None:
    """One Euler step: `null + g (conditional - null)`, the null branch without the block's own controls."""
    spec, told = replace(SPEC, regime=regime), Told.of(live.engine, conditioning(1), guidance=3.0)
    given = [packed_controls(curves(block), DECLARED, rows=1, frames=spec.block_frames) for block in range(2)]

    plain = Sampling(steps=1, sampler="euler", guidance=3.0)
    _, state = next_block(
        live.engine, begin(None, seeds=(0,), spec=spec), told, spec=spec, sampling=plain, controls=given[0]
    )

    def last(controls: Tensor | None, **settings: Any) -> Tensor:
        sampling = replace(plain, **settings)
        return next_block(live.engine, state, told, spec=spec, sampling=sampling, controls=controls, fused=fused)[0]

    led, kept, without = last(given[1], guided_controls=True), last(given[1]), last(None)
    null_with, null_without = (last(controls, guidance=0.0) for controls in (given[1], None))
    assert not torch.allclose(led, kept, atol=1e-3) and not torch.allclose(led, without, atol=1e-3)
    torch.testing.assert_close(led - kept, (1.0 - 3.0) * (null_without - null_with), atol=1e-5, rtol=1e-4)


def test_guidance_gives_both_branches_the_same_controls(live: LiveModel) -> None:
    guided = Sampling(steps=2, sampler="euler", guidance=3.0)
    told = Told.of(live.engine, conditioning(1), guidance=3.0)
    state = begin(None, seeds=(0,), spec=SPEC)
    for block in range(2):
        controls = packed_controls(curves(block), DECLARED, rows=1, frames=SPEC.block_frames)
        latents_, state = next_block(live.engine, state, told, spec=SPEC, sampling=guided, controls=controls)
    assert latents_.shape == (1, LATENT_CHANNELS, SPEC.block_frames)
    assert state.blocks[0].keys_values.shape[2] == 2 and state.blocks[0].controls.shape[0] == 1
