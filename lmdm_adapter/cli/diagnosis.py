"""From an environment to findings: a pure function, so that every rule can be tried without the packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lmdm_adapter.cli.environment import LIVE, STABLE_AUDIO_TOOLS, Environment, version_of

# Since this release torchaudio reads and writes files through torchcodec only.
TORCHAUDIO_NEEDS_TORCHCODEC = (2, 9)
DEFAULT_MODEL = "tiny"


@dataclass(frozen=True)
class Finding:
    """A break and its cure; `blocks` where streaming itself cannot run. Symptoms end without a full stop."""

    name: str
    symptom: str
    cure: str
    blocks: bool = False

    def line(self) -> str:
        """One line to be read by people."""
        return f"{'BLOCKS ' if self.blocks else ''}{self.name}: {self.symptom}. Cure: {self.cure}."

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return asdict(self)


def diagnose(environment: Environment) -> tuple[Finding, ...]:
    """Everything that is known to be wrong: first what stops streaming, then the breaks of hosts and their friends."""
    return (*_own_findings(environment), *_neighbour_findings(environment), *_host_findings(environment))


def _own_findings(environment: Environment) -> Iterator[Finding]:
    for module, reason in environment.failures.items():
        name = module.replace("_", "-")
        yield Finding(module, f"{module} cannot be imported ({reason})", f"pip install --force-reinstall {name}", True)
    for package, least in environment.minimums.items():
        found = environment.version(package)
        if found is not None and found < version_of(least):
            symptom = f"{package} {environment.packages[package]} is older than {least}"
            yield Finding(package, symptom, f'pip install "{package}>={least}"', True)
    if DEFAULT_MODEL not in environment.bundled:
        cure = "pip install --force-reinstall lmdm-adapter, or always give --model"
        yield Finding("bundled model", f"the bundled model {DEFAULT_MODEL!r} is missing or incomplete", cure, True)


def _neighbour_findings(environment: Environment) -> Iterator[Finding]:
    """Packages that are often installed beside a host, and that lmdm never imports."""
    for package in ("torchaudio", "torchvision"):
        if package in environment.modules and _linked_to_another_build(environment, package):
            yield Finding("B2", f"{package} {environment.packages.get(package)} is no match for this torch "
                          "(it may fail to load, and hosts import it)",
                          f"install both from one of its wheel indexes, or pip uninstall {package}; lmdm needs neither",
                          )  # fmt: skip
    torchaudio = environment.version("torchaudio")
    if torchaudio is not None and torchaudio >= TORCHAUDIO_NEEDS_TORCHCODEC and "torchcodec" not in environment.modules:
        yield Finding("B3", "torchaudio.load and torchaudio.save need torchcodec, which is absent",
                      "read and write files with soundfile, as lmdm does, or pip install torchcodec")  # fmt: skip
    if "laion_clap" in environment.modules:
        yield Finding("B8", "importing laion_clap calls the network and hangs without it",
                      "never import it; pip uninstall laion-clap where nothing needs it")  # fmt: skip
    if "sounddevice" in environment.packages and not environment.portaudio:
        yield Finding("sounddevice", "the library PortAudio is absent, so sound devices cannot be opened",
                      "apt-get install libportaudio2; sound files need nothing")  # fmt: skip
    absent = [name for name in LIVE if name not in environment.packages]
    if "sounddevice" in environment.packages and absent:
        yield Finding("live", f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} absent, so lmdm live cannot "
                      "be played by hand", "pip install 'lmdm-adapter[live]'")  # fmt: skip


def _linked_to_another_build(environment: Environment, package: str) -> bool:
    """Whether the builds differ: after the plus sign a version names its build, as in `2.13.0+cpu`."""
    text, torch = environment.packages.get(package, ""), environment.torch
    if torch is None or not text:
        return False
    if package == "torchaudio" and version_of(text)[:2] != version_of(torch.version)[:2]:
        return True
    return environment.system == "Linux" and torch.version.partition("+")[2] != text.partition("+")[2]


def _host_findings(environment: Environment) -> Iterator[Finding]:
    if environment.generation == "G0":
        yield Finding("G0", f"stable-audio-tools {environment.packages[STABLE_AUDIO_TOOLS]} is too old to be read",
                      'pip install "lmdm-adapter[stable-audio-tools]", which brings 0.0.19')  # fmt: skip
    for name, (symptom, cure) in HOST_BREAKS.items():
        applies = ONLY_WHERE.get(name, _everywhere)
        if name in environment.signs and applies(environment):
            yield Finding(name, symptom, cure)


def _everywhere(environment: Environment) -> bool:
    return True


# Breaks that are in the host's source, and bite only beside certain other packages.
ONLY_WHERE: dict[str, Callable[[Environment], bool]] = {
    "B1": lambda environment: "pkg_resources" not in environment.modules,
    "B4": lambda environment: environment.torch is not None and not environment.torch.schedulers_take_verbose,
    "B11": lambda environment: "pytorch_lightning" not in environment.modules,
    "B15": lambda environment: "gradio" in environment.packages,
}
PATCH = "apply patches/{} from the sources of lmdm-adapter"
HOST_BREAKS: dict[str, tuple[str, str]] = {
    "B1": (
        "the host cannot build or sample diffusion models: \"No module named 'pkg_resources'\"",
        'pip install "setuptools>=77.0.3,<82", or ' + PATCH.format("k-diffusion-0.1.1-B1-clip.patch"),
    ),
    "B4": (
        "the host's InverseLR scheduler ends in a TypeError with this torch",
        PATCH.format("stable-audio-tools-0.0.19-B4-inverse-lr.patch") + ", or use its GitHub main branch",
    ),
    "B5": (
        "the host ends in \"'NoneType' object has no attribute 'to'\" for an unknown sampler name",
        "give a rectified-flow model euler, rk4, dpmpp or pingpong, or "
        + PATCH.format("stable-audio-tools-0.0.19-B5-unknown-sampler.patch"),
    ),
    "B6": (
        "the host's chunked encoding and decoding fail below one chunk (128 latents)",
        "code such lengths with chunked=False, or " + PATCH.format("stable-audio-tools-0.0.19-B6-short-chunks.patch"),
    ),
    "B7": (
        "the host's rectified-flow samplers ignore the config's distribution shift, except rk4",
        'use sampler_type="rk4" where the shift matters',
    ),
    "B11": (
        "the host cannot build a diffusion transformer without Lightning",
        'pip install "stable-audio-tools[train]", or ' + PATCH.format("stable-audio-tools-0.0.20-B11-lightning.patch"),
    ),
    "B13": (
        "the host cuts a list of several values in conditioning to its first element",
        "wrap such a list in a list of one element",
    ),
    "B15": ("the host's Gradio page refuses models shorter than a second", "open longer models only, or lmdm itself"),
    "side effects": (
        "the host's generate functions reseed torch and change its global flags",
        "do not call them beside a live stream; play through lmdm",
    ),
}
