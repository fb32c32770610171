"""What an environment has, as a value: made by `survey`, judged by `diagnosis`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

STABLE_AUDIO_TOOLS = "stable-audio-tools"
HOSTS = (STABLE_AUDIO_TOOLS, "stable-audio-3", "diffusers")
# Distributions worth a line of their own, whether present or not.
LIVE = ("sounddevice", "python-osc", "mido", "python-rtmidi")
AUDIO = ("soundfile", *LIVE, "torchaudio")
SHOWN = ("numpy", "setuptools", *HOSTS, "k-diffusion", "transformers", "librosa", "scipy", "gradio", *AUDIO)

Version = tuple[int, ...]


def version_of(text: str) -> Version:
    """The leading numbers of a version: "2.13.0+cpu" is (2, 13, 0), "0.1.1.post1" is (0, 1, 1)."""
    numbers = []
    for part in text.split("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


@dataclass(frozen=True)
class TorchBuild:
    """The torch that is installed; `cuda` is what it was built for, `devices` what it can use here."""

    version: str
    cuda: str | None = None
    devices: tuple[str, ...] = ("cpu",)
    schedulers_take_verbose: bool = False

    def text(self) -> str:
        """One line."""
        build = "without CUDA" if self.cuda is None else f"for CUDA {self.cuda}"
        return f"{self.version}, built {build}; devices: {', '.join(self.devices)}"


@dataclass(frozen=True)
class Environment:
    """Everything that a diagnosis depends on.

    `packages` are versions by distribution, `minimums` the oldest that this package takes, `failures` say why a module
    that streaming needs cannot be imported, `modules` are names that Python would find, `signs` the known breaks that
    the source text of installed hosts shows, `bundled` the complete models in the package.
    """

    python: str
    system: str
    packages: Mapping[str, str]
    torch: TorchBuild | None = None
    minimums: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()
    bundled: tuple[str, ...] = ()
    ffmpeg: str | None = None
    portaudio: bool = False

    def version(self, package: str) -> Version | None:
        """The version of a distribution as numbers, or None where it is absent."""
        text = self.packages.get(package)
        return None if text is None else version_of(text)

    @property
    def generation(self) -> str | None:
        """The host's generation: G0 is too old to be read, G1 is 0.0.19, G2 has other networks besides."""
        version = self.version(STABLE_AUDIO_TOOLS)
        if version is None:
            return "G2" if "stable-audio-3" in self.packages else None
        if version < (0, 0, 19):
            return "G0"
        return "G1" if version == (0, 0, 19) else "G2"

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object, and the generation."""
        sets = {"modules": sorted(self.modules), "signs": sorted(self.signs)}
        return {**asdict(self), **sets, "generation": self.generation}

    def lines(self) -> list[tuple[str, str]]:
        """All of it as (name, text) pairs, to be read by people."""
        return [
            ("lmdm-adapter", self.packages.get("lmdm-adapter", "not installed, run from a folder")),
            ("Python", f"{self.python} on {self.system}"),
            ("torch", "cannot be used" if self.torch is None else self.torch.text()),
            *((name, self._package_text(name)) for name in SHOWN),
            ("ffmpeg", self.ffmpeg or "not found"),
            ("lmdm live", self._live_text()),
            ("bundled models", ", ".join(self.bundled) or "none"),
        ]

    @property
    def missing_live(self) -> tuple[str, ...]:
        """What `lmdm live` lacks: packages, and the library of sounddevice."""
        packages = tuple(name for name in LIVE if name not in self.packages)
        return packages if self.portaudio else (*packages, "PortAudio")

    def _live_text(self) -> str:
        missing = self.missing_live
        return f"needs {', '.join(missing)}" if missing else "can play, where there is a sound device"

    def _package_text(self, name: str) -> str:
        if name not in self.packages:
            return "not installed"
        notes = {
            "stable-audio-tools": f"generation {self.generation}",
            "stable-audio-3": "generation G2",
            "diffusers": "its StableAudioPipeline has the same weights under other names",
            "sounddevice": "PortAudio found" if self.portaudio else "PortAudio not found",
        }
        note = f" ({notes[name]})" if name in notes else ""
        return self.packages[name] + note
