"""Laws 1, 5 and 6 against the real host: same numbers, same keys, and a host that is left as it was."""

from __future__ import annotations

import copy
from typing import Any

import configs
import pytest
import torch
from torch import Tensor

import lmdm_adapter as lmdm
from lmdm_adapter.checkpoint import Checkpoint, read_checkpoint
from lmdm_adapter.controls import Controls, condition
from lmdm_adapter.conversion import offline_network
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.model import CONTROL_PROJECTION, Network
from lmdm_adapter.network.text import TextEncoder
from tests.models import tiny_live

CONFIGS = {"small": configs.open_small(), "1.0": configs.open_1_0()}
SPEC = lmdm.BlockSpec(block_frames=6, context_blocks=3)
LATENTS = torch.randn(2, 4, 12, generator=torch.Generator().manual_seed(1))
LEVELS = torch.tensor([0.7, 0.2])
METADATA = [{"prompt": prompt, "seconds_start": 0, "seconds_total": seconds}
            for prompt, seconds in (("house in a minor", 5.0), ("punk drums", 20.0))]  # fmt: skip


def host_velocity(host: Any, *, guidance: float = 1.0, latents: Tensor = LATENTS) -> Tensor:
    """The host's own forward through its wrapper and conditioners."""
    with torch.no_grad():
        return host(latents, LEVELS, cond=host.conditioner(METADATA, "cpu"), cfg_scale=guidance)


def our_velocity(network: Network, *, guidance: float = 1.0) -> Tensor:
    """Our offline forward, conditioned by our own conditioners."""
    with torch.no_grad():
        features = network.conditioners(METADATA, "cpu")
        cross = torch.cat([features[name][0] for name in network.config.cross_ids], dim=1)
        global_cond = torch.cat([features[name][0][:, 0] for name in network.config.global_ids], dim=-1)
        told = network.dit(LATENTS, LEVELS, cross=cross, global_cond=global_cond)
        null = network.dit(LATENTS, LEVELS, cross=torch.zeros_like(cross), global_cond=global_cond)
    return null + guidance * (told - null)


def assert_equal_to_scale(ours: Tensor, theirs: Tensor) -> None:
    scale = float(theirs.abs().max())
    torch.testing.assert_close(ours / scale, theirs / scale, atol=1e-5, rtol=0)


def offline(host: Any, config: dict[str, Any], path: Any) -> Network:
    """Our network from the host's state dict and config, as if read from disk."""
    network = offline_network(Checkpoint(config, host.state_dict(), {}, path))
    for name, module in network.conditioners.conditioners.items():
        if name == "prompt":
            theirs = host.conditioner.conditioners[name]
            module.encoder = TextEncoder(theirs.tokenizer, theirs.model)
    return network


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_offline_forward_is_the_hosts(name: str, guidance: float, host_model: Any, tmp_path: Any) -> None:
    host = host_model(CONFIGS[name], 3)
    assert_equal_to_scale(
        our_velocity(offline(host, CONFIGS[name], tmp_path), guidance=guidance), host_velocity(host, guidance=guidance)
    )
    moved = LATENTS.clone()
    moved[..., 0] += 1.0
    assert (host_velocity(host, latents=moved) - host_velocity(host))[..., 6:].abs().max() > 1e-3


@pytest.mark.parametrize("objective", ["rectified_flow", "rf_denoiser", "v"])
def test_every_objective_has_the_hosts_forward(objective: str, host_model: Any, tmp_path: Any) -> None:
    config = copy.deepcopy(CONFIGS["small"])
    config["model"]["diffusion"]["diffusion_objective"] = objective
    host = host_model(config, 4)
    assert_equal_to_scale(our_velocity(offline(host, config, tmp_path)), host_velocity(host))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_host_object_is_converted_without_its_config(name: str, host_model: Any) -> None:
    """Attributes and shapes tell everything that the config file tells."""
    host = host_model(CONFIGS[name], 3)
    live = lmdm.convert(host, SPEC)
    with_config = lmdm.convert(host, SPEC, config=CONFIGS[name])
    assert live.network.config.dit == with_config.network.config.dit
    assert live.network.config.codec == with_config.network.config.codec
    assert_equal_to_scale(our_velocity(live.network), host_velocity(host))


def test_converted_tensors_are_the_hosts_own(host_model: Any) -> None:
    host = host_model(CONFIGS["small"], 3)
    live, copied = lmdm.convert(host, SPEC), lmdm.convert(host, SPEC, copy=True)
    theirs, ours, own = host.state_dict(), live.network.state_dict(), copied.network.state_dict()
    assert ours.keys() - theirs.keys() == {f"{CONTROL_PROJECTION}weight"}
    assert all(ours[key].data_ptr() == theirs[key].data_ptr() for key in theirs)
    assert all(own[key].data_ptr() != theirs[key].data_ptr() and torch.equal(own[key], theirs[key]) for key in theirs)


def photograph(host: Any) -> dict[str, Any]:
    """Flags, attributes and outputs of a host that a conversion must not change."""
    return {
        "requires_grad": {name: p.requires_grad for name, p in host.named_parameters()},
        "training": {name: module.training for name, module in host.named_modules()},
        "attributes": {name: sorted(vars(module)) for name, module in host.named_modules()},
        "classes": {name: type(module) for name, module in host.named_modules()},
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in host.modules()],
    }


