"""The playing side: what a device's callback runs. It only copies and fades, and never waits or allocates sound.

When the music runs out it holds the last bar: a loop that begins with what came next, faded into what came a bar ago,
and ends at a whole bar, where the music goes on with the very sample after the last one it played. Of the music nothing
is lost or altered, the bar's phase is kept, and there is no jump at either end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from lmdm_adapter.session.performer import raised_cosine
from lmdm_adapter.session.ring import AudioRing, Past

Playing = Literal["waiting", "playing", "holding", "ending", "ended"]
WORK_SAMPLES = 1024


class Player:
    """Plays a ring of generated audio, and bridges what the ring lacks; every sample it adds is announced.

    `sample` counts what was played since the session began: its clock. `shift_samples` is how much later than in the
    music that is, for waiting and held loops; during a loop it is what it will be when that has ended. Waiting takes a
    multiple of `grid_samples`, a frame, so that frames of the input and of the music lie on each other. The last
    `fade_samples` of the ring are kept for the next fade. Playing begins once `start_samples` are ready, and goes on
    after a loop once half of them are. The making side sets `loop_samples` (the bar) and calls `stop` or `run_out`;
    `announce` hears log records.
    """

    def __init__(
        self, ring: AudioRing, announce: Callable[[dict[str, Any]], None], *, fade_samples: int, history_samples: int,
        start_samples: int, grid_samples: int = 1,
    ) -> None:  # fmt: skip
        self._grid = grid_samples
        self.ring, self.loop_samples, self.start_samples = ring, history_samples, start_samples
        self.doing: Playing = "waiting"
        self.sample = self.shift_samples = self.holds = self.held_samples = 0
        self._position = self._loop = self._faded = 0
        self._announce, self._stop, self._ends = announce, False, False
        self._from_loop = False
        self._past = Past(ring.channels, history_samples)
        self._fade, self._work = raised_cosine(fade_samples), np.zeros((WORK_SAMPLES, ring.channels), np.float32)

    @property
    def fade_samples(self) -> int:
        """Length of a fade, and of what stays in the ring for it."""
        return len(self._fade)

    def stop(self) -> None:
        """Fade out now, and stay silent."""
        self._stop = self._ends = True

    def run_out(self) -> None:
        """Nothing more will come: play what there is, then fade out instead of looping."""
        self._ends = True

    def pull(self, out: np.ndarray) -> None:
        """Fill `out` (`s ch`) with the next samples of the session."""
        done = 0
        while done < len(out):
            count = self._STATES[self.doing](self, out[done : done + WORK_SAMPLES])
            done += count
            self.sample += count

    def _waiting(self, out: np.ndarray) -> int:
        if self._stop or (self._ends and self.ring.readable_samples <= self.fade_samples):
            return self._become_ended()
        ready = self._ends or self.ring.readable_samples >= self.start_samples
        if ready and self.sample % self._grid == 0:
            self._announce({"kind": "wait", "start": 0, "stop": self.sample})
            self.doing = "playing"
            return 0
        count = min(len(out), -self.sample % self._grid) if ready else len(out)
        out[:count] = 0.0
        self.shift_samples += count
        return count

    def _playing(self, out: np.ndarray) -> int:
        count = min(len(out), self.ring.readable_samples - self.fade_samples)
        if count > 0 and not self._stop:
            self.ring.read(out[:count])
            self._past.write(out[:count])
            return count
        return self._become_ending() if self._ends else self._become_holding()

    def _holding(self, out: np.ndarray) -> int:
        at_border = self._position > 0 and self._position % self._loop == 0
        left = self.ring.readable_samples
        if self._stop or (self._ends and left <= self.fade_samples):
            return self._become_ending()
        if at_border and (self._ends or left >= self.start_samples // 2):
            return self._resume()
        return self._loop_into(out)

    def _loop_into(self, out: np.ndarray) -> int:
        """The next samples of the loop; at its start what comes next in the music fades into what came a loop ago."""
        place = self._position % self._loop
        fading = place < self.fade_samples
        if place == 0:
            self.shift_samples += self._loop
        count = min(len(out), (self.fade_samples if fading else self._loop) - place)
        self._past.read(out[:count], back_samples=self._loop - place)
        if fading:
            next_up = self._work[:count]
            self.ring.peek(next_up, skip_samples=place)
            out[:count] -= next_up
            out[:count] *= self._fade[place : place + count]
            out[:count] += next_up
        self._position += count
        return count

    def _ending(self, out: np.ndarray) -> int:
        place = self._faded
        count = min(len(out), self.fade_samples - place)
        if count == 0:
            return self._become_ended()
        if self._from_loop:
            count = self._loop_into(out[:count])
        else:
            self.ring.read(out[:count])
        out[:count] *= self._fade[self.fade_samples - place - count : self.fade_samples - place][::-1]
        self._faded += count
        return count

    def _ended(self, out: np.ndarray) -> int:
        out[:] = 0.0
        return len(out)

    def _become_holding(self) -> int:
        self._loop = min(self.loop_samples, self._past.remembered_samples)
        self.doing, self._position = "holding", 0
        self.holds += 1
        self._announce({"kind": "hold", "start": self.sample, "at": self.ring.samples_read, "loop": self._loop,
                        "fade": self.fade_samples})  # fmt: skip
        return 0

    def _resume(self) -> int:
        self.held_samples += self._position
        self.doing = "playing"
        self._announce({"kind": "resume", "start": self.sample, "held": self._position})
        return 0

    def _become_ending(self) -> int:
        self._from_loop, self._faded = self.doing == "holding", 0
        self.doing = "ending"
        self._announce({"kind": "fade_out", "start": self.sample, "fade": self.fade_samples})
        return 0

    def _become_ended(self) -> int:
        self.doing = "ended"
        self._announce({"kind": "silence", "start": self.sample})
        return 0

    _STATES = {"waiting": _waiting, "playing": _playing, "holding": _holding, "ending": _ending, "ended": _ended}
