"""The figures of what is measured in the browser are those of what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from tests.demo_lags import Lags, OutputTimes, answers, first_change, table
from tests.demo_remembering import RememberingModel
from tests.models import tiny_live


def test_a_bound_holds_for_nineteen_of_twenty():
    seconds = tuple(np.arange(1, 102) / 1000)
    assert Lags("one", seconds, 0.097).within and not Lags("one", seconds, 0.095).within
    assert Lags("one", seconds, 0.1).p50 == pytest.approx(0.051)
    assert table([Lags("one", seconds, 0.1)]).endswith("| one | 101 | 51 ms | 96 ms | 101 ms | 100 ms |")


def test_the_first_change_is_the_first_sample_that_differs_in_any_channel():
    sound = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    other = sound.copy()
    other[30:, 1] += 1e-4
    other[40:, 0] += 0.1
    assert first_change(sound, other) == 30 and first_change(sound, other, least=0.001) == 40
    assert first_change(sound, sound) is None and first_change(sound, other[:30]) is None


def test_every_sound_answers_what_was_done_last_before_it():
    lags = answers([1.0, 2.0, 3.0, 4.0], [0.5, 1.1, 2.2, 3.9, 4.05], longest=0.4)
    assert lags == pytest.approx([0.1, 0.2, 0.05]), "one came before all, one too late to be an answer"


def test_a_sample_comes_out_so_long_after_the_first_of_its_piece():
    times = OutputTimes([(0, 100, 5000.0), (100, 100, 5150.0)], sample_rate=1000)
    assert times.seconds(99) == pytest.approx(5.099) and times.seconds(110) == pytest.approx(5.16)
    assert times.sample(4.0) == 0 and times.sample(5.001) == 100 == times.sample(5.15)


def test_a_turn_is_found_where_it_began_and_with_what_it_changed():
    model, prompts = RememberingModel(live := tiny_live()), ("kick", "kick", "techno bass", "techno bass")
    states, heard = [model.start(0, look_ahead_frames=0)], []
    for prompt in prompts:
        audio, after = model.step(states[-1], prompt, sampling=live.sampling)
        states.append(after)
        heard.append(audio.samples.T)
    ((first, without),) = model.turns()
    assert first == len(heard[0]) + len(heard[1])
    assert np.array_equal(without, live.step(states[2], "kick", sampling=live.sampling)[0].samples.T)
    assert first_change(heard[2], without) is not None, "the prompt is heard"
