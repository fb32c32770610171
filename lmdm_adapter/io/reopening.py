"""A sound device that went away in mid-stream: waited for, and opened again where it comes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.io.devices import SoundPlan, found_again, planned, rescanned
from lmdm_adapter.io.sound_device import SoundDevice

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
NEVER_AGAIN = "JACK"
"""PortAudio's release 19.6 aborts the process when it is started anew after a JACK server ended."""


class Reopening:
    """Watches `device`, and opens it again by its name for up to `seconds` after it was lost; 0 never does.

    The session stands still meanwhile: nothing is pulled, so no music is lost. `gaps` and `gap_seconds` count what was
    bridged, `reason` is why the device was lost, `announce` hears a record of kind "device" at both ends of a gap.
    """

    def __init__(
        self, device: SoundDevice, library: Any, *, seconds: float, announce: Callable[[dict[str, Any]], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.gaps, self.gap_seconds, self.reason = 0, 0.0, ""
        self._device, self._library, self._seconds, self._announce, self._now = device, library, seconds, announce, now
        self._lost_at: float | None = None
        self._next_try = 0.0
        self._hopeless = False

    @property
    def left_seconds(self) -> float | None:
        """How much longer the device is waited for; None while it plays."""
        return None if self._lost_at is None else max(0.0, self._lost_at + self._seconds - self._now())

    def plays_or_waits(self) -> bool:
        """Look after the device; False once it is gone for good. To be called some times a second, by one thread."""
        reason = self._device.lost
        if reason is None:
            return True
        if self._lost_at is None:
            self._begin(reason)
        if self._hopeless or not self.left_seconds:
            return False
        if self._now() >= self._next_try:
            self._next_try = self._now() + RETRY_SECONDS
            self._try()
        return True

    def _begin(self, reason: str) -> None:
        self._lost_at, self._next_try, self.reason = self._now(), self._now(), reason
        system = self._device.plan.output.system
        self._hopeless = self._device.broken or NEVER_AGAIN in system or not self._seconds
        self._announce({"kind": "device", "what": "lost", "sample": self._device.sample, "why": reason})
        if not self._hopeless:
            self._hopeless = not self._device.close_lost()

    def _try(self) -> None:
        try:
            plan = self._plan()
            if plan is None:
                return
            place = self._device.sample
            self._device.reopen(plan)
        except LmdmError as error:
            log.info("%s", error)
            return
        self._back(place)

    def _plan(self) -> SoundPlan | None:
        """How the device is opened now; None while it is not there."""
        was, ports = self._device.plan, rescanned(self._library)
        output = found_again(ports, was.output, "output")
        source = None if was.source is None else found_again(ports, was.source, "input")
        if output is None or (was.source is not None and source is None):
            return None
        return planned(
            self._library, output, source, sample_rate=self._device.session_rate, channels=was.source_channels,
            latency_seconds=was.latency_seconds,
        )  # fmt: skip

    def _back(self, sample: int) -> None:
        assert self._lost_at is not None, "only what was lost comes back"
        gap = self._now() - self._lost_at
        self.gaps, self.gap_seconds, self._lost_at = self.gaps + 1, self.gap_seconds + gap, None
        self._announce({"kind": "device", "what": "back", "sample": sample, "gap_seconds": gap})
