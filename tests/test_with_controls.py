"""A frame control that is added to a trained model changes nothing, bit for bit, until it is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import lmdm_adapter as lmdm
from lmdm_adapter import LmdmError, with_controls
from lmdm_adapter.checkpoint import Checkpoint, read_checkpoint
from lmdm_adapter.controls.declared import accompaniment_controls, named
from lmdm_adapter.conversion import live_from_checkpoint
from lmdm_adapter.hosts.reference import reference_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.loading import place
from lmdm_adapter.network.control_projection import ControlProjection
from lmdm_adapter.network.encoder_decoder import window_velocity
from lmdm_adapter.network.model import Network
from lmdm_adapter.network.parallel import parallel_velocity
from tests.models import LATENT_CHANNELS, SPEC, controlled_live, tiny_live, tiny_offline
from tests.test_reference_vectors import VECTORS_BESIDE
from tests.toy import draw

ACCOMPANIMENT = accompaniment_controls(LATENT_CHANNELS)
SKETCH = (("sketch_loudness", 2), ("sketch_melody", 5))
REGIMES = ("block-causal", "encoder-decoder")
DTYPES = (torch.float32, torch.bfloat16)
LENGTHS = (6, 7, 5, 6)


def regime_of(live: LiveModel, regime: str, dtype: torch.dtype) -> LiveModel:
    live = live.with_regime(regime)
    place(live.network, device="cpu", dtype=dtype)
    return live


def streamed(live: LiveModel, **settings: object) -> np.ndarray:
    pieces = live.stream("house", 0.15, seed=3, **settings)
    return np.concatenate([piece.samples for piece in pieces], axis=1)


def values(controls: tuple[tuple[str, int], ...], *, seed: int = 0) -> dict[str, np.ndarray]:
    return {name: draw(channels, SPEC.block_frames, seed=seed + i).numpy() for i, (name, channels) in
            enumerate(controls)}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])
@pytest.mark.parametrize("regime", REGIMES)
def test_a_stream_stays_as_it_was_whatever_the_new_control_says(regime: str, dtype: torch.dtype) -> None:
    live = regime_of(tiny_live(), regime, dtype)
    wider = with_controls(with_controls(live, ACCOMPANIMENT), SKETCH)
    given = values(ACCOMPANIMENT + SKETCH)
    before = streamed(live)
    assert np.array_equal(before, streamed(wider))
    assert np.array_equal(before, streamed(wider, frame_controls=lambda first, frames: given))


def test_a_trained_control_is_heard() -> None:
    """Negative control: with columns that are not zero the same values change the stream."""
    live, given = controlled_live(ACCOMPANIMENT + SKETCH), values(ACCOMPANIMENT + SKETCH)
    assert not np.allclose(streamed(live), streamed(live, frame_controls=lambda first, frames: given), atol=1e-3)


def forwards(live: LiveModel, controls: Tensor | None) -> list[Tensor]:
    """Velocities of the parallel forwards that train both regimes."""
    dit, frames = live.network.dit, sum(LENGTHS)
    clean, noisy = (draw(2, LATENT_CHANNELS, frames, seed=seed) for seed in (1, 2))
    told = {"prefix_distance": SPEC.prefix_distance, "cross": draw(2, 3, 16, seed=3), "global_cond": draw(2, 16)}
    t = torch.tensor([[0.2, 0.9, 0.5, 1.0], [0.1, 0.4, 0.7, 0.3]])
    past = frames - LENGTHS[-1]
    with torch.inference_mode():
        return [
            parallel_velocity(dit, clean, noisy, t, lengths_frames=LENGTHS, context_blocks=SPEC.context_blocks,
                              controls=controls, **told),
            window_velocity(dit, clean[..., :past], noisy[..., past:], t[:, 0], controls=controls, **told),
        ]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])
def test_parallel_forwards_stay_as_they_were(dtype: torch.dtype) -> None:
    live = regime_of(tiny_live(), "block-causal", dtype)
    wider = with_controls(live, ACCOMPANIMENT)
    given = draw(2, 2 + LATENT_CHANNELS, sum(LENGTHS), seed=8)
    for before, after, absent in zip(forwards(live, None), forwards(wider, given), forwards(wider, None), strict=True):
        assert torch.equal(before, after) and torch.equal(before, absent)
    trained = controlled_live(ACCOMPANIMENT)
    assert all(
        (one - other).abs().max() > 1e-3
        for one, other in zip(forwards(trained, None), forwards(trained, given), strict=True)
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])
@pytest.mark.parametrize("tokens", [1, 13, 49, 145])
def test_zero_columns_are_exact_at_the_width_of_a_real_model(tokens: int, dtype: torch.dtype) -> None:
    """A product with a wider matrix may add up in another order; the sum of products does not."""
    narrow, wide = ControlProjection((65,), 1024), ControlProjection((65, 1, 64, 1, 7), 1024)
    with torch.inference_mode():
        narrow.weight.copy_(draw(1024, 65))
        wide.weight.zero_()[:, :65] = narrow.weight
        narrow, wide = narrow.to(dtype), wide.to(dtype)
        context, controls = draw(2, tokens, 65, seed=1).to(dtype), draw(2, tokens, 73, seed=2).to(dtype)
        assert torch.equal(narrow(context), wide(context, controls))


@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])
def test_saved_and_loaded_it_is_the_same_model(tmp_path: Path, dtype: torch.dtype) -> None:
    live = tiny_live()
    with_controls(live, SKETCH).save(tmp_path / "wider")
    wider = lmdm.load(tmp_path / "wider", dtype=dtype)
    assert wider.section.frame_controls[2:] == SKETCH == wider.network.dit.config.further_controls
    assert np.array_equal(streamed(regime_of(live, "block-causal", dtype)), streamed(wider))


def test_other_tensors_are_shared_and_the_given_model_is_left_alone() -> None:
    live = tiny_live()
    before = {name: value.clone() for name, value in live.network.state_dict().items()}
    wider = with_controls(live, SKETCH)
    own = dict(live.network.named_parameters())
    for name, value in wider.network.named_parameters():
        assert name.endswith("to_input_add_embed.weight") or value.data_ptr() == own[name].data_ptr()
    assert all(torch.equal(before[name], value) for name, value in live.network.state_dict().items())
    assert live.section.frame_controls == tiny_live().section.frame_controls


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ((), "at least one"),
        ((("sketch_melody", 5),), "there already"),
        ((("context_latents", 4),), "there already"),
        ((("accompaniment_mask", 1), ("accompaniment_mask", 1)), "there already"),
        ((("sketch_loudness", 2),), "in the order sketch_loudness, sketch_brightness"),
        ((("accompaniment_latents", 4), ("accompaniment_mask", 1)), "in the order accompaniment_mask"),
        ((("my control", 1),), "plain name.*my control: 1"),
        ((("mine", 0),), "1..4096 channels"),
    ],
)
def test_what_cannot_be_added_is_refused(controls: tuple[tuple[str, int], ...], words: str) -> None:
    live = with_controls(tiny_live(), (("sketch_melody", 5),))
    with pytest.raises(LmdmError, match=words):
        with_controls(live, controls)


def test_an_offline_model_has_nothing_to_add_to() -> None:
    stock = tiny_live()
    outpainting = LiveModel(tiny_offline()[0], stock.section, stock.host_config)
    with pytest.raises(LmdmError, match="convert this one"):
        with_controls(outpainting, SKETCH)


def test_groups_stand_for_their_controls() -> None:
    known = ACCOMPANIMENT + SKETCH
    assert named(("sketch",), known) == SKETCH and named(("sketch", "accompaniment"), known) == known
    assert named(("accompaniment_lag",), known) == (("accompaniment_lag", 1),)
    with pytest.raises(LmdmError, match="no frame control 'sketc'"):
        named(("sketc",), known)


def test_a_model_in_the_references_format_gets_controls_too(tmp_path: Path) -> None:
    folder = VECTORS_BESIDE / "reference_accompaniment"
    config, tensors = json.loads((folder / "model_config.json").read_text()), load_file(folder / "model.safetensors")
    whole = Network(reference_config(config)).state_dict()  # the vectors come without conditioners
    given = live_from_checkpoint(Checkpoint(config, {**whole, **tensors}, {}, folder))
    wider = with_controls(given, SKETCH)
    wider.save(tmp_path / "wider")
    loaded = live_from_checkpoint(read_checkpoint(tmp_path / "wider"))
    assert loaded.section.frame_controls == (*given.section.frame_controls, *SKETCH)
    clean = draw(1, given.network.dit.config.io_channels, 12)
    own = draw(1, given.network.dit.config.extra_control_channels, 12, seed=1)
    more = torch.cat([own, draw(1, 7, 12, seed=2)], dim=1)
    tokens = given.network.dit.context_tokens(clean, own)
    assert torch.equal(tokens, loaded.network.dit.context_tokens(clean, more))
    assert not torch.equal(tokens, given.network.dit.context_tokens(clean, None))
