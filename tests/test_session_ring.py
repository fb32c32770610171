"""The ring and the clocks: order, bounds, counters, and no memory taken while playing."""

from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.session.clock import SystemClock, VirtualClock
from lmdm_adapter.session.ring import AudioRing, Past


def numbered(first: int, count: int) -> np.ndarray:
    """Samples that are their own index; the right channel is the negative."""
    index = np.arange(first, first + count, dtype=np.float32)
    return np.stack([index, -index], axis=1)


def test_what_goes_in_comes_out_in_order_whatever_the_pieces() -> None:
    ring, rng, came = AudioRing(2, 37), np.random.default_rng(0), []
    sent = 0
    for _ in range(400):
        sent += ring.write(numbered(sent, int(rng.integers(0, 30))))
        out = np.zeros((int(rng.integers(0, 30)), 2), np.float32)
        came.append(out[: ring.read(out)].copy())
    joined = np.concatenate(came)
    assert len(joined) > 37 * 20 and np.array_equal(joined, numbered(0, len(joined)))


def test_a_full_ring_refuses_and_an_empty_one_gives_less_and_both_count() -> None:
    ring = AudioRing(2, 10)
    assert ring.write(numbered(0, 14)) == 10 and ring.samples_refused == 4
    out = np.full((12, 2), 7.0, np.float32)
    assert ring.peek(out[:3], skip_samples=8) == 2 and ring.readable_samples == 10
    assert ring.read(out) == 10 and ring.samples_missed == 2 and (out[10:] == 7.0).all()
    assert ring.skip(5) == 0 and ring.writable_samples == 10


def test_reading_takes_no_memory() -> None:
    ring, out = AudioRing(2, 100_000), np.zeros((50_000, 2), np.float32)
    ring.write(numbered(0, 100_000))
    tracemalloc.start()
    ring.read(out[:10])
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    ring.read(out)
    grown = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert grown < 4096 < out.nbytes


def test_two_threads_lose_nothing() -> None:
    ring, total, came, taken = AudioRing(2, 640), 20_000, [], 0

    def write() -> None:
        sent = 0
        while sent < total:
            sent += ring.write(numbered(sent, min(500, total - sent)))
            time.sleep(0)

    writer = threading.Thread(target=write)
    writer.start()
    out = np.zeros((333, 2), np.float32)
    while taken < total:
        came.append(out[: ring.read(out)].copy())
        taken += len(came[-1])
        time.sleep(0)
    writer.join()
    assert np.array_equal(np.concatenate(came), numbered(0, total))


def test_the_past_is_read_backwards() -> None:
    past = Past(2, 10)
    for start in range(0, 24, 3):
        past.write(numbered(start, 3))
    out = np.zeros((10, 2), np.float32)
    past.read(out, back_samples=10)
    assert past.remembered_samples == 10 and np.array_equal(out, numbered(14, 10))


@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_a_ring_needs_channels_and_room(shape: tuple[int, int]) -> None:
    with pytest.raises(LmdmError, match="needs channels and room"):
        AudioRing(*shape)


def test_a_virtual_clock_runs_what_was_planned_each_at_its_time() -> None:
    clock, seen = VirtualClock(), []

    def again() -> None:
        seen.append(clock.now())
        clock.call_at(clock.now() + 1.0, again)

    clock.call_at(0.5, again)
    clock.wait(3.0)
    assert seen == [0.5, 1.5, 2.5] and clock.now() == 3.0 and clock.next_call() == 3.5
    with pytest.raises(LmdmError, match="nothing can be planned"):
        clock.call_at(1.0, again)
    clock.jump(-2.0)
    assert clock.now() == 1.0


def test_the_system_clock_goes_on() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.wait(0.001)
    assert clock.now() > before
