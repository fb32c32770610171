"""What `lmdm live` tells of a long session: whether memory grows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lmdm_adapter.cli import live_watch
from lmdm_adapter.errors import LmdmError
from tests.session_makers import noise_engine


@pytest.mark.parametrize("error", [TypeError("of type int64"), LmdmError("Cannot write: no space left.")])
def test_whatever_a_recording_raises_is_kept_for_the_owner_and_the_music_is_watched_on(error: Exception) -> None:
    def broken(records: object) -> None:
        raise error

    engine = noise_engine()
    watch = live_watch.Watch(engine, SimpleNamespace(write=broken))
    for blocks in (1, 2):
        engine.produce()
        watch.write()
        assert watch.kinds["block"] == blocks
    assert isinstance(watch.failure, LmdmError) and watch.last == str(watch.failure)
    assert str(error) in watch.last


def test_a_soak_is_judged_by_the_growth_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leak of 6 MiB a minute is told from a level that only trembles; the start says nothing."""
    now, size = SimpleNamespace(seconds=0.0), SimpleNamespace(mib=500.0)
    monkeypatch.setattr(live_watch, "rss_bytes", lambda: int(size.mib * 2**20))

    def growth(mib_per_second: float, seconds: int) -> dict[str, float] | None:
        watch = live_watch.Watch(noise_engine(), now=lambda: now.seconds)
        for second in range(seconds):
            now.seconds, size.mib = float(second), 500.0 + mib_per_second * second + second % 3
            watch.write()
        return watch.memory_growth()

    assert growth(0.1, 110) is None
    leak, level = growth(0.1, 300), growth(0.0, 300)
    assert leak is not None and leak["value"] == pytest.approx(6.0, abs=0.1) and leak["low"] > 5.0
    assert level is not None and abs(level["value"]) < 1e-6
