"""The sketch of a stream is the sketch of the file, bit for bit, however the sound comes in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.sketch import FEATURES, Sketch, SketchConfig, finish, push, sketched, start
from tests.sketches import CONFIG, audio, noise, same, tone

SMALL = SketchConfig(frame_samples=128, sample_rate=8_000, bins=40)
ONE_CODEC = (SMALL, SketchConfig(frame_samples=100, sample_rate=8_000, bins=40, gamma_hz=0.0, melody_ahead_seconds=0.0))


def in_pieces(config: SketchConfig, sound: Audio, sizes: list[int]) -> Sketch:
    """The sketch of a stream whose pieces have these sizes, over and over."""
    state, told, place = start(config), [], 0
    while place < sound.samples.shape[1]:
        for size in sizes:
            piece = Audio(sound.samples[:, place : place + size], sound.sample_rate)
            sketch, state = push(config, state, piece)
            told.append(sketch)
            place += size
    return Sketch.joined([*told, finish(config, state)[0]])


@pytest.mark.parametrize("config", ONE_CODEC)
@pytest.mark.parametrize("channels", [1, 2, 9])
def test_any_pieces_give_the_same_bits(config: SketchConfig, channels: int) -> None:
    sound = audio(noise(21, channels=channels, config=config)[:, :-37], config=config)
    whole = sketched(config, sound)
    assert set(whole.values) == set(FEATURES) and all(rows[1:].any() for rows in whole.values.values())
    rng = np.random.default_rng(1)
    for sizes in ([1, 0, 1], [config.frame_samples], [999_999], *([int(n) for n in rng.integers(0, 400, 9)],) * 3):
        assert same(in_pieces(config, sound, sizes), whole), sizes
        rng.shuffle(sizes)


def test_other_sound_is_another_sketch() -> None:
    """Negative control: the comparison above sees a change of one sample in ten thousand, by a thousandth."""
    sound = noise(10)
    changed = sound.copy()
    changed[0, 5000] += 1e-3
    assert not same(sketched(CONFIG, audio(sound)), sketched(CONFIG, audio(changed)))


@pytest.mark.parametrize("samples", [0, 1, 1023, 1024, 1025, 9 * 1024])
def test_every_frame_that_begins_has_a_value(samples: int) -> None:
    sketch = sketched(CONFIG, audio(noise(10)[:, :samples]))
    assert sketch.frames == -(-samples // CONFIG.frame_samples)


def test_a_state_is_a_value() -> None:
    """Pushing twice from one state gives the same, and leaves the state as it was."""
    _, state = push(CONFIG, start(CONFIG), audio(noise(9)))
    before = state.recent.copy()
    one, other = (push(CONFIG, state, audio(noise(4, seed=2)))[0] for _ in range(2))
    assert same(one, other) and np.array_equal(state.recent, before)
    assert not same(one, push(CONFIG, state, audio(noise(4, seed=3)))[0])


def test_memory_does_not_grow() -> None:
    """The state holds nothing but its newest sound, also after a long push."""
    state, lengths = start(CONFIG), set()
    for frames in (1, 300, 2, 40):
        _, state = push(CONFIG, state, audio(noise(frames)))
        lengths.add(state.recent.nbytes)
        assert state.recent.base is None
    assert lengths == {start(CONFIG).recent.nbytes}


def test_a_stream_forgets() -> None:
    """What comes after enough silence is told as if nothing had been before, and a finished stream begins anew."""
    frames = 20
    quiet = np.zeros((1, frames * CONFIG.frame_samples))
    after = sketched(CONFIG, audio(noise(7), quiet, tone(60, 6)))[7 + frames :]
    assert same(after, sketched(CONFIG, audio(tone(60, 6))))
    _, used = push(CONFIG, start(CONFIG), audio(noise(7)))
    assert np.array_equal(finish(CONFIG, used)[1].recent, start(CONFIG).recent)


def test_the_future_changes_nothing_that_was_told() -> None:
    known = audio(noise(20))
    told, _ = push(CONFIG, start(CONFIG), known)
    longer, _ = push(CONFIG, start(CONFIG), audio(known.samples, tone(40, 5, amplitude=1.0)))
    assert told.frames == 20 - CONFIG.delay_frames and same(longer[: told.frames], told)
    assert not same(sketched(CONFIG, known)[:20], longer[:20]), "the frames that were held back do hear it"
