"""Sound devices as values: what the system has, which one was meant, and how it will be opened."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.extras import extra

Side = Literal["input", "output"]

ALSA_CARD = re.compile(r" \(hw:\d+,\d+\)$")
PORTAUDIO_CURE = "install it: apt-get install libportaudio2, or brew install portaudio"


@dataclass(frozen=True)
class SoundPort:
    """One device as PortAudio lists it: channels in and out, the rate it likes best, its least latencies."""

    index: int
    name: str
    system: str
    inputs: int
    outputs: int
    sample_rate: int
    input_latency_seconds: float = 0.0
    output_latency_seconds: float = 0.0

    def channels(self, side: Side) -> int:
        """How many channels it has on one side."""
        return self.inputs if side == "input" else self.outputs


@dataclass(frozen=True)
class SoundPlan:
    """How the sound is opened: the devices, their rate and channels, and the latency and chunk asked of them.

    `source` is None without an input. `latency_seconds` None is the least that the device offers, `chunk_samples` 0
    the length it likes best.
    """

    output: SoundPort
    source: SoundPort | None
    sample_rate: int
    output_channels: int
    source_channels: int = 0
    latency_seconds: float | None = None
    chunk_samples: int = 0

    def __post_init__(self) -> None:
        if self.latency_seconds is not None and not 0.0 <= self.latency_seconds <= 10.0:
            raise LmdmError(f"--latency must lie between 0 and 10 s, got {self.latency_seconds:g}.")

    @property
    def engine_source(self) -> tuple[int, int] | None:
        """Rate and channels of the live input, as an engine wants them."""
        return None if self.source is None else (self.sample_rate, self.source_channels)

    @property
    def expected_seconds(self) -> float:
        """The round trip that the devices promise, before they are open."""
        if self.latency_seconds is not None:
            return self.latency_seconds * (1 if self.source is None else 2)
        heard = 0.0 if self.source is None else self.source.input_latency_seconds
        return heard + self.output.output_latency_seconds


def sound_library() -> ModuleType:
    """The package sounddevice with its library PortAudio. Raises LmdmError with the cure where one is missing."""
    try:
        return extra("sounddevice", "lmdm live", extra_name="live")
    except OSError as error:
        raise LmdmError(f"lmdm live needs the library PortAudio ({error}); {PORTAUDIO_CURE}.") from error


def sound_ports(library: Any) -> tuple[SoundPort, ...]:
    """All devices that PortAudio knows. Raises LmdmError when it cannot tell."""
    try:
        systems = [system["name"] for system in library.query_hostapis()]
        return tuple(_port(one, systems) for one in library.query_devices())
    except library.PortAudioError as error:
        raise LmdmError(f"PortAudio cannot list the sound devices: {sound_reason(error)}.") from error


def rescanned(library: Any) -> tuple[SoundPort, ...]:
    """All devices as they are now: PortAudio looks only when it starts, so it is ended and started.

    No stream may be open. Raises LmdmError when it cannot start.
    """
    try:
        library._terminate()
        library._initialize()
    except library.PortAudioError as error:
        raise LmdmError(f"PortAudio cannot look for sound devices: {sound_reason(error)}.") from error
    return sound_ports(library)


def found_again(ports: Sequence[SoundPort], port: SoundPort, side: Side) -> SoundPort | None:
    """The device that was `port` before, among those that there are now: numbers change, and so does ALSA's card."""
    there = [one for one in ports if one.system == port.system and one.channels(side) > 0]
    same = [one for one in there if one.name == port.name]
    alike = [one for one in there if ALSA_CARD.sub("", one.name) == ALSA_CARD.sub("", port.name)]
    return same[0] if same else alike[0] if len(alike) == 1 else None


def default_index(library: Any, side: Side) -> int:
    """The number of the system's own choice; -1 where it has none."""
    return int(library.default.device[0 if side == "input" else 1])


def chosen(ports: Sequence[SoundPort], wanted: str | None, side: Side, *, default: int = -1) -> SoundPort:
    """The device called `wanted`, by number or by a part of its name; None is the system's own choice.

    Raises LmdmError for a device that is not there, has no channels on that side, or several that fit.
    """
    usable = [port for port in ports if port.channels(side) > 0]
    if not usable:
        raise LmdmError(
            f"There is no sound {side} here; connect a device, or start a sound server such as JACK "
            "(jackd -d dummy plays to nobody), and see lmdm doctor."
        )
    if wanted is None:
        return next((port for port in usable if port.index == default), usable[0])
    found = [port for port in usable if _fits(port, wanted)]
    exact = [port for port in found if wanted in (port.name, str(port.index))]
    if len(exact or found) == 1:
        return (exact or found)[0]
    there = ", ".join(f"{port.index} {port.name!r}" for port in (found or usable))
    what = f"fits several sound {side}s" if found else f"is no sound {side}"
    raise LmdmError(f"{wanted!r} {what}; there are {there} (lmdm live --list-devices).")


def planned(
    library: Any, output: SoundPort, source: SoundPort | None, *, sample_rate: int, channels: int,
    latency_seconds: float | None = None,
) -> SoundPlan:  # fmt: skip
    """How a session of `sample_rate` and `channels` plays on these devices: at its own rate, where they take it.

    Otherwise at the output's own, and the sound is resampled. Raises LmdmError where input and output cannot agree.
    """
    outs, ins = min(2, output.outputs), 0 if source is None else min(2, source.inputs, max(1, channels))
    for rate in dict.fromkeys((sample_rate, output.sample_rate)):
        if _takes(library, output, source, rate=rate, outs=outs, ins=ins):
            return SoundPlan(output, source, rate, outs, ins, latency_seconds)
    names = repr(output.name) if source is None else f"{output.name!r} and {source.name!r}"
    raise LmdmError(
        f"{names} take neither {sample_rate} Hz nor {output.sample_rate} Hz; choose devices that run at one rate."
    )


def sound_reason(error: Exception) -> str:
    """What PortAudio says, without its full stop."""
    return str(error.args[0] if error.args else error).rstrip(".")


def _takes(library: Any, output: SoundPort, source: SoundPort | None, *, rate: int, outs: int, ins: int) -> bool:
    try:
        library.check_output_settings(device=output.index, channels=outs, dtype="float32", samplerate=rate)
        if source is not None:
            library.check_input_settings(device=source.index, channels=ins, dtype="float32", samplerate=rate)
    except library.PortAudioError:
        return False
    return True


def _port(values: Mapping[str, Any], systems: Sequence[str]) -> SoundPort:
    return SoundPort(
        values["index"], values["name"], systems[values["hostapi"]], values["max_input_channels"],
        values["max_output_channels"], round(values["default_samplerate"]), values["default_low_input_latency"],
        values["default_low_output_latency"],
    )  # fmt: skip


def _fits(port: SoundPort, wanted: str) -> bool:
    if wanted.isdigit():
        return port.index == int(wanted)
    return wanted.lower() in f"{port.name} {port.system}".lower()
