"""Another generation of the host is refused by its name, by object and by file; neutral settings of it are not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts import generation
from lmdm_adapter.hosts.generation import refuse_other_generations
from lmdm_adapter.hosts.stable_audio_tools import network_config
from tests.cli import edit_config, save_offline, sentence
from tests.models import host_config

DIFFUSION = ("model", "diffusion")
DIT, ATTENTION = (*DIFFUSION, "config"), (*DIFFUSION, "config", "attn_kwargs")
CONDITIONERS = ("model", "conditioning", "configs")
CODEC = ("model", "pretransform", "config")

LATER = [
    ((*DIT, "global_cond_type"), "adaLN"), ((*DIT, "num_memory_tokens"), 64), ((*DIT, "norm_type"), "rms_norm"),
    ((*DIT, "local_add_cond_dim"), 257), ((*DIT, "timestep_features_type"), "expo"),
    ((*DIT, "timestep_features_dim"), 512), ((*DIT, "timestep_features_logsnr"), True),
    ((*DIT, "cross_attn_rotary_pos_emb"), True), ((*DIT, "transformer_type"), "mm_transformer"),
    ((*ATTENTION, "qk_norm"), "rms"), ((*ATTENTION, "qk_norm_eps"), 1e-3), ((*ATTENTION, "differential"), True),
    ((*DIT, "ff_kwargs"), {"sinusoidal": True}), ((*DIFFUSION, "local_add_cond_ids"), ["inpaint_mask"]),
    ((*DIFFUSION, "modular_local_cond_configs"), [{"id": "melody", "dim": 4}]),
    ((*DIFFUSION, "mask_padding_attention"), True), ((*CONDITIONERS, 0, "type"), "t5gemma"),
    ((*CONDITIONERS, 0, "config"), {"padding_mode": "learned"}), ((*CODEC, "encoder", "type"), "same"),
    ((*CODEC, "decoder", "type"), "taae_v2"), ((*CODEC, "bottleneck", "type"), "softnorm"),
]  # fmt: skip
NEUTRAL = [
    ((*DIT, "global_cond_type"), "prepend"), ((*DIT, "num_memory_tokens"), 0), ((*DIT, "norm_type"), "layer_norm"),
    ((*DIT, "local_add_cond_dim"), None), ((*DIT, "timestep_features_logsnr"), False),
    ((*ATTENTION, "qk_norm_eps"), 1e-6), ((*DIFFUSION, "local_add_cond_ids"), []),
    ((*DIFFUSION, "sampling_distribution_shift_options"), {"type": "logsnr"}),
    ((*CONDITIONERS, 0, "config"), {"min_val": 0, "max_val": 64, "fourier_features_type": "learned"}),
]  # fmt: skip


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """The tiny host config with one value set."""
    config: Any = host_config()
    place = config
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return config


@pytest.mark.parametrize(("path", "value"), LATER, ids=str)
def test_a_config_of_a_later_generation_is_refused_by_its_name(path: tuple[str | int, ...], value: object) -> None:
    """Besides the option, and with what to do."""
    with pytest.raises(LmdmError, match="0.0.20 and Stable Audio 3.*Stable Audio Open") as caught:
        network_config(changed(path, value))
    assert (next(iter(value)) if isinstance(value, dict) else str(path[-1])) in str(caught.value)


@pytest.mark.parametrize(("path", "value"), NEUTRAL, ids=str)
def test_its_neutral_settings_are_the_known_network(path: tuple[str | int, ...], value: object) -> None:
    assert network_config(changed(path, value)) == network_config(host_config())


def test_the_command_line_says_so_in_one_sentence(tmp_path: Path) -> None:
    folder = edit_config(save_offline(tmp_path / "offline"), lambda config: config["model"]["diffusion"][
        "config"].update(global_cond_type="adaLN"))  # fmt: skip
    assert "global_cond_type='adaLN' belongs to" in sentence("convert", folder, tmp_path / "live")
    assert "Stable Audio 3" in sentence("stream", "house", "--model", folder, "--regime", "outpaint")


class Namespace(nn.Module):
    """A module with these attributes."""

    def __init__(self, **attributes: object) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


def host(module: str = "stable_audio_tools.models.diffusion", *, at: str = "wrapper", **changes: object) -> nn.Module:
    """A module that looks like the host's wrapper, of a class that says where it comes from; `at` gets the changes."""
    own: dict[str, dict[str, object]] = {at: changes}
    attention = Namespace(**{"differential": False, **own.get("attention", {})})
    layers = nn.ModuleList([Namespace(self_attn=attention)])
    transformer = Namespace(**{"layers": layers, "num_memory_tokens": 0, **own.get("transformer", {})})
    dit = Namespace(**{"transformer": transformer, "global_cond_type": "prepend", **own.get("dit", {})})
    kind = type("Wrapper", (Namespace,), {"__module__": module})
    return kind(model=Namespace(model=dit), **own.get("wrapper", {}))


