"""A MIDI input, found by name and opened: through ALSA where the system has it, else through JACK."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.extras import extra

log = logging.getLogger(__name__)

VIRTUAL = "virtual"
VIRTUAL_NAME = "lmdm"
BACKEND = "mido.backends.rtmidi"
LINUX_APIS = ("LINUX_ALSA", "UNIX_JACK")


def midi_backend() -> Any:
    """The first of mido's backends that works here.

    Raises LmdmError when a package is missing, or neither ALSA's sequencer nor a JACK server can be reached.
    """
    mido = extra("mido", "MIDI", extra_name="live")
    names = extra("mido.backends.rtmidi", "MIDI", extra_name="live").get_api_names()
    reasons = []
    for api in [api for api in LINUX_APIS if api in names] or names:
        backend = mido.Backend(BACKEND, api=api)
        try:
            backend.get_input_names()
        except OSError as error:  # what rtmidi raises is one
            reasons.append(f"{api}: {str(error).rstrip('.')}")
            continue
        return backend
    cure = "load the module snd-seq (modprobe snd-seq), or start a JACK server"
    raise LmdmError(f"No MIDI can be reached ({'; '.join(reasons) or 'nothing was compiled in'}); {cure}.")


def port_named(wanted: str, names: Sequence[str]) -> str:
    """The one port whose name holds `wanted`, in upper or lower case. Raises LmdmError for none, or for several."""
    found = [name for name in names if wanted == name] or [name for name in names if wanted.lower() in name.lower()]
    if len(found) == 1:
        return found[0]
    there = ", ".join(repr(name) for name in (found or names)) or "none; plug one in, or open a port with 'virtual'"
    what = "fits several MIDI inputs" if found else "is no MIDI input"
    raise LmdmError(f"{wanted!r} {what}; there are {there}.")


class MidiInput:
    """An open MIDI input within a `with` block; `take` gets each message in the library's thread.

    The name `virtual` opens a port of our own, `lmdm`, that other programs connect to.
    Raises LmdmError for a port that is not there or cannot be opened.
    """

    def __init__(self, wanted: str, take: Callable[[Any], None], *, backend: Any = None) -> None:
        self._backend = midi_backend() if backend is None else backend
        self._take = take
        self.virtual = wanted == VIRTUAL
        self.name = VIRTUAL_NAME if self.virtual else port_named(wanted, self._backend.get_input_names())

    def __enter__(self) -> MidiInput:
        # mido opens a port of our own wherever a client's name is given.
        ours = {"client_name": VIRTUAL_NAME} if self.virtual else {}
        try:
            self._port = self._backend.open_input(self.name, virtual=self.virtual, callback=self._take, **ours)
        except OSError as error:
            raise LmdmError(f"Cannot open the MIDI input {self.name!r}: {str(error).rstrip('.')}.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._port.close()
