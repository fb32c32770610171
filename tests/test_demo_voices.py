"""The voices of the page: a live model's, turned at the borders of its blocks, and the echo."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.demo.echo_voice import EchoVoice
from lmdm_adapter.demo.live_voice import LiveVoice
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.demo.wording import POINTS, blocks_back, checked_curves, corner_weights, delay_seconds, prompt_of
from lmdm_adapter.errors import LmdmError
from tests.models import tiny_live

PROMPT, OTHER = "house a minor", "techno bass"


@pytest.fixture(scope="module")
def live():
    return tiny_live()


def voice_of(live, **values):
    return LiveVoice(live, values={"prompt": PROMPT, "steps": 2, "seed": 3, **values})


def played(voice, blocks):
    return np.concatenate([voice.next_chunk().samples for _ in range(blocks)])


def test_it_plays_what_the_model_streams(live):
    from lmdm_adapter.codec_stream import low_latency_frames
    from lmdm_adapter.spec import Sampling

    sampling, look_ahead = Sampling(2, live.sampling.sampler, live.sampling.guidance), low_latency_frames(live.codec)
    pieces = live.stream(PROMPT, seed=3, sampling=sampling, look_ahead_frames=look_ahead)
    expected = np.concatenate([next(pieces).samples.T for _ in range(4)])
    assert played(voice_of(live), 4).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [("prompt", OTHER), ("prompt", [[PROMPT, 1.0], [OTHER, 1.0]]), ("negative_prompt", OTHER), ("guidance", 3.0),
     ("steps", 3), ("seed", 4), ("recache", True), ("freeze", True)],
)  # fmt: skip
def test_every_knob_is_heard_from_the_next_block_on(live, name, value):
    plain, turned = voice_of(live, guidance=2.0), voice_of(live, guidance=2.0)
    assert played(plain, 3).tobytes() == played(turned, 3).tobytes()
    turned.set(name, value)
    assert played(plain, 2).tobytes() != played(turned, 2).tobytes()


def test_the_policy_says_what_a_new_prompt_does(live):
    kept, heard_anew = voice_of(live), voice_of(live, policy="recache")
    assert played(kept, 3).tobytes() == played(heard_anew, 3).tobytes()
    for voice in (kept, heard_anew):
        voice.set("prompt", OTHER)
    assert played(kept, 2).tobytes() != played(heard_anew, 2).tobytes()


def test_two_futures_of_one_moment(live):
    voice = voice_of(live)
    played(voice, 3)
    voice.set("keep", "A")
    first = played(voice, 2)
    voice.set("recall", "A")
    assert played(voice, 2).tobytes() == first.tobytes()
    voice.set("recall", "A")
    voice.set("prompt", OTHER)
    assert played(voice, 2).tobytes() != first.tobytes()


def test_going_back_plays_the_same_frames_anew(live):
    voice = voice_of(live)
    played(voice, 4)
    voice.set("rewind_blocks", 2)
    assert voice.next_chunk().report.notice is None
    assert voice._state.block_index == 3


@pytest.mark.parametrize(("name", "value", "says"), [("rewind_blocks", 200, "rewound"), ("recall", "B", "kept as B")])
def test_what_cannot_be_is_told_and_the_music_goes_on(live, name, value, says):
    voice, other = voice_of(live), voice_of(live)
    played(voice, 2), played(other, 2)
    voice.set(name, value)
    chunk = voice.next_chunk()
    assert says in chunk.report.notice
    assert chunk.samples.tobytes() == other.next_chunk().samples.tobytes()
    assert voice.next_chunk().report.notice is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("volume", 1), ("prompt", 3), ("prompt", []), ("prompt", [["a", -1.0]]), ("prompt", [["a", float("nan")]]),
     ("prompt", "x" * 3000), ("prompt", [["a", 1.0]] * 9), ("negative_prompt", 3), ("guidance", "much"),
     ("guidance", 10**400), ("guidance", float("nan")), ("guidance", True),
     ("steps", 0), ("steps", 2.5), ("steps", 10**6), ("steps", None),
     ("seed", -1), ("policy", "forget"), ("freeze", "yes"), ("rewind_blocks", 0), ("keep", "C"), ("recall", [])],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(live, name, value):
    with pytest.raises(LmdmError):
        voice_of(live).set(name, value)
    if name != "volume":
        with pytest.raises(LmdmError):
            voice_of(live, **{name: value})


def test_a_flood_of_turns_is_bounded_and_the_music_goes_on(live):
    voice = voice_of(live)
    with pytest.raises(LmdmError, match="wait for the next block"):
        for index in range(10_000):
            voice.set("seed", index)
    voice.next_chunk()
    voice.set("seed", 1)


def test_an_echo_is_what_came_in_with_silence_where_nothing_came():
    voice, sound = EchoVoice(Wish("echo", source=(1000, 1))), np.arange(1, 31, dtype=np.float32)[:, None]
    voice.hear(sound[:10], first_sample=0)
    voice.hear(sound[5:15], first_sample=5)
    voice.hear(sound[20:30], first_sample=20)
    expected = np.where((np.arange(30) < 15) | (np.arange(30) >= 20), np.arange(1, 31), 0)
    assert voice.next_chunk().samples[:, 0].tolist() == expected.tolist()
    assert not voice.next_chunk().samples.any()


def test_an_echo_keeps_two_seconds_whatever_comes():
    voice = EchoVoice(Wish("echo", source=(1000, 1)))
    voice.hear(np.ones((10, 1), np.float32), first_sample=10**15)
    voice.hear(np.ones((5000, 1), np.float32), first_sample=10**15 + 10)
    assert len(voice.next_chunk().samples) == 2000
    with pytest.raises(LmdmError, match="live input"):
        EchoVoice(Wish("echo"))


def test_the_boxes_become_one_prompt():
    boxes = ("house", "", "jazz ", "punk")
    assert prompt_of(*boxes, 1, 1, 0.5, 0, 124, "A minor") == [
        ["124 BPM, A minor, house", 1.0], ["124 BPM, A minor, jazz", 0.5],
    ]  # fmt: skip
    assert prompt_of(*boxes, 0, 0, 0, 0, None, "any") == [["", 1.0]]
    assert prompt_of(*boxes, None, 0, 0, 1, 92.5, "any") == [["92.5 BPM, punk", 1.0]]


def test_bars_become_blocks():
    assert blocks_back(2, "bars", 120, block_seconds=0.5) == 8
    assert blocks_back(3, "blocks", None, block_seconds=0.5) == 3
    for count, unit, tempo in ((1, "bars", None), (0, "blocks", 120), (1, "bars", 10**6)):
        with pytest.raises(LmdmError):
            blocks_back(count, unit, tempo, block_seconds=0.5)


def test_a_corner_of_the_pad_is_one_prompt_and_its_middle_all_four():
    assert corner_weights({"x": 0, "y": 0}) == [1, 0, 0, 0]
    assert corner_weights({"x": 1, "y": 1}) == [0, 0, 0, 1]
    assert corner_weights({"x": 7, "y": -1}) == [0, 1, 0, 0]
    assert corner_weights({"x": 0.5, "y": 0.5}) == [0.25] * 4


def test_beats_become_seconds():
    assert delay_seconds(4, 120) == 2.0
    with pytest.raises(LmdmError, match="tempo"):
        delay_seconds(4, None)


def test_curves_are_as_long_as_their_bars():
    drawn = {"loudness": [0.5] * POINTS, "melody": []}
    assert checked_curves(drawn, bars=2, tempo_bpm=120) == {**drawn, "seconds": 4.0}


@pytest.mark.parametrize(
    "drawn", [None, "loud", {"colour": []}, {"melody": [0.5]}, {"melody": [2.0] * POINTS}, {"melody": [True] * POINTS},
              {"melody": [float("nan")] * POINTS}, {"melody": "x" * POINTS}],
)  # fmt: skip
def test_what_is_no_drawing(drawn):
    with pytest.raises(LmdmError):
        checked_curves(drawn, bars=2, tempo_bpm=120)