def installed(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(name: str) -> str:
        assert name == "stable-audio-tools"
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(generation, "version", version)


@pytest.mark.parametrize("found", ["0.0.18", "0.0.9"])
def test_older_releases_are_refused_by_their_number(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    installed(monkeypatch, found)
    with pytest.raises(LmdmError, match=f"stable-audio-tools {found} is too old"):
        refuse_other_generations(host())
    assert refuse_other_generations(host("my_fork.models")) is None


@pytest.mark.parametrize("found", ["0.0.19", "0.0.19+local", "0.0.20", None])
def test_others_are_judged_by_what_they_use(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    installed(monkeypatch, found)
    assert refuse_other_generations(host()) is None
    with pytest.raises(LmdmError, match="belongs to .*0.0.20 and Stable Audio 3"):
        refuse_other_generations(host(mask_padding_attention=True))


OBJECT_OPTIONS = [  # where an object keeps it, its name, a value of later networks, the value of the known ones
    ("wrapper", "local_add_cond_ids", ["melody"], []), ("wrapper", "modular_local_cond_ids", ["melody"], []),
    ("wrapper", "mask_padding_attention", True, False), ("dit", "global_cond_type", "adaLN", "prepend"),
    ("dit", "timestep_features_logsnr", True, False), ("transformer", "num_memory_tokens", 64, 0),
    ("transformer", "cross_attn_rotary_pos_emb", "a table of frequencies", None),
    ("attention", "differential", True, False), ("attention", "qk_norm_eps", 1e-3, 1e-6),
]  # fmt: skip
LATER_MODULES = (
    "T5GemmaConditioner", "CausalLMConditioner", "SATCLAPTextConditioner", "SATCLAPAudioConditioner", "SAMEEncoder",
    "SAMEDecoder", "SoftNormBottleneck", "ExpoFourierFeatures", "RMSNorm", "Sin",
)  # fmt: skip


@pytest.mark.parametrize(("at", "name", "later", "known"), OBJECT_OPTIONS, ids=[name for _, name, *_ in OBJECT_OPTIONS])
def test_an_object_is_refused_by_what_it_uses_of_later_ones(at: str, name: str, later: object, known: object) -> None:
    """Wherever the object keeps it; the same attribute with the value of a known network is no reason."""
    assert refuse_other_generations(host(at=at, **{name: known})) is None
    with pytest.raises(LmdmError, match=f"The option {name}=.*belongs to"):
        refuse_other_generations(host(at=at, **{name: later}))


@pytest.mark.parametrize("name", LATER_MODULES)
def test_an_object_with_a_later_module_is_refused_by_its_class(name: str) -> None:
    """Anywhere inside; a class of another name is no reason."""
    module, other = (type(kind, (nn.Module,), {})() for kind in (name, f"{name}OfAnother"))
    assert refuse_other_generations(host(at="attention", part=other)) is None
    with pytest.raises(LmdmError, match=f"self_attn.part is a {name}, which belongs to"):
        refuse_other_generations(host(at="attention", part=module))


def test_a_host_of_another_network_is_not_judged_here() -> None:
    assert refuse_other_generations(Namespace(model=Namespace(model=torch.nn.Linear(1, 1)))) is None
