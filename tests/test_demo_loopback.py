"""The page's loopback: the ping that it is given is found in what it recorded, and nothing else is taken for one."""

from __future__ import annotations

import asyncio
import base64

import numpy as np
import pytest

from lmdm_adapter.demo.loopback import MOST_SECONDS, loopback_found, loopback_ping, loopback_seconds
from lmdm_adapter.errors import LmdmError

RATE, PLAYED_AT, LATE = 48_000, 24_000, 4321


def given(rate: int = RATE) -> np.ndarray:
    """The ping as the page reads it."""
    return np.frombuffer(base64.b64decode(asyncio.run(loopback_ping(rate))), "<f4")


def room(late: int = LATE, *, noise: float = 0.01, seconds: float = 1.8) -> np.ndarray:
    """What a microphone hears of the ping: quieter, inverted, and with noise."""
    heard = noise * np.random.default_rng(0).standard_normal(round(seconds * RATE))
    heard[PLAYED_AT + late :][: len(given())] -= 0.2 * given()
    return heard


def sent(heard: np.ndarray, played_at: object = PLAYED_AT, rate: object = RATE) -> list[object]:
    return [rate, base64.b64encode((32767 * heard).astype("<i2").tobytes()).decode(), played_at]


def test_the_ping_is_found_to_the_sample() -> None:
    assert loopback_seconds(sent(room())) == LATE / RATE
    assert asyncio.run(loopback_found(sent(room()))) == {"seconds": LATE / RATE}


def test_the_ping_is_one_that_converters_let_through() -> None:
    spectrum = np.abs(np.fft.rfft(given(), RATE)) ** 2
    assert spectrum[200:12_000].sum() > 0.99 * spectrum.sum(), "and not at half the rate"
    assert 0.3 < np.abs(given()).max() <= 0.5


@pytest.mark.parametrize(
    ("told", "says"),
    [(sent(room(noise=0.05)[:PLAYED_AT + 10]), "No ping was found"), (sent(room(), -1), "when its ping was played"),
     (sent(room(), 10**9), "when its ping was played"), (sent(room(), "x"), "when its ping was played"),
     (sent(room(), rate=1), "8000 to 192000 Hz"), (None, "cannot be read"), ([RATE, "%%", 0], "cannot be read"),
     (sent(room(seconds=MOST_SECONDS + 1)), "at the most"), (sent(room(55_000, seconds=3)), "at most 1 s can be"),
     (sent(room(-5000)), "before it was played")],
)  # fmt: skip
def test_what_is_no_loopback_is_a_sentence(told, says) -> None:
    with pytest.raises(LmdmError, match=says):
        loopback_seconds(told)
    assert says in asyncio.run(loopback_found(told))["why"]


@pytest.mark.parametrize("rate", [0, 10**9, None, "x", True])
def test_there_is_no_ping_for_a_rate_that_no_page_has(rate) -> None:
    assert asyncio.run(loopback_ping(rate)) is None
