"""Every rule of the doctor, on made-up environments: it speaks where the break is, and is silent beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from lmdm_adapter.cli.diagnosis import HOST_BREAKS, ONLY_WHERE, diagnose
from lmdm_adapter.cli.environment import Environment, TorchBuild, version_of
from lmdm_adapter.cli.source_signs import SIGNS, signs_in

TORCH = TorchBuild("2.13.0+cpu")
WELL = Environment(
    python="3.11.7", system="Linux", packages={"torch": "2.13.0+cpu", "lmdm-adapter": "0.1.0"}, torch=TORCH,
    bundled=("tiny",),
)  # fmt: skip


def told(**changes: Any) -> set[str]:
    """Names of the findings in a healthy environment with these changes."""
    return {finding.name for finding in diagnose(replace(WELL, **changes))}


def with_packages(**versions: str) -> dict[str, str]:
    """The healthy packages and some more."""
    return {**WELL.packages, **{name.replace("_", "-"): version for name, version in versions.items()}}


def test_a_healthy_environment_has_no_finding() -> None:
    assert not diagnose(WELL)


@pytest.mark.parametrize(
    "changes",
    [
        {"failures": {"soundfile": "OSError: sndfile library not found"}},
        {"minimums": {"torch": "2.14"}},
        {"bundled": ("tiny-base",)},
    ],
)
def test_what_streaming_needs_blocks(changes: dict[str, Any]) -> None:
    findings = diagnose(replace(WELL, **changes))
    assert len(findings) == 1 and findings[0].blocks and findings[0].line().startswith("BLOCKS ")


def test_a_version_that_is_new_enough_does_not_block() -> None:
    assert not told(minimums={"torch": "2.13", "numpy": "1.23.5"})
    assert version_of("2.9") < version_of("2.13.0+cpu") < version_of("3.0rc1"), "numbers, not letters"


@pytest.mark.parametrize("name", sorted(set(HOST_BREAKS) - set(ONLY_WHERE)))
def test_breaks_in_the_host_source_are_told(name: str) -> None:
    assert told(signs=frozenset({name})) == {name}
    assert not diagnose(replace(WELL, signs=frozenset({name})))[0].blocks, "a host's break never stops a stream"


@pytest.mark.parametrize(
    ("name", "bites", "cured"),
    [
        ("B1", {}, {"modules": frozenset({"pkg_resources"})}),
        ("B4", {}, {"torch": replace(TORCH, version="2.5.0", schedulers_take_verbose=True)}),
        ("B11", {}, {"modules": frozenset({"pytorch_lightning"})}),
        ("B15", {"packages": with_packages(gradio="5.20.0")}, {}),
    ],
)
def test_some_bite_only_beside_other_packages(name: str, bites: dict[str, Any], cured: dict[str, Any]) -> None:
    signs = frozenset({name})
    assert told(signs=signs, **bites) == {name}
    assert not told(signs=signs, **cured)
    assert name not in told(**bites), "and only with a host that has it"


def test_every_conditional_break_is_tried() -> None:
    assert set(ONLY_WHERE) == {"B1", "B4", "B11", "B15"} and set(SIGNS) == set(HOST_BREAKS)


@pytest.mark.parametrize(
    ("torchaudio", "torch", "system", "broken"),
    [
        ("2.13.0", TORCH, "Linux", True),
        ("2.13.0+cpu", TORCH, "Linux", False),
        ("2.13.0", TORCH, "Darwin", False),
        ("2.13.0", TorchBuild("2.13.0", cuda="13.0"), "Linux", False),
        ("2.12.0", TorchBuild("2.13.0", cuda="13.0"), "Linux", True),
        ("2.13.0+rocm7", TorchBuild("2.13.0+rocm7", cuda=None), "Linux", False),
        ("2.13.0", TorchBuild("2.13.0", cuda=None), "Linux", False),
        ("2.13.0", None, "Linux", False),
    ],
)
def test_torchaudio_of_another_build(torchaudio: str, torch: TorchBuild | None, system: str, broken: bool) -> None:
    found = told(
        packages=with_packages(torchaudio=torchaudio), torch=torch, system=system,
        modules=frozenset({"torchaudio", "torchcodec"}),
    )  # fmt: skip
    assert found == ({"B2"} if broken else set())


def test_torchaudio_without_torchcodec() -> None:
    audio = {"modules": frozenset({"torchaudio"})}
    assert told(packages=with_packages(torchaudio="2.13.0+cpu"), **audio) == {"B3"}
    older = TorchBuild("2.8.0+cpu")
    assert not told(packages=with_packages(torchaudio="2.8.0+cpu"), torch=older, **audio)


def test_laion_clap_and_portaudio() -> None:
    assert told(modules=frozenset({"laion_clap"})) == {"B8"}
    device = with_packages(sounddevice="0.5.3", python_osc="1.10", mido="1.3", python_rtmidi="1.5.8")
    assert told(packages=device) == {"sounddevice"} and not told(packages=device, portaudio=True)


def test_what_live_playing_lacks() -> None:
    whole = with_packages(sounddevice="0.5.3", python_osc="1.10", mido="1.3", python_rtmidi="1.5.8")
    assert "can play" in dict(replace(WELL, packages=whole, portaudio=True).lines())["lmdm live"]
    assert dict(replace(WELL, packages=whole).lines())["lmdm live"] == "needs PortAudio"
    assert "sounddevice, python-osc" in dict(WELL.lines())["lmdm live"] and not told(), "an extra is no must"
    deaf = {name: version for name, version in whole.items() if name != "python-rtmidi"}
    (finding,) = diagnose(replace(WELL, packages=deaf, portaudio=True))
    assert finding.name == "live" and "python-rtmidi is absent" in finding.line() and not finding.blocks


@pytest.mark.parametrize(
    ("packages", "generation"),
    [
        ({}, None),
        ({"stable_audio_tools": "0.0.18"}, "G0"),
        ({"stable_audio_tools": "0.0.19"}, "G1"),
        ({"stable_audio_tools": "0.0.20"}, "G2"),
        ({"stable_audio_3": "0.1.0"}, "G2"),
        ({"diffusers": "0.31.0"}, None),
    ],
)
def test_generations(packages: dict[str, str], generation: str | None) -> None:
    environment = replace(WELL, packages=with_packages(**packages))
    assert environment.generation == generation
    assert {finding.name for finding in diagnose(environment)} == ({"G0"} if generation == "G0" else set())
    text = dict(environment.lines())
    assert all(version in text[name.replace("_", "-")] for name, version in packages.items())


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("def sample_rf(x):\n    if x == 'euler':\n        return x\n", True),
        ("def sample_rf(x):\n    if x:\n        return x\n    raise ValueError(x)\n", False),
        ("def sample_k(x):\n    raise ValueError(x)\n\ndef sample_rf(x):\n    return None\n", True),
        ("def sample_diffusion(x):\n    return None\n", False),
    ],
)
def test_the_sign_of_a_sampler_that_refuses_nothing(text: str, broken: bool) -> None:
    files = {"stable_audio_tools/inference/sampling.py": text}
    assert ("B5" in signs_in(files.get)) == broken


def test_all_signs_of_a_break_must_be_there() -> None:
    files = {
        "stable_audio_tools/inference/sampling.py": "import math\nimport k_diffusion as K\n",
        "k_diffusion/evaluation.py": "import clip\n",
        "clip/clip.py": "from pkg_resources import packaging\n",
    }
    assert "B1" in signs_in(files.get)
    assert "B1" not in signs_in({**files, "clip/clip.py": "import packaging\n"}.get)
    assert "B1" not in signs_in({**files, "k_diffusion/evaluation.py": "def later():\n    import clip\n"}.get)


def test_cures_name_patches_that_exist(root: Any) -> None:
    named = {name for _, cure in HOST_BREAKS.values() for name in re.findall(r"patches/(\S+\.patch)", cure)}
    assert named and named <= {path.name for path in (root / "patches").glob("*.patch")}


def test_packages_of_extras_are_shown_whether_present_or_not() -> None:
    lines = dict(replace(WELL, packages=with_packages(scipy="1.17.1")).lines())
    assert lines["scipy"] == "1.17.1" and lines["librosa"] == "not installed"
