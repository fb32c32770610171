"""The shelves that recordings stand on: bounded, for their visitor alone, and gone with the page."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

pytest.importorskip("gradio")

from lmdm_adapter.demo.record_bar import listed
from lmdm_adapter.demo.record_limits import RecordLimits
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.records import Records
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.demo_records import recorded, sound_of, until
from tests.demo_voices import BLOCK_SAMPLES, CHANNELS, ToneVoice, Voices, tone

SOON = 2.0
BLOCK_BYTES = BLOCK_SAMPLES * CHANNELS * 4


@pytest.mark.parametrize(
    ("limits", "says", "blocks"),
    [({"seconds": 0.15}, "minutes", 2), ({"visit_bytes": 3 * BLOCK_BYTES}, "Your recordings", 2),
     ({"server_bytes": 3 * BLOCK_BYTES}, "together", 2), ({"spare_bytes": 1 << 60}, "disk", 0)],
)  # fmt: skip
def test_a_limit_ends_the_recording_with_a_sentence_and_not_the_music(limits, says, blocks):
    records = Records(RecordLimits(**limits))
    voice, shelf = recorded(records)
    chunks = [voice.next_chunk() for _ in range(5)]
    notices = [chunk.report.notice for chunk in chunks if chunk.report.notice]
    assert len(notices) == 1 and says in notices[0] and says in shelf.notice
    assert np.concatenate([c.samples for c in chunks]).tobytes() == tone(0, 5 * BLOCK_SAMPLES).tobytes()
    assert not shelf.wanted
    assert sum(len(sound_of(r)) for r in shelf.recordings) == blocks * BLOCK_SAMPLES
    assert shelf.bytes == sum(p.stat().st_size for r in shelf.recordings for p in (r.wav_path, r.log_path))
    records.discard_all()


def test_another_visits_bytes_count_for_the_server_and_not_for_the_visit():
    records = Records(RecordLimits(visit_bytes=4 * BLOCK_BYTES, server_bytes=6 * BLOCK_BYTES))
    voices = []
    for visitor in ("one", "two"):
        records.shelf(visitor).switch(True)
        voices.append(RecordedVoice(ToneVoice(Wish()), Wish(), records.shelf(visitor)))
    for voice in voices:
        for _ in range(3):
            voice.next_chunk()
    assert records.shelf("one").wanted and not records.shelf("two").wanted
    assert "together" in records.shelf("two").notice
    records.discard_all()


def test_a_visit_has_so_many_recordings_until_some_are_deleted(records):
    records.limits = RecordLimits(recordings=2)
    voice, shelf = recorded(records)
    for _ in range(3):
        shelf.switch(True)
        voice.next_chunk()
        shelf.switch(False) if shelf.wanted else None
    assert len(shelf.recordings) == 2 and "delete" in shelf.notice
    paths = [r.wav_path for r in shelf.recordings]
    shelf.clear()
    shelf.switch(True)
    voice.next_chunk()
    assert len(shelf.recordings) == 1 and not any(path.exists() for path in paths)


def test_a_closed_page_leaves_nothing_and_takes_nothing_of_the_others(records):
    async def run():
        visits = Visits(Voices(), most_sessions=2, records=records)
        streams = []
        for visitor in ("one", "two"):
            records.shelf(visitor).switch(True)
            streams.append(visits.listen(visitor, Wish()))
            [_ async for _ in until(streams[-1], 3)]
        folder = records.shelf("one").recordings[0].wav_path.parent
        (other,) = records.shelf("two").recordings
        visits.gone("one")
        assert not folder.exists() and other.wav_path.exists()
        visits.gone("nobody")
        visits.leave_all()
        for stream in streams:
            await stream.aclose()
        assert await visits.closed(seconds=SOON)
        assert not folder.exists(), "a thread that ended later wrote nothing more"
        return other

    other = asyncio.run(run())
    assert sound_of(other).any()
    records.discard_all()
    assert not other.wav_path.parent.parent.exists()


def test_only_a_finished_file_is_given_and_only_for_its_key(records):
    voice, shelf = recorded(records)
    voice.next_chunk()
    (recording,) = shelf.recordings
    name = recording.wav_path.name
    assert records.file(shelf.key, name) is None, "it still grows"
    assert "recording" in listed(shelf) and "href" not in listed(shelf)
    shelf.switch(False)
    assert records.file(shelf.key, name) == recording.wav_path
    for key, wanted in (("", name), ("é", name), (records.shelf("two").key, name), (shelf.key, "../" + name),
                        (shelf.key, "/etc/passwd"), (shelf.key, "")):  # fmt: skip
        assert records.file(key, wanted) is None
    assert f"{shelf.key}/{name}" in listed(shelf)


def test_shelves_are_bounded_and_those_that_hold_something_stay(records, monkeypatch):
    monkeypatch.setattr("lmdm_adapter.demo.records.MOST_SHELVES", 2)
    kept = records.shelf("one")
    kept.switch(True)
    for number in range(5):
        records.shelf(f"idle {number}")
    assert records.shelf("one") is kept
    records.shelf("two").switch(True)
    with pytest.raises(LmdmError, match="2 visitors"):
        records.shelf("three")


def test_limits_are_positive():
    with pytest.raises(LmdmError, match="positive"):
        RecordLimits(seconds=0)


def test_a_download_is_the_file_and_anything_else_is_not_there(records):
    fastapi = pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from lmdm_adapter.demo.downloads import add_downloads, address_of

    voice, shelf = recorded(records)
    voice.next_chunk()
    shelf.switch(False)
    (recording,) = shelf.recordings
    add_downloads(app := fastapi.FastAPI(), records)
    client = TestClient(app)
    for path, kind in ((recording.wav_path, "audio/wav"), (recording.log_path, "application/jsonl")):
        answer = client.get(address_of(shelf.key, path.name))
        assert answer.status_code == 200 and answer.content == path.read_bytes()
        assert answer.headers["content-type"].startswith(kind) and "attachment" in answer.headers["content-disposition"]
    for key, name in (("guess", recording.wav_path.name), (shelf.key, "..%2F..%2Fetc%2Fpasswd"), (shelf.key, "x.wav")):
        assert client.get(address_of(key, name)).status_code == 404
    records.discard("one")
    assert client.get(address_of(shelf.key, recording.wav_path.name)).status_code == 404
