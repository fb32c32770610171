"""Recordings of the demo: what was made, to the bit; whole whatever happens; bounded; gone with the page."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio")

from lmdm_adapter.demo.echo_voice import EchoVoice
from lmdm_adapter.demo.making import Ended, Made
from lmdm_adapter.demo.record_bar import listed
from lmdm_adapter.demo.record_limits import RecordLimits
from lmdm_adapter.demo.record_log import read_record_log
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.records import Records
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.demo_voices import BLOCK_SAMPLES, CHANNELS, RATE, ToneVoice, Voices, tone

SOON = 2.0
BLOCK_BYTES = BLOCK_SAMPLES * CHANNELS * 4


@pytest.fixture
def records():
    made = Records()
    yield made
    made.discard_all()


def recorded(records, *, kind=ToneVoice, wish=None, on=True):
    """A voice on a shelf of its own that is switched on."""
    shelf, wish = records.shelf("one"), wish or Wish()
    shelf.switch(on)
    return RecordedVoice(kind(wish), wish, shelf), shelf


def sound_of(recording):
    samples, rate = soundfile.read(recording.wav_path, dtype="float32", always_2d=True)
    assert rate == recording.sample_rate
    return samples


def log_of(recording):
    return [json.loads(line) for line in recording.log_path.read_text().splitlines()]


def test_what_is_recorded_is_what_was_sent(records):
    async def run():
        visits = Visits(Voices(), most_sessions=1, records=records)
        records.shelf("one").switch(True)
        stream = visits.listen("one", Wish(lead_seconds=0.35))
        sent = [event async for event in _until(stream, 5)]
        await stream.aclose()
        assert await visits.closed(seconds=SOON)
        return np.concatenate([event.packet.samples for event in sent if isinstance(event, Made)])

    sent = asyncio.run(run())
    (recording,) = records.shelf("one").recordings
    samples = sound_of(recording)
    assert soundfile.info(recording.wav_path).subtype == "FLOAT" and len(sent) >= 3 * BLOCK_SAMPLES
    assert samples[: len(sent)].tobytes() == sent.tobytes()
    assert samples.tobytes() == tone(0, len(samples)).tobytes() and len(samples) <= len(sent) + BLOCK_SAMPLES


async def _until(stream, count):
    for _ in range(count):
        yield await asyncio.wait_for(anext(stream), SOON)


def test_the_switch_begins_and_ends_recordings_while_the_music_goes_on(records):
    voice, shelf = recorded(records, on=False)
    for on in (False, True, True, False, True):
        shelf.switch(on)
        voice.next_chunk()
    voice.close()
    first, second = shelf.recordings
    assert sound_of(first).tobytes() == tone(BLOCK_SAMPLES, 2 * BLOCK_SAMPLES).tobytes()
    assert sound_of(second).tobytes() == tone(4 * BLOCK_SAMPLES, BLOCK_SAMPLES).tobytes()
    assert log_of(second)[0]["first_sample"] == 4 * BLOCK_SAMPLES
    assert not (first.open or second.open)


def test_every_turn_is_logged_with_its_sample_and_none_that_was_refused(records):
    class Picky(ToneVoice):
        def set(self, name, value):
            if name == "wrong":
                raise LmdmError("There is no such parameter.")
            super().set(name, value)

    voice, shelf = recorded(records, kind=Picky, wish=Wish("sketch", {"prompt": "low", "curve": (0.5, 1)}))
    voice.next_chunk()
    voice.set("prompt", "high")
    with pytest.raises(LmdmError):
        voice.set("wrong", 1)
    voice.next_chunk()
    shelf.switch(False)
    header, *rest = log_of(shelf.recordings[0])
    assert header["mode"] == "sketch" and header["values"] == {"prompt": "low", "curve": [0.5, 1]}
    assert not header["replays"], "a voice that does not tell when turns count cannot promise it"
    turns = [record for record in rest if record["kind"] == "turn"]
    assert turns == [{"kind": "turn", "number": 1, "sample": BLOCK_SAMPLES, "name": "prompt", "value": "high"}]
    assert [r["sample"] for r in rest if r["kind"] == "block"] == [0, BLOCK_SAMPLES]
    assert rest[-1] == {"kind": "end", "samples": 2 * BLOCK_SAMPLES, "why": None}


KILLED = """
import sys, time
from lmdm_adapter.demo.recorded_voice import RecordedVoice
from lmdm_adapter.demo.records import Records
from lmdm_adapter.demo.voice import Wish
from tests.demo_voices import ToneVoice
shelf = Records().shelf("one")
shelf.switch(True)
voice = RecordedVoice(ToneVoice(Wish()), Wish(), shelf)
voice.set("prompt", "x")
for _ in range(3):
    voice.next_chunk()
print(shelf.recordings[0].wav_path, flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_files_that_play(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        path = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert samples.tobytes() == tone(0, 3 * BLOCK_SAMPLES).tobytes()
    log = read_record_log(path.removesuffix("wav") + "jsonl")
    assert len(log.blocks) == 3 and len(log.turns) == 1


class FailingVoice(ToneVoice):
    def next_chunk(self):
        if self.blocks == 2:
            raise LmdmError("The model made NaN.")
        return super().next_chunk()


def test_a_voice_that_fails_leaves_its_recording(records):
    async def run():
        visits = Visits(Voices(FailingVoice), most_sessions=1, records=records)
        records.shelf("one").switch(True)
        seen = [event async for event in visits.listen("one", Wish())]
        assert isinstance(seen[-1], Ended)
        assert await visits.closed(seconds=SOON)

    asyncio.run(run())
    (recording,) = records.shelf("one").recordings
    assert sound_of(recording).tobytes() == tone(0, 2 * BLOCK_SAMPLES).tobytes()
    assert [record["kind"] for record in log_of(recording)[-2:]] == ["failure", "end"]
    assert records.shelf("one").file(recording.wav_path.name)


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


def test_a_full_disk_ends_the_recording_and_keeps_what_is_there(records, monkeypatch):
    voice, shelf = recorded(records)
    voice.next_chunk()

    def full(*arguments, **named):
        raise LmdmError("Cannot write it: No space left on device.")

    monkeypatch.setattr("lmdm_adapter.session.wav.CrashSafeWav.write", full)
    assert "No space" in voice.next_chunk().report.notice
    assert voice.next_chunk().report.notice is None
    (recording,) = shelf.recordings
    assert sound_of(recording).tobytes() == tone(0, BLOCK_SAMPLES).tobytes()


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
            [_ async for _ in _until(streams[-1], 3)]
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


def test_an_echo_is_recorded_as_it_is_heard(records):
    wish, sound = Wish("echo", source=(RATE, CHANNELS)), tone(0, 3 * BLOCK_SAMPLES)
    voice, shelf = recorded(records, kind=EchoVoice, wish=wish)
    for start in range(0, len(sound), BLOCK_SAMPLES):
        voice.hear(sound[start : start + BLOCK_SAMPLES], first_sample=start)
        voice.next_chunk()
    voice.close()
    assert sound_of(shelf.recordings[0]).tobytes() == sound.tobytes()
