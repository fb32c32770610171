"""The model that everybody hears, and the next one, loaded beside the music."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.model_choice import ModelChoice
from lmdm_adapter.demo.model_loading import loaded
from lmdm_adapter.demo.voice import Voice, Wish
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.live import LiveModel

Load = Callable[[ModelChoice, Callable[[str], None]], LiveModel]


@dataclass(frozen=True)
class Progress:
    """How far the loading is, as a sentence; `busy` until it is done or has failed."""

    busy: bool = False
    sentence: str = ""


class Chooser:
    """A band, and another one in its place when its model is there.

    Voices that play keep the model that they began with; it is freed when the last of them has ended.
    """

    def __init__(self, band: Band, *, load: Load = loaded) -> None:
        self._band, self._load = band, load
        self._guard, self.progress = threading.Lock(), Progress()
        self._thread: threading.Thread | None = None

    @property
    def facts(self) -> Facts:
        """What the page shows of the model that would play now."""
        return self._band.facts

    def voice(self, wish: Wish) -> Voice:
        """A new voice of the model that is there now. Raises LmdmError as the band does."""
        return self._band.voice(wish)

    def choose(self, choice: ModelChoice) -> None:
        """Begin to load a model; `progress` tells the rest. Raises LmdmError while another one is being loaded."""
        with self._guard:
            if self.progress.busy:
                raise LmdmError(f"Another model is being loaded ({self.progress.sentence}) Wait until it is there.")
            self.progress = Progress(True, f"Looking for {choice.shown}.")
        self._thread = threading.Thread(target=self._run, args=(choice,), name="lmdm-demo-loading", daemon=True)
        self._thread.start()

    def settled(self, *, seconds: float) -> bool:
        """Whether nothing is being loaded any more within that time."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.progress.busy

    def _run(self, choice: ModelChoice) -> None:
        sentence = f"{choice.shown} could not be loaded."
        try:
            self._band = Band(self._load(choice, self._told), name=choice.shown)
            sentence = f"{self.facts.sentence} Press Play to hear it."
        except LmdmError as error:
            sentence = str(error)
        finally:
            # Whatever happened, the next one can be chosen; and no cycle keeps gigabytes of the old one.
            self.progress = Progress(False, sentence)
            gc.collect()

    def _told(self, sentence: str) -> None:
        self.progress = Progress(True, sentence)
