"""Objects of a later stable-audio-tools against this package: run with that release first on the path.

Prints one JSON object: the file of the host, `parity` (largest differences, in units of scale, by config and part) and
`refusals` (what each later option is told, by option; null where it went through).
"""

from __future__ import annotations

import copy
import importlib.util
import json
from types import SimpleNamespace
from typing import Any

import configs
import stubs
import tiny_t5
import torch
from breaks import UNUSED_BY_TESTS, stub
from torch import Tensor

import lmdm_adapter as lmdm
from tests.randomise import randomise

SPEC = lmdm.BlockSpec(block_frames=6, context_blocks=3)
METADATA = [{"prompt": prompt, "seconds_start": 0, "seconds_total": seconds}
            for prompt, seconds in (("house in a minor", 5.0), ("punk drums", 20.0))]  # fmt: skip
CONFIGS = {
    "small": configs.open_small(), "1.0": configs.open_1_0(), "inpainting": configs.inpainting(configs.open_small()),
}  # fmt: skip
LATER_OPTIONS: dict[str, dict[str, Any]] = {
    "global_cond_type": {"config": {"global_cond_type": "adaLN"}},
    "num_memory_tokens": {"config": {"num_memory_tokens": 4}},
    "norm_type": {"config": {"norm_type": "rms_norm"}},
    "timestep_features_type": {"config": {"timestep_features_type": "expo"}},
    "timestep_features_logsnr": {"config": {"timestep_features_logsnr": True}},
    "cross_attn_rotary_pos_emb": {"config": {"cross_attn_rotary_pos_emb": True}},
    "differential": {"config": {"attn_kwargs": {"differential": True}}},
    "qk_norm": {"config": {"attn_kwargs": {"qk_norm": "rms"}}},
    "qk_norm_eps": {"config": {"attn_kwargs": {"qk_norm": "ln", "qk_norm_eps": 1e-3}}},
    "sinusoidal": {"config": {"ff_kwargs": {"sinusoidal": True}}},
    "local_add_cond_ids": {"config": {"local_add_cond_dim": 5}, "local_add_cond_ids": ["inpaint_mask"]},
    "modular_local_cond_configs": {"modular_local_cond_configs": [{"id": "melody", "dim": 4}]},
    "mask_padding_attention": {"mask_padding_attention": True},
}


def build(config: dict[str, Any]) -> Any:
    """The host's model, every weight drawn anew."""
    from stable_audio_tools import create_model_from_config

    return randomise(create_model_from_config(config).eval(), 3)


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference in units of scale."""
    return float((one - other).abs().max() / other.abs().max())


@torch.no_grad()
def parity(config: dict[str, Any]) -> dict[str, float]:
    """How far the converted object is from the object, offline; `moved` is another noise level, for contrast."""
    host = build(config)
    network = lmdm.convert(host, SPEC).network
    x = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(1))
    given = torch.cat([torch.ones(2, 1, 12), x.flip(-1)], dim=1) if host.input_concat_ids else None
    heard, ours = host.conditioner(METADATA, "cpu"), network.conditioners(METADATA, "cpu")
    if given is not None:
        heard |= {"inpaint_mask": [given[:, :1]], "inpaint_masked_input": [given[:, 1:]]}
    cross = torch.cat([ours[name][0] for name in network.config.cross_ids], dim=1)
    global_cond = torch.cat([ours[name][0][:, 0] for name in network.config.global_ids], dim=-1)
    theirs = host(x, torch.tensor([0.7, 0.2]), cond=heard)
    made, moved = (network.dit(x, torch.tensor(levels), cross=cross, global_cond=global_cond, given=given)
                   for levels in ([0.7, 0.2], [0.6, 0.2]))  # fmt: skip
    ours_decoded = copy.deepcopy(network.autoencoder).double().decode(x.double())  # as in test_codec_parity.py
    return {"velocity": difference(made, theirs), "moved": difference(moved, theirs),
            "decoded": difference(ours_decoded, host.pretransform.double().decode(x.double()))}  # fmt: skip


def refusal(changes: dict[str, Any]) -> str | None:
    """What conversion says to an object with this option."""
    config = copy.deepcopy(CONFIGS["small"])
    diffusion = config["model"]["diffusion"]
    diffusion["config"] |= changes.get("config", {})
    diffusion |= {key: value for key, value in changes.items() if key != "config"}
    try:
        lmdm.convert(build(config), SPEC)
    except lmdm.LmdmError as error:
        return str(error)
    return None


if __name__ == "__main__":
    tiny_t5.patch(SimpleNamespace(setattr=setattr))  # imports transformers, which must look before the stubs are there
    stubs.install()
    stub(*(name for name in UNUSED_BY_TESTS if importlib.util.find_spec(name) is None))
    import stable_audio_tools

    found = {"parity": {name: parity(config) for name, config in CONFIGS.items()},
             "refusals": {name: refusal(changes) for name, changes in LATER_OPTIONS.items()}}  # fmt: skip
    print(json.dumps({"host": stable_audio_tools.__file__, **found}))
