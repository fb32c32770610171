"""Tiny models of the paper's public code: our cached passes give the velocities of its trained masks.

Block-causal context is committed and denoised against in cached K/V, encoder-decoder context is encoded once; prompt
and seconds are given as conditioner outputs. LMDM_VECTORS names another folder of models in the same format.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lmdm_adapter.checkpoint import Checkpoint
from lmdm_adapter.conversion import live_from_checkpoint
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.reference import is_reference, reference_config, reference_spec
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.network.model import Network, build
from lmdm_adapter.rollout import Told, begin, block_velocity
from lmdm_adapter.spec import BlockSpec, Regime
from lmdm_adapter.state import Block, Conditioning, StreamState

VECTORS_BESIDE = Path(__file__).parent / "vectors"
VECTORS = Path(os.environ.get("LMDM_VECTORS", Path(__file__).parent / "vectors"))
FOLDERS = sorted(path for path in VECTORS.iterdir() if path.is_dir())
GUIDANCE = 3.0
TOLERANCE = 1e-4


def load_reference(folder: Path, regime: Regime) -> tuple[DiT, BlockSpec, dict[str, Tensor]]:
    """The DiT of a folder, its blocks, and the recorded cases."""
    config = json.loads((folder / "model_config.json").read_text())
    assert is_reference(config)
    network = build(replace(reference_config(config), conditioners=()), load_file(folder / "model.safetensors"))
    return network.dit, reference_spec(config, regime=regime), load_file(folder / "cases.safetensors")


def frame_controls(cases: dict[str, Tensor]) -> Tensor | None:
    """Mask and latents of the accompaniment, `b e n` over context and target, where the model has one."""
    if "accomp_input" not in cases:
        return None
    return torch.cat([cases["accomp_mask"], cases["accomp_input"]], dim=1)


def primed(cases: dict[str, Tensor], spec: BlockSpec) -> StreamState:
    """A stream whose whole recorded context is pending, each block with its own frame controls."""
    context, controls = cases["context"], frame_controls(cases)
    starts = range(0, context.shape[-1], spec.block_frames)
    slices = [slice(start, start + spec.block_frames) for start in starts]
    pending = tuple(Block(context[..., s], None if controls is None else controls[..., s]) for s in slices)
    return replace(begin(None, seeds=(0,) * context.shape[0], spec=spec), pending=pending)


def velocity(
    dit: DiT, spec: BlockSpec, cases: dict[str, Tensor], case: str, *, guidance: float, spoil_context: float = 0.0
) -> Tensor:
    """Our velocity for a recorded case, through the same state, commit and window as in play."""
    cases = {**cases, "context": cases["context"] + spoil_context}
    seconds = cases["seconds_total"]
    conditioning = Conditioning(torch.cat([cases["prompt"], seconds], dim=1), global_cond=seconds[:, 0])
    told = Told.of(dit, conditioning, guidance=guidance)
    x, t, controls = cases[f"{case}.x"], cases[f"{case}.t"], frame_controls(cases)
    if controls is not None:
        controls = controls[..., cases["context"].shape[-1] :]
    state, settings = primed(cases, spec), {"spec": spec, "frames": x.shape[-1], "controls": controls}
    ask, _ = block_velocity(dit, state, told, **settings)
    # Rows were recorded at noise levels of their own; a block in play has one for all.
    return torch.cat([ask(x, float(level))[row : row + 1] for row, level in enumerate(t)])


def recorded(cases: dict[str, Tensor], regime: Regime) -> list[str]:
    """Names of the recorded cases of a regime."""
    prefix = {"block-causal": "block_causal.", "encoder-decoder": "encdec."}[regime]
    return sorted({key.rsplit(".", 1)[0] for key in cases if key.startswith(prefix)})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize(("guidance", "expected"), [(1.0, "velocity"), (GUIDANCE, "velocity_cfg3")])
@pytest.mark.parametrize("regime", ["block-causal", "encoder-decoder"])
def test_velocities_match(folder: Path, regime: Regime, guidance: float, expected: str) -> None:
    dit, spec, cases = load_reference(folder, regime)
    names = recorded(cases, regime)
    assert names, "no cases recorded"
    for case in names:
        with torch.inference_mode():
            ours = velocity(dit, spec, cases, case, guidance=guidance)
            spoiled = velocity(dit, spec, cases, case, guidance=guidance, spoil_context=0.5)
        torch.testing.assert_close(ours, cases[f"{case}.{expected}"], atol=TOLERANCE, rtol=0)
        assert (spoiled - ours).abs().max() > 100 * TOLERANCE, "the context does not matter: nothing was tested"


def halves(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights with self-attention split into `to_q` and `to_kv`."""
    fused = [key for key in tensors if key.endswith("self_attn.to_qkv.weight")]
    split = {}
    for key in fused:
        width = tensors[key].shape[1]
        split[key.replace("to_qkv", "to_q")] = tensors[key][:width].clone()
        split[key.replace("to_qkv", "to_kv")] = tensors[key][width:].clone()
    return {**{key: value for key, value in tensors.items() if key not in fused}, **split}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_split_projections_load_strictly_and_play_the_same(folder: Path) -> None:
    config = json.loads((folder / "model_config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    _, spec, cases = load_reference(folder, "block-causal")
    fused, split = (
        build(replace(reference_config(config, keys), conditioners=()), keys).dit for keys in (tensors, halves(tensors))
    )
    case = recorded(cases, "block-causal")[0]
    with torch.inference_mode():
        ours, theirs = (velocity(dit, spec, cases, case, guidance=1.0) for dit in (split, fused))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    with pytest.raises(LmdmError, match="to_q"):
        build(replace(reference_config(config), conditioners=()), halves(tensors))


def test_there_are_vectors() -> None:
    assert FOLDERS, f"no reference models in {VECTORS}"


def test_a_reference_checkpoint_plays_its_own_blocks_in_each_regime() -> None:
    """Through the loader: 3 blocks are visible block-causal, 4 encoder-decoder; it was trained for the first."""
    folder = VECTORS_BESIDE / "reference_text"
    config = json.loads((folder / "model_config.json").read_text())
    tensors = dict(load_file(folder / "model.safetensors"))
    network = reference_config(config)
    missing = set(Network(network).state_dict()) - set(tensors)
    tensors |= {key: torch.zeros_like(Network(network).state_dict()[key]) for key in missing}
    checkpoint = Checkpoint(config, tensors, {}, folder)
    own, other = (live_from_checkpoint(checkpoint, regime=r) for r in (None, "encoder-decoder"))
    assert (own.spec.regime, own.spec.context_blocks, own.trained) == ("block-causal", 3, True)
    assert (other.spec.regime, other.spec.context_blocks, other.trained) == ("encoder-decoder", 4, False)
