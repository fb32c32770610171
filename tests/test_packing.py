"""Packed weights: the same music, faster; nothing but the matrices is copied, and changed weights are packed anew."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
import torch

from lmdm_adapter.network.identity import weights_identity
from lmdm_adapter.network.packing import PackedLinear, packed, packs
from lmdm_adapter.rollout import Told, begin, next_block
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.models import tiny_live
from tests.toy import SPEC, conditioning, toy_dit

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


def played(dit, regime="block-causal", guidance=2.0):
    told, state = Told.of(dit, conditioning(), guidance=guidance), begin(None, seeds=(3,), spec=SPEC)
    spec, blocks = BlockSpec(SPEC.block_frames, SPEC.context_blocks, regime), []
    with torch.inference_mode():
        for _ in range(4):
            latents, state = next_block(dit, state, told, spec=spec, sampling=Sampling(3, "euler", guidance))
            blocks.append(latents)
    return torch.cat(blocks, dim=-1)


@pytest.mark.parametrize("regime", ["block-causal", "encoder-decoder", "outpaint"])
def test_packed_weights_play_the_same(regime):
    dit = toy_dit()
    plain, fast = played(dit, regime), played(packed(dit), regime)
    assert (plain - fast).abs().max() < 1e-5 * plain.abs().max()
    assert (played(toy_dit(seed=1), regime) - fast).abs().max() > 1e-2, "other weights play something else"


def test_only_matrices_are_copied_and_the_original_is_left_alone():
    dit = toy_dit()
    before = {name: value.clone() for name, value in dit.state_dict().items()}
    copied = packed(dit)
    assert not any(type(module) is torch.nn.Linear for module in copied.modules())
    shared = {id(value) for value in dit.parameters()}
    assert all(id(value) in shared for value in copied.parameters())
    assert all(torch.equal(before[name], value) for name, value in dit.state_dict().items())
    assert not any(isinstance(module, PackedLinear) for module in dit.modules())


def test_a_split_projection_and_bias_free_layers_pack():
    dit = toy_dit(split_qkv=True)
    plain = played(dit)
    assert (plain - played(packed(dit))).abs().max() < 1e-5 * plain.abs().max()


def test_what_cannot_be_packed_plays_as_it_is():
    assert packs(toy_dit())
    assert not packs(toy_dit().to("meta"))
    assert not packs(toy_dit().double())
    live = tiny_live()
    live.network.dit.double()
    assert live.engine is live.network.dit


def heard(live):
    return [piece.samples for piece in live.stream("house", 0.5, seed=1)]


def changed_in_place(live):
    with torch.no_grad():
        live.network.dit.transformer.layers[0].ff.ff[2].weight.mul_(2.0)


def replaced(live):
    linear = live.network.dit.transformer.layers[0].ff.ff[2]
    linear.weight = torch.nn.Parameter(linear.weight.detach() * 2.0, requires_grad=False)


def conditioner_changed(live):
    with torch.no_grad():
        for parameter in live.network.conditioners.parameters():
            parameter.mul_(2.0)


def decoder_changed(live):
    with torch.no_grad():
        for parameter in live.network.autoencoder.decoder.parameters():
            parameter.mul_(1.1)


def in_double_precision(live):
    live.network.double()


CHANGES = [changed_in_place, replaced, conditioner_changed, decoder_changed, in_double_precision]


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_has_played_plays_its_changed_weights(change):
    live = tiny_live()
    before, engine = heard(live), live.engine
    assert live.engine is engine, "packed once"
    change(live)
    after, fresh = heard(live), heard(live.copied())
    assert all((a == b).all() for a, b in zip(after, fresh, strict=True))
    assert any((a != b).any() for a, b in zip(after, before, strict=True))


def written_to(linear):
    linear.weight.mul_(2.0)


def pointed_elsewhere(linear):
    linear.weight.data = linear.weight.data.clone()


def read_as_other_numbers(linear):
    linear.weight.data = linear.weight.data.view(torch.bfloat16)


def taken_over(linear):
    """Another parameter on the same memory, written to as often as the first one was."""
    writes = linear.weight._version
    linear.weight = torch.nn.Parameter(linear.weight.data, requires_grad=False)
    while linear.weight._version < writes:
        linear.weight.mul_(2.0)


@pytest.mark.parametrize("change", [written_to, pointed_elsewhere, read_as_other_numbers, taken_over])
def test_every_trace_of_a_change_is_another_identity(change):
    linear = torch.nn.Linear(3, 3, dtype=torch.float16).requires_grad_(False)
    linear.weight.mul_(2.0)
    before, kept = weights_identity(linear), linear.weight
    assert weights_identity(linear) == before
    change(linear)
    assert weights_identity(linear) != before and kept is not None


def test_a_model_that_has_played_can_be_copied_and_pickled():
    live = tiny_live()
    expected = heard(live)
    for again in (copy.deepcopy(live), pickle.loads(pickle.dumps(live)), live.copied()):
        assert all((a == b).all() for a, b in zip(heard(again), expected, strict=True))


def test_a_model_built_in_inference_mode_plays():
    with torch.inference_mode():
        live = tiny_live()
        inside = heard(live)
    assert all((a == b).all() for a, b in zip(heard(live), inside, strict=True))


def test_another_network_in_the_same_handle_gets_an_engine_of_its_own():
    live, other = tiny_live(0), tiny_live(1)
    list(live.stream("house", 0.2))
    changed = dataclasses.replace(live, network=other.network)
    first, expected = (next(iter(one.stream("house", 0.2, seed=2))) for one in (changed, other))
    assert (first.samples == expected.samples).all()
