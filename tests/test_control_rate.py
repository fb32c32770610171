"""Columns of frame controls that learn faster: the same computation, and steps that many times as far."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.model import Network
from lmdm_adapter.recipes.finetune import FinetuneRecipe
from lmdm_adapter.training.control_rate import columns_scaled, controls_scaled
from lmdm_adapter.training.data import SongData
from lmdm_adapter.training.flow_objectives import BlockObjective, FlowConfig, set_trainable
from tests.models import LATENT_CHANNELS, SPEC, controlled_live, tiny_live
from tests.toy import draw

DECLARED, BLOCKS, RATE, STEP = (("sketch_loudness", 2), ("sketch_rhythm", 1)), (6, 6, 6), 16.0, 1e-3
CLIP, CONTROLS = draw(2, LATENT_CHANNELS, sum(BLOCKS), seed=9), draw(2, 3, sum(BLOCKS), seed=10)


def trained(rate: float) -> tuple[Tensor, Network, Tensor]:
    """The first loss, the network after one step of Adam and unfolded again, and its projection before."""
    network = set_trainable(controlled_live(DECLARED).network)
    before = network.dit.to_input_add_embed.weight.detach().clone()
    columns_scaled(network, 1.0 / rate)
    objective = BlockObjective(network, FlowConfig(), spec=SPEC, seconds=1.0)
    loss = objective(CLIP, ("house", "techno"), BLOCKS, controls_scaled(CONTROLS, rate), 0)["loss"]
    loss.backward()
    torch.optim.Adam(network.parameters(), lr=STEP).step()
    return loss.detach(), columns_scaled(network, rate), before


def test_columns_of_controls_move_that_much_farther_and_nothing_else_does() -> None:
    (plain_loss, plain, before), (fast_loss, fast, _) = trained(1.0), trained(RATE)
    assert torch.equal(plain_loss, fast_loss), "powers of two change no bit of what is computed"
    moved, farther = (each.dit.to_input_add_embed.weight.detach() - before for each in (plain, fast))
    assert torch.allclose(farther[:, -3:], RATE * moved[:, -3:], rtol=1e-3) and moved[:, -3:].abs().min() > 0.5 * STEP
    assert torch.equal(farther[:, :-3], moved[:, :-3]), "the context learns as it did"


def test_a_model_without_controls_is_left_alone() -> None:
    network = tiny_live().network
    before = network.dit.to_input_add_embed.weight.clone()
    assert torch.equal(columns_scaled(network, 3.0).dit.to_input_add_embed.weight, before)
    assert controls_scaled(None, 3.0) is None


@pytest.mark.parametrize("rate", [0.5, 2000.0, float("nan")])
def test_rates_that_make_no_sense_are_refused(rate: float) -> None:
    with pytest.raises(LmdmError, match="control_rate lies between 1 and 1024"):
        FinetuneRecipe(output="x", base="y", data=SongData("z"), control_rate=rate)
