"""Visits: seats, the line, the lead, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import numpy as np
import pytest

from lmdm_adapter.demo.making import Ended, Lead, Made, Making, Notice, Opened, nap_seconds
from lmdm_adapter.demo.seats import Seats
from lmdm_adapter.demo.tokens import LIFE_SECONDS, Tokens
from lmdm_adapter.demo.visits import Visits, Waiting
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from tests.demo_voices import BLOCK_SAMPLES, RATE, ToneVoice, Voices, tone

SOON = 2.0


async def events(iterator, count):
    return [await asyncio.wait_for(anext(iterator), SOON) for _ in range(count)]


def test_the_line_moves_up():
    async def run():
        seats = Seats(1, most_waiting=2)
        first, second, third = seats.join(), seats.join(), seats.join()
        assert [t.place for t in (first, second, third)] == [0, 1, 2]
        with pytest.raises(LmdmError, match="2 are waiting"):
            seats.join()
        seats.leave(second)
        assert third.place == 1 and third.moved.is_set()
        seats.leave(first)
        seats.leave(first)
        assert third.place == 0 and (seats.taken, seats.waiting) == (1, 0)

    asyncio.run(run())


def test_a_token_works_once_for_its_visitor_and_soon():
    clock = [0.0]
    tokens = Tokens(now=lambda: clock[0])
    token = tokens.issue("one")
    assert tokens.redeem("guess") is tokens.redeem(None) is None
    assert tokens.redeem(token) == "one"
    assert tokens.redeem(token) is None
    old, new = tokens.issue("one"), tokens.issue("one")
    assert tokens.redeem(old) is None
    clock[0] += LIFE_SECONDS + 1
    assert tokens.redeem(new) is None
    gone = tokens.issue("two")
    tokens.void("two")
    assert tokens.redeem(gone) is None


def test_music_comes_in_order_and_not_beyond_the_lead():
    async def run():
        visits = Visits(voices := Voices(), most_sessions=1)
        stream = visits.listen("one", Wish(lead_seconds=0.45))
        opened, *made = await events(stream, 6)
        assert opened == Opened(RATE, 2, BLOCK_SAMPLES / RATE, 0.45)
        assert np.concatenate([m.packet.samples for m in made]).tobytes() == tone(0, 5 * BLOCK_SAMPLES).tobytes()
        assert [m.packet.first_sample for m in made] == [i * BLOCK_SAMPLES for i in range(5)]
        await asyncio.sleep(0.15)
        assert voices.made[0].blocks == 5, "0.5 s are made, which is past a lead of 0.45 s"
        visits.played("one", 1)
        (more,) = await events(stream, 1)
        assert isinstance(more, Made) and more.packet.first_sample == 5 * BLOCK_SAMPLES
        await stream.aclose()
        assert await visits.closed(seconds=1.0) and voices.made[0].closed.is_set()

    asyncio.run(run())


def test_a_page_cannot_have_played_what_was_not_sent():
    async def run():
        visits = Visits(voices := Voices(), most_sessions=1)
        stream = visits.listen("one", Wish(lead_seconds=0.1))
        await events(stream, 2)
        visits.played("one", 10**12)
        await asyncio.sleep(0.1)
        assert voices.made[0].blocks <= 3 + 1
        for wrong in (True, "7", 0.5, None):
            with pytest.raises(LmdmError, match="whole numbers"):
                visits.played("one", wrong)
        await stream.aclose()

    asyncio.run(run())


def test_a_second_listener_waits_sees_the_place_and_gets_the_seat():
    async def run():
        visits = Visits(Voices(), most_sessions=1)
        first = visits.listen("one", Wish())
        await events(first, 1)
        second, third = visits.listen("two", Wish()), visits.listen("three", Wish())
        assert await events(second, 1) == [Waiting(1)]
        assert await events(third, 1) == [Waiting(2)]
        visits.turn("two", "steps", 4)
        next_second = asyncio.create_task(anext(second))
        next_third = asyncio.create_task(anext(third))
        visits.leave("one")
        assert isinstance(await asyncio.wait_for(next_second, SOON), Opened)
        assert await asyncio.wait_for(next_third, SOON) == Waiting(1)
        assert visits._make_voice.made[-1].wish.values == {"steps": 4}, "what was turned in the line is not lost"
        visits.leave("three")
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(third), SOON)
        visits.leave_all()
        assert await visits.closed(seconds=1.0) and visits.seats.taken == 0

    asyncio.run(run())


def test_starting_again_ends_the_earlier_music():
    async def run():
        visits = Visits(voices := Voices(), most_sessions=1)
        first = visits.listen("one", Wish())
        await events(first, 2)
        second = visits.listen("one", Wish())
        assert isinstance((await events(second, 1))[0], Opened)
        assert await asyncio.to_thread(voices.made[0].closed.wait, 1.0)
        await first.aclose()
        visits.turn("one", "steps", 4)
        assert voices.made[1].turns == [("steps", 4)], "the end of the first took nothing from the second"
        await second.aclose()

    asyncio.run(run())


def test_a_knob_turns_the_music_of_its_own_tab_alone():
    async def run():
        visits = Visits(voices := Voices(), most_sessions=1)
        stream = visits.listen("one", Wish("jam", {}))
        await events(stream, 2)
        visits.turn("one", "prompt", "of Play", mode="play")
        visits.turn("one", "prompt", "of Jam", mode="jam")
        assert voices.made[0].turns == [("prompt", "of Jam")]
        await stream.aclose()

    asyncio.run(run())


def test_what_is_turned_while_the_voice_opens_is_not_lost_and_the_newest_counts():
    opening, may_open = threading.Event(), threading.Event()

    class SlowVoice(ToneVoice):
        def __init__(self, wish):
            opening.set()
            assert may_open.wait(SOON)
            super().__init__(wish)

    async def run():
        visits = Visits(voices := Voices(SlowVoice), most_sessions=1)
        stream = visits.listen("one", Wish(lead_seconds=0.05))
        first = asyncio.create_task(anext(stream))
        assert await asyncio.to_thread(opening.wait, SOON)
        for name, value in (("steps", 4), ("guidance", 2), ("steps", 5)):
            visits.turn("one", name, value)
        may_open.set()
        assert isinstance(await asyncio.wait_for(first, SOON), Opened)
        visits.turn("one", "steps", 6)
        assert voices.made[0].turns == [("steps", 5), ("guidance", 2), ("steps", 6)]
        await stream.aclose()

    asyncio.run(run())


def test_knobs_that_wait_are_bounded():
    async def run():
        visits = Visits(Voices(), most_sessions=1)
        first, second = visits.listen("one", Wish()), visits.listen("two", Wish())
        await events(first, 1), await events(second, 1)
        with pytest.raises(LmdmError, match="wait for the music already"):
            for index in range(1000):
                visits.turn("two", f"knob {index}", "x")
        visits.turn("two", "knob 0", "again")
        await first.aclose(), await second.aclose()

    asyncio.run(run())


def test_a_page_is_told_of_another_lead_also_when_it_was_turned_in_the_line():
    async def run():
        visits = Visits(Voices(), most_sessions=1)
        first, second = visits.listen("one", Wish()), visits.listen("two", Wish())
        await events(first, 1), await events(second, 1)
        visits.turn("two", "lead_seconds", 0.25)
        visits.leave("one")
        (opened,) = await events(second, 1)
        assert opened.lead_seconds == 0.25
        visits.turn("two", "lead_seconds", 0.1)
        while (event := (await events(second, 1))[0]) != Lead(0.1):
            assert isinstance(event, Made)
        await first.aclose(), await second.aclose()

    asyncio.run(run())


def test_nothing_is_kept_of_those_who_have_gone():
    async def run():
        visits = Visits(voices := Voices(), most_sessions=1)
        for _ in range(20):
            stream = visits.listen("one", Wish())
            await events(stream, 2)
            await stream.aclose()
            assert await asyncio.to_thread(voices.made[-1].closed.wait, SOON)
        gc.collect()
        alive = [one for one in gc.get_objects() if type(one) is Making]
        assert len(alive) <= 3, "each holds its last lead of sound"

    asyncio.run(run())


class FailingVoice(ToneVoice):
    def next_chunk(self):
        if self.blocks == 2:
            raise LmdmError("The model made NaN.")
        return super().next_chunk()


class BrokenVoice(ToneVoice):
    def __init__(self, wish):
        raise ValueError("secret words")


@pytest.mark.parametrize(("kind", "why"), [(FailingVoice, "The model made NaN."), (BrokenVoice, "ValueError")])
def test_a_voice_that_fails_ends_with_a_sentence_and_frees_the_seat(kind, why):
    async def run():
        visits = Visits(Voices(kind), most_sessions=1)
        seen = [event async for event in visits.listen("one", Wish())]
        assert isinstance(seen[-1], Ended) and why in seen[-1].why and "secret" not in seen[-1].why
        assert visits.seats.taken == 0
        assert await visits.closed(seconds=2.0), "the thread that said so ends right after"

    asyncio.run(run())


def test_a_page_that_stalls_costs_no_more_than_the_lead_and_a_silent_one_ends():
    async def run():
        began, seen = time.monotonic(), []
        making = Making(lambda: ToneVoice(Wish()), lead_seconds=0.2, idle_seconds=0.3)
        while not seen or not isinstance(seen[-1], Ended):
            seen.append(await asyncio.wait_for(making.next_event(), SOON))
        assert 0.3 <= time.monotonic() - began < 1.5
        assert sum(isinstance(event, Made) for event in seen) == 2
        assert "did not answer" in seen[-1].why

    asyncio.run(run())


def test_nobody_sleeps_longer_than_until_there_is_room():
    assert nap_seconds(0.0075) == 0.0075
    assert nap_seconds(3.0) == 0.02, "the page may tell of more room at any time"
    assert 0.0 < nap_seconds(0.0) <= 0.005, "no spinning, and no time lost"


def test_sentences_reach_the_listener_and_turns_without_music_go_nowhere():
    async def run():
        visits = Visits(Voices(), most_sessions=1)
        visits.turn("nobody", "steps", 4)
        visits.notice("nobody", "Hello.")
        stream = visits.listen("one", Wish(lead_seconds=0.05))
        await events(stream, 2)
        visits.notice("one", "Set a tempo.")
        assert await events(stream, 1) == [Notice("Set a tempo.")]
        with pytest.raises(LmdmError, match="lead_seconds"):
            visits.turn("one", "lead_seconds", 100)
        await stream.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    "wish", [{"mode": "sing"}, {"lead_seconds": 0}, {"lead_seconds": "x"}, {"source": (0, 1)}, {"source": (48000, 3)},
             {"lead_seconds": float("nan")}, {"lead_seconds": 1e-9}, {"lead_seconds": 10**400}],
)  # fmt: skip
def test_wishes_that_cannot_be(wish):
    with pytest.raises(LmdmError):
        Wish(**wish)
