"""Recordings that tests of the demo make: a voice on a shelf that is switched on, and what its files say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import soundfile

from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.recording import Recording
from lmdm_adapter.demo.records import Records, Shelf
from lmdm_adapter.demo.voice import Wish
from tests.demo_voices import ToneVoice


def recorded(
    records: Records, *, kind: Any = ToneVoice, wish: Wish | None = None, on: bool = True
) -> tuple[RecordedVoice, Shelf]:
    """A voice on a shelf of its own that is switched on."""
    shelf, wish = records.shelf("one"), wish or Wish()
    shelf.switch(on)
    return RecordedVoice(kind(wish), wish, shelf), shelf


def sound_of(recording: Recording) -> np.ndarray:
    """The recorded sound, `s ch`."""
    samples, rate = soundfile.read(recording.wav_path, dtype="float32", always_2d=True)
    assert rate == recording.sample_rate
    return samples


def log_of(recording: Recording) -> list[dict[str, Any]]:
    """The lines of its log."""
    return [json.loads(line) for line in recording.log_path.read_text().splitlines()]


async def until(stream: AsyncIterator[Any], count: int) -> AsyncIterator[Any]:
    """The first `count` events of a stream, each of which comes within 2 s."""
    for _ in range(count):
        yield await asyncio.wait_for(anext(stream), 2.0)
