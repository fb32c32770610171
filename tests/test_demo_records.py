"""Recordings of the demo: what was made, to the bit, and whole whatever happens."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio")

from lmdm_adapter.demo.echo_voice import EchoVoice
from lmdm_adapter.demo.making import Ended, Made
from lmdm_adapter.demo.record_log import read_record_log
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.demo_records import log_of, recorded, sound_of, until
from tests.demo_voices import BLOCK_SAMPLES, CHANNELS, RATE, ToneVoice, Voices, tone

SOON = 2.0


def test_what_is_recorded_is_what_was_sent(records):
    async def run():
        visits = Visits(Voices(), most_sessions=1, records=records)
        records.shelf("one").switch(True)
        stream = visits.listen("one", Wish(lead_seconds=0.35))
        sent = [event async for event in until(stream, 5)]
        await stream.aclose()
        assert await visits.closed(seconds=SOON)
        return np.concatenate([event.packet.samples for event in sent if isinstance(event, Made)])

    sent = asyncio.run(run())
    (recording,) = records.shelf("one").recordings
    samples = sound_of(recording)
    assert soundfile.info(recording.wav_path).subtype == "FLOAT" and len(sent) >= 3 * BLOCK_SAMPLES
    assert samples[: len(sent)].tobytes() == sent.tobytes()
    assert samples.tobytes() == tone(0, len(samples)).tobytes() and len(samples) <= len(sent) + BLOCK_SAMPLES


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


def test_an_echo_is_recorded_as_it_is_heard(records):
    wish, sound = Wish("echo", source=(RATE, CHANNELS)), tone(0, 3 * BLOCK_SAMPLES)
    voice, shelf = recorded(records, kind=EchoVoice, wish=wish)
    for start in range(0, len(sound), BLOCK_SAMPLES):
        voice.hear(sound[start : start + BLOCK_SAMPLES], first_sample=start)
        voice.next_chunk()
    voice.close()
    assert sound_of(shelf.recordings[0]).tobytes() == sound.tobytes()
