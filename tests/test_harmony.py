"""Harmony: the notes of a sound by pitch class, the same in pieces as in one go, and heard beside latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.accompaniment import Heard, accompaniment
from lmdm_adapter.controls.declared import HARMONY, HEARD
from lmdm_adapter.controls.harmony import HARMONY_CHANNELS, HarmonyConfig, harmony, harmony_start, harmony_step
from lmdm_adapter.controls.listening import Listening, listen, listen_step
from lmdm_adapter.errors import LmdmError
from tests.mode_models import FRAME, HARMONY_CONTROLS, RATE, listening_live

CONFIG = HarmonyConfig(1024, 22_050)
LIVE = listening_live(harmony=True)
LISTENING = Listening.of(LIVE.codec, LIVE.section.frame_controls)


def notes(*midi: int, seconds: float = 1.0, rate: int = CONFIG.sample_rate) -> Audio:
    """Sines of these notes at once."""
    times = np.arange(round(seconds * rate)) / rate
    waves = [0.0 * times, *(np.sin(2 * np.pi * 440.0 * 2 ** ((note - 69) / 12) * times) for note in midi)]
    return Audio((np.sum(waves, axis=0) / 4)[None].astype(np.float32), rate)


def told(*midi: int) -> tuple[list[int], list[int]]:
    """Which pitch classes stand out in the middle of a sound, in the low and in the high register."""
    middle = harmony(CONFIG, notes(*midi))[:, 10]
    return tuple([int(place) for place in np.flatnonzero(part > 0.5)] for part in (middle[:12], middle[12:]))


@pytest.mark.parametrize(
    ("midi", "low", "high"),
    [((60, 64, 67), [], [0, 4, 7]), ((33,), [9], []), ((36, 57, 60, 64), [0], [0, 4, 9]), ((50, 62), [], [2]),
     ((), [], [])],
)  # fmt: skip
def test_pitch_classes_stand_where_their_notes_are(midi: tuple[int, ...], low: list[int], high: list[int]) -> None:
    assert told(*midi) == (low, high)


def test_octaves_are_one_class_and_add_up() -> None:
    single, double = (harmony(CONFIG, notes(*midi))[12:, 10] for midi in ((62,), (62, 74)))
    assert double[2] > 1.5 * single[2] and single[2] == pytest.approx(1.0)


def test_a_kick_does_not_drown_the_chord() -> None:
    """Twenty times as loud, below A2: the other register does not hear it."""
    chord, kick = notes(60, 64, 67).samples, 20.0 * notes(31).samples
    heard = harmony(CONFIG, Audio(chord + kick, CONFIG.sample_rate))[12:, 10]
    assert sorted(np.argsort(heard)[-3:]) == [0, 4, 7]


def test_silence_has_no_harmony() -> None:
    assert not harmony(CONFIG, Audio(np.zeros((1, 20_000), np.float32), CONFIG.sample_rate)).any()


@pytest.mark.parametrize("chunk", [1000, 1024, 7777])
def test_in_pieces_as_in_one_go(chunk: int) -> None:
    """To the bit, but for the frames that the end holds back."""
    audio = Audio(np.random.default_rng(0).uniform(-1, 1, (2, 22_000)).astype(np.float32), CONFIG.sample_rate)
    state, pieces = harmony_start(CONFIG), []
    for first in range(0, 22_000, chunk):
        piece, state = harmony_step(CONFIG, state, Audio(audio.samples[:, first : first + chunk], CONFIG.sample_rate))
        pieces.append(piece)
    together, whole = np.concatenate(pieces, axis=1), harmony(CONFIG, audio)
    assert whole.shape == (HARMONY_CHANNELS, 22) and together.shape[1] == 22_000 // 1024 - CONFIG.delay_frames
    assert np.array_equal(together, whole[:, : together.shape[1]])


@pytest.mark.parametrize(("chunk", "hop_frames"), [(50, 1), (333, 3), (4000, 6)])
def test_listening_as_it_comes_is_listening_in_one_go(chunk: int, hop_frames: int) -> None:
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 60 * FRAME)).astype(np.float32)
    state, heard = listen(LISTENING, hop_frames=hop_frames), LISTENING.nothing()
    for first in range(0, sound.shape[1], chunk):
        piece = Audio(sound[:, first : first + chunk], RATE)
        latents, harmonies, state = listen_step(LISTENING, state, piece)
        assert latents.shape[-1] == harmonies.shape[-1]
        heard = heard.with_latents(latents, harmonies)
    whole = LISTENING.whole(Audio(sound, RATE))
    frames = heard.end_frame
    assert 60 - LISTENING.delay_frames - hop_frames < frames <= 60 - LISTENING.delay_frames
    assert (heard.latents - whole.latents[:, :frames]).abs().max() < 1e-5 * whole.latents.abs().max()
    assert torch.equal(heard.harmony, whole.harmony[:, :frames]) and heard.harmony.any()


def test_what_waits_for_the_other_is_bounded() -> None:
    state = listen(LISTENING)
    for _ in range(40):
        _, _, state = listen_step(LISTENING, state, Audio(np.ones((1, 2 * FRAME), np.float32), RATE))
    assert state.latents.shape[-1] + state.told.shape[-1] <= LISTENING.delay_frames


def test_a_model_without_harmony_hears_latents_alone() -> None:
    deaf = Listening.of(LIVE.codec, LIVE.section.frame_controls[:2])
    assert deaf.harmony is None and deaf.delay_frames < LISTENING.delay_frames
    given = accompaniment(
        deaf.whole(Audio(np.ones((1, 640), np.float32), RATE)), 0, 10, lag_frames=0, frame_rate_hz=1.0
    )
    assert set(given) == set(HEARD)


def test_harmony_is_carried_as_late_as_latents() -> None:
    heard = Heard(torch.arange(6.0)[None], harmony=10.0 + torch.arange(6.0)[None])
    given = accompaniment(heard, 0, 6, lag_frames=2, frame_rate_hz=1.0)
    assert given[HARMONY].tolist() == [[0.0, 0.0, 10.0, 11.0, 12.0, 13.0]]
    assert torch.equal(given[HARMONY], (given["accompaniment_latents"] + 10.0) * given["accompaniment_mask"])


def test_what_cannot_be_heard() -> None:
    with pytest.raises(LmdmError, match=rf"look-ahead of {LISTENING.least_delay_frames} to \d+ frames, got 0"):
        listen(LISTENING, look_ahead_frames=0)
    with pytest.raises(LmdmError, match="harmony of as many frames"):
        Heard(torch.zeros(2, 5), harmony=torch.zeros(24, 4))
    with pytest.raises(LmdmError, match="24 channels"):
        LISTENING.nothing().with_latents(torch.zeros(LIVE.codec.latent_channels, 3))
    bad = torch.full((24, 3), float("nan"))
    with pytest.raises(LmdmError, match="NaN"):
        LISTENING.nothing().with_latents(torch.zeros(LIVE.codec.latent_channels, 3), bad)


def test_the_columns_of_harmony_change_nothing_until_they_are_trained() -> None:
    import lmdm_adapter as lmdm

    plain = listening_live()
    wider = lmdm.with_controls(plain, HARMONY_CONTROLS)
    state = plain.start(1)
    given = {HARMONY: torch.rand(HARMONY_CHANNELS, plain.spec.block_frames)}
    audio, _ = plain.step(state, "house")
    assert np.array_equal(wider.step(wider.start(1), "house", frame_controls=given)[0].samples, audio.samples)
