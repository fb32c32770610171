"""Controls reach the network: mixes, negative prompts, number conditioning, frame controls, and the prompt cache."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import PROMPTS_KEPT, LiveModel
from lmdm_adapter.loading import place
from lmdm_adapter.network.model import Network
from lmdm_adapter.rollout import Told, begin, committed, next_block
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.spec import BlockSpec, Sampling
from lmdm_adapter.state import Block, Conditioning, recached
from tests.models import tiny_live, tiny_section
from tests.randomise import randomise
from tests.toy import CHANNELS, SPEC, conditioning, draw, toy_dit

CPU = torch.device("cpu")
PINGPONG = Sampling(steps=2)


def told(controls: Controls, *, seconds: float = 2.0) -> Conditioning:
    with torch.no_grad():
        return condition(tiny_live().network, controls, window_seconds=seconds, device=CPU)


def mix(*prompts: tuple[str, float]) -> Tensor:
    return told(Controls(prompts=prompts)).cross


def test_a_mix_is_the_weighted_mean_of_its_prompts() -> None:
    house, techno = mix(("house", 1.0)), mix(("techno", 1.0))
    torch.testing.assert_close(mix(("house", 3.0), ("techno", 1.0)), 0.75 * house + 0.25 * techno)
    assert not torch.allclose(house, techno)


def test_features_are_joined_in_the_order_that_the_config_names() -> None:
    """Prompt tokens first, then seconds; a host that names them the other way round gets them the other way round."""
    network = tiny_live().network
    turned = replace(network.config, cross_ids=tuple(reversed(network.config.cross_ids)))
    straight = told(Controls.of("house")).cross
    with torch.no_grad():
        network.config = turned
        crossed = condition(network, Controls.of("house"), window_seconds=2.0, device=CPU).cross
    assert torch.equal(crossed, torch.cat([straight[:, -1:], straight[:, :-1]], dim=1))
    assert not torch.equal(crossed, straight)


def test_seconds_start_is_zero_unless_told() -> None:
    """Hosts that ask where in the song a window lies hear that it is the beginning."""
    network = tiny_live().network
    seconds = next(c for c in network.config.conditioners if c.id == "seconds_total")
    started = replace(network.config, conditioners=(*network.config.conditioners, replace(seconds, id="seconds_start")),
                      cross_ids=("seconds_start",))  # fmt: skip
    asking = Network(started).requires_grad_(False)
    randomise(asking, 0)
    default, zero, later = (
        condition(asking, Controls(values=values), window_seconds=2.0, device=CPU).cross
        for values in ((), (("seconds_start", 0.0),), (("seconds_start", 9.0),))
    )
    assert torch.equal(default, zero) and not torch.equal(default, later)


def test_unknown_words_are_harmless() -> None:
    assert torch.equal(mix(("dusty house please", 1.0)), mix(("house", 1.0)))


def test_a_negative_prompt_is_the_null_branch() -> None:
    """Its rows of the doubled batch are the negative prompt's own features; without one they are zero."""
    plain, negative = told(Controls.of("house")), told(Controls((("house", 1.0),), negative_prompt="techno"))
    assert torch.equal(negative.doubled().cross[1:], mix(("techno", 1.0)))
    assert not plain.doubled().cross[1:].any()
    assert torch.equal(negative.cross, plain.cross)


def test_number_conditioning_can_be_overridden() -> None:
    default, same = told(Controls.of("house"), seconds=2.0), told(Controls.of("house"), seconds=9.0)
    overridden = told(Controls((("house", 1.0),), values=(("seconds_total", 9.0),)), seconds=2.0)
    assert torch.equal(overridden.global_cond, same.global_cond)
    assert not torch.allclose(default.global_cond, same.global_cond)
    with pytest.raises(LmdmError, match="tempo"):
        told(Controls((("house", 1.0),), values=(("tempo", 9.0),)))


