"""The model that is loaded, and voices of it for everyone who listens."""

from __future__ import annotations

import threading

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.echo_voice import EchoVoice
from lmdm_adapter.demo.live_voice import LiveVoice
from lmdm_adapter.demo.session_wish import session_voice
from lmdm_adapter.demo.voice import Voice, Wish
from lmdm_adapter.live import LiveModel


class Band:
    """One model for all visitors; their blocks are made one after the other."""

    def __init__(self, live: LiveModel, *, name: str) -> None:
        self._live, self._name, self._computing = live, name, threading.Lock()
        dtype = str(live.network.dit.dtype).removeprefix("torch.")
        self.origin = {"model": name, "digest": live.digest, "device": str(live.device), "dtype": dtype}

    @property
    def facts(self) -> Facts:
        """What the page shows of the model."""
        live = self._live
        return Facts(
            self._name, live.sampling, live.spec.block_frames / live.codec.frame_rate_hz,
            device=self.origin["device"], dtype=self.origin["dtype"],
        )  # fmt: skip

    def voice(self, wish: Wish) -> Voice:
        """A new voice. Raises LmdmError for a mode that the model cannot play, and for values that do not fit."""
        if wish.mode == "echo":
            return EchoVoice(wish)
        if wish.mode != "play":
            return session_voice(self._live, wish, name=self._name, computing=self._computing, origin=self.origin)
        return LiveVoice(self._live, values=wish.values, computing=self._computing, origin=self.origin)
