"""A hum becomes a melody."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.controls.sketch import hummed
from lmdm_adapter.errors import LmdmError
from tests.sketches import CONFIG, audio, notes, silence, tone


def voice(midi: float, frames: int) -> np.ndarray:
    """A tone with overtones, the second the strongest, as in a voice."""
    parts = zip((0.0, 12.0, 19.02), (0.1, 0.2, 0.1), strict=True)
    return sum(tone(midi + above, frames, amplitude=gain) for above, gain in parts)


@pytest.mark.parametrize("careful", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["yin", "pyin"])
def test_notes_and_rests_of_a_hum(careful: bool) -> None:
    sketch = hummed(CONFIG, audio(voice(50, 10), silence(10), voice(57.3, 10)), careful=careful)
    assert sketch.frames == 30
    assert [notes(sketch, n) for n in (4, 14, 25)] == [[50], [], [57]]
    assert sketch.values["melody"][0].all() and not sketch.values["loudness"].any(), "melody alone is drawn"


def test_less_than_a_window_is_refused() -> None:
    with pytest.raises(LmdmError, match="at least 2048 samples, got 1024"):
        hummed(CONFIG, audio(silence(1)))