@pytest.mark.parametrize("config", [None, CONFIGS["small"]], ids=["attributes", "config"])
def test_a_partly_frozen_host_in_training_is_left_alone(config: Any, host_model: Any) -> None:
    """Law 6: outputs, attributes, train and requires_grad flags of the host survive conversion and playing."""
    host = host_model(CONFIGS["small"], 3).train()
    host.model.model.transformer.layers[0].requires_grad_(False)
    host.pretransform.eval()
    before, output = photograph(host), host_velocity(host)
    live = lmdm.convert(host, SPEC, config=config)
    list(live.stream("house", seconds=0.02))
    assert photograph(host) == before
    assert torch.equal(host_velocity(host), output)
    loss = host.model(LATENTS, LEVELS, **host.get_conditioning_inputs(host.conditioner(METADATA, "cpu"))).sum()
    loss.backward()
    assert host.model.model.transformer.project_in.weight.grad is not None


def test_a_saved_model_is_loaded_strictly_by_the_host(host_model: Any, tmp_path: Any) -> None:
    """Law 5, both ways: the host's checkpoint converts, and the host loads what we save, bit for bit."""
    config = CONFIGS["small"]
    host, other = host_model(config, 3), host_model(config, 9)
    lmdm.convert(host, SPEC, config=config).save(tmp_path / "live")
    saved = read_checkpoint(tmp_path / "live")
    other.load_state_dict(dict(saved.tensors), strict=True)
    assert torch.equal(host_velocity(other), host_velocity(host))
    from stable_audio_tools.models.factory import create_model_from_config

    create_model_from_config(dict(saved.config)).load_state_dict(dict(saved.tensors), strict=True)


def test_the_host_loads_a_model_with_an_offline_text_conditioner(tmp_path: Any) -> None:
    """Words that hosts do not know are declared in the "lmdm" section: the host builds and loads the rest strictly."""
    tiny_live().save(tmp_path / "live")
    saved = read_checkpoint(tmp_path / "live")
    from stable_audio_tools.models.factory import create_model_from_config

    host = create_model_from_config(dict(saved.config))
    host.load_state_dict(dict(saved.tensors), strict=True)
    assert any(".prompt." in key for key in saved.adapter)
    assert not any("prompt" in key or "input_add" in key for key in host.state_dict())


def test_a_merged_prompt_is_read_alike(host_model: Any) -> None:
    """Prompt, seconds and null branch reach a stream as the host would have encoded them."""
    host = host_model(CONFIGS["1.0"], 3)
    live = lmdm.convert(host, SPEC)
    told = condition(live.network, Controls.of("house in a minor"), window_seconds=5.0, device=torch.device("cpu"))
    theirs = host.get_conditioning_inputs(host.conditioner(METADATA[:1], "cpu"))
    assert_equal_to_scale(told.cross, theirs["cross_attn_cond"])
    assert_equal_to_scale(told.global_cond, theirs["global_cond"])


def parametrised(host: Any) -> None:
    torch.nn.utils.parametrizations.orthogonal(host.model.model.transformer.project_in)


def hooked(host: Any) -> None:
    host.model.model.transformer.layers[0].register_forward_hook(lambda *_: None)


def concatenating(host: Any) -> None:
    host.input_concat_ids = ["mask"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(parametrised, "merge it"), (hooked, "hooks"), (concatenating, "input_concat_ids")],
    ids=["parametrised", "hooked", "concatenating"],
)
def test_hosts_that_cannot_be_taken_over_are_refused(spoil: Any, says: str, host_model: Any) -> None:
    host = host_model(CONFIGS["small"], 3)
    spoil(host)
    with pytest.raises(lmdm.LmdmError, match=says):
        lmdm.convert(host, SPEC)


@pytest.mark.parametrize(
    ("option", "value"),
    [("patch_size", 2), ("global_cond_type", "adaLN"), ("num_memory_tokens", 4), ("conformer", True),
     ("layer_scale", True), ("use_sinusoidal_emb", True)],
)  # fmt: skip
def test_hosts_with_options_that_leave_the_road_are_refused(option: str, value: Any, host_model: Any) -> None:
    """An option that changes the arithmetic is refused by the object's attributes or its keys, never ignored."""
    config = copy.deepcopy(CONFIGS["small"])
    config["model"]["diffusion"]["config"][option] = value
    host = host_model(config, 3)
    with pytest.raises(lmdm.LmdmError):
        lmdm.convert(host, SPEC)
    with pytest.raises(lmdm.LmdmError, match=option):
        lmdm.convert(host, SPEC, config=config)


def test_streaming_a_converted_host_is_a_stream(host_model: Any) -> None:
    live = lmdm.convert(host_model(CONFIGS["small"], 3), SPEC)
    assert isinstance(live, LiveModel)
    pieces = list(live.stream("house in a minor", seconds=0.02, sampling=lmdm.Sampling(steps=2)))
    assert sum(piece.samples.shape[1] for piece in pieces) == 882