def test_a_model_may_fix_its_seconds() -> None:
    live = tiny_live()
    fixed = LiveModel(live.network, replace(live.section, seconds_total=30.0), live.host_config)
    assert fixed.window_seconds == 30.0
    assert live.window_seconds == pytest.approx((18 + 6) * 8 / 1000)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [-1.0, 2.0], [float("nan")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(LmdmError, match="weights"):
        Controls(prompts=tuple(("house", weight) for weight in weights))


def latents_of(live: LiveModel, controls: str | Controls, guidance: float = 3.0) -> Tensor:
    return live.step(live.start(seed=1), controls, sampling=Sampling(2, guidance=guidance))[1].pending[0].latents


def test_the_prompt_cache_tells_all_controls_apart() -> None:
    live = tiny_live()
    plain = Controls((("house", 1.0),))
    others = [replace(plain, negative_prompt="techno"), replace(plain, values=(("seconds_total", 9.0),)),
              Controls((("techno", 1.0),))]  # fmt: skip
    first = latents_of(live, plain)
    assert all(not torch.equal(first, latents_of(live, other)) for other in others)
    assert torch.equal(first, latents_of(live, plain))


def test_the_prompt_cache_stays_small() -> None:
    live, made = tiny_live(), []
    live.network.conditioners.register_forward_pre_hook(lambda _module, given: made.append(given))
    for number in (*range(PROMPTS_KEPT + 1), PROMPTS_KEPT, 0):
        latents_of(live, f"house {60 + number} bpm")
    assert len(made) == PROMPTS_KEPT + 2, "the newest is still known, the oldest is encoded anew"


@pytest.mark.parametrize("prompts", ["abc", (("a",),), (("a", 1.0, 2.0),), ("ab",), 3])
def test_what_is_no_list_of_pairs_is_named(prompts: object) -> None:
    with pytest.raises(LmdmError, match="pairs of a text and its weight"):
        Controls(prompts)  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", ["1", None, True, 1j])
def test_a_weight_is_a_number(weight: object) -> None:
    with pytest.raises(LmdmError, match="weights must be finite"):
        Controls((("a", weight),))  # type: ignore[arg-type]


def test_a_finished_block_is_committed_under_the_prompt_that_follows() -> None:
    dit, before, after = toy_dit(), conditioning(), conditioning(seed=500)
    first, second = (Told.of(dit, one, guidance=1.0) for one in (before, after))
    _, state = next_block(dit, begin(None, seeds=(7,), spec=SPEC), first, spec=SPEC, sampling=PINGPONG)
    _, played = next_block(dit, state, second, spec=SPEC, sampling=PINGPONG)
    under_after, under_before = (committed(dit, state, one, spec=SPEC).blocks[-1] for one in (second, first))
    torch.testing.assert_close(played.blocks[-1].keys_values, under_after.keys_values, atol=1e-5, rtol=0)
    assert (played.blocks[-1].keys_values - under_before.keys_values).abs().max() > 0.01


def test_frame_controls_reach_the_target_and_stay_with_their_block() -> None:
    """A block is denoised with its own frame controls, and later committed with the same ones."""
    dit, ready = toy_dit(extra_controls=2), Told.of(toy_dit(extra_controls=2), conditioning(), guidance=1.0)
    state = begin(None, seeds=(7,), spec=SPEC)
    quiet, loud = (value * torch.ones(1, 2, SPEC.block_frames) for value in (0.0, 1.0))
    (one, after), (other, _) = (
        next_block(dit, state, ready, spec=SPEC, sampling=PINGPONG, controls=c) for c in (loud, quiet)
    )
    assert not torch.allclose(one, other)
    assert torch.equal(after.pending[0].controls, loud)
    swapped = replace(after, pending=(Block(after.pending[0].latents, quiet),))
    kept, changed = (next_block(dit, s, ready, spec=SPEC, sampling=PINGPONG, controls=loud)[0]
                     for s in (after, swapped))  # fmt: skip
    assert not torch.allclose(kept, changed)


def test_recaching_keeps_the_order_of_blocks() -> None:
    dit, ready = toy_dit(), Told.of(toy_dit(), conditioning(), guidance=1.0)
    state = begin(None, seeds=(7,), spec=SPEC)
    played = []
    for _ in range(4):
        latents, state = next_block(dit, state, ready, spec=SPEC, sampling=PINGPONG)
        played.append(latents)
    again = recached(state, context_blocks=SPEC.context_blocks)
    assert not again.blocks and all(block.keys_values is None for block in again.pending)
    kept = torch.cat([block.latents for block in again.pending], dim=-1)
    assert torch.equal(kept, torch.cat(played[-SPEC.context_blocks :], dim=-1))


def test_every_denoise_step_draws_its_own_noise() -> None:
    dit, ready, asked = toy_dit(), Told.of(toy_dit(), conditioning(2), guidance=1.0), []

    def spy(seed: int, block: int, step: int, purpose: str, *, shape: tuple[int, ...]) -> Tensor:
        asked.append((seed, block, step))
        return draw(*shape, seed=len(asked))

    state = begin(None, seeds=(7, 8), spec=SPEC)
    next_block(dit, state, ready, spec=SPEC, sampling=Sampling(steps=3), draw=spy)
    assert asked == [(seed, 0, step) for step in range(3) for seed in (7, 8)]


def test_the_global_input_matters() -> None:
    """Negative control: seconds reach the network through the prefix."""
    dit, plain = toy_dit(), conditioning()
    louder = replace(plain, global_cond=plain.global_cond + 1.0)
    out = [next_block(dit, begin(None, seeds=(7,), spec=SPEC), Told.of(dit, one, guidance=1.0), spec=SPEC,
                      sampling=PINGPONG)[0] for one in (plain, louder)]  # fmt: skip
    assert out[0].shape == (1, CHANNELS, SPEC.block_frames) and not torch.allclose(*out)


def test_a_section_survives_its_json() -> None:
    section = replace(
        tiny_section(BlockSpec(7, 3, prefix_distance_frames=40), sampling=Sampling(5, "euler", 2.5)),
        seconds_total=12.0, trained_steps=77,
    )  # fmt: skip
    assert LmdmSection.read({"lmdm": section.to_json()}) == section


def test_rotary_frequencies_keep_full_precision() -> None:
    """In bf16 a position of 200 frames would be off by a radian."""
    network = tiny_live().copied().network
    before = network.dit.transformer.rotary_pos_emb.inv_freq.clone()
    place(network, device="cpu", dtype=torch.bfloat16)
    assert network.dit.transformer.project_in.weight.dtype == torch.bfloat16
    assert torch.equal(network.dit.transformer.rotary_pos_emb.inv_freq, before)
