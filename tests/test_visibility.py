"""A visibility in seconds is one number of frames: in play, in training and where playing along is measured."""

from __future__ import annotations

import pytest
import torch

from lmdm_adapter.controls.accompaniment import LAG, Heard, lag_frames_of, visible_frames_of
from lmdm_adapter.evaluation.jam import heard_late
from lmdm_adapter.session.jam_mode import JamTiming, visible_frames
from lmdm_adapter.session.maker import facts_of
from lmdm_adapter.training.clips import LatentClip, LatentCrops
from lmdm_adapter.training.control_crops import ControlConfig, ControlCrops
from tests.mode_models import ACCOMPANIMENT, SPEC, listening_live
from tests.models import LATENT_CHANNELS

STABLE_HZ = 44_100 / 2048


@pytest.mark.parametrize(
    ("frames", "whole"),
    [(2.0, 2), (2.9, 2), (0.9, 0), (0.0, 0), (-0.1, -1), (-1.0, -1), (-1.9, -2)],
)  # fmt: skip
def test_a_frame_that_is_known_in_part_is_not_known(frames: float, whole: int) -> None:
    assert visible_frames_of(frames / STABLE_HZ, STABLE_HZ) == whole


def test_seconds_that_are_written_to_the_millisecond_mean_whole_frames() -> None:
    """However a number of frames is rounded to milliseconds; a millisecond less is a frame less."""
    for rate_hz in (STABLE_HZ, 125.0):
        for frames in range(-100, 101):
            seconds = frames / rate_hz
            assert visible_frames_of(seconds, rate_hz) == visible_frames_of(round(seconds, 3), rate_hz) == frames
            assert visible_frames_of(seconds - 0.001, rate_hz) == frames - 1


@pytest.mark.parametrize("frames", [5.7, 1.6, 0.6, -0.4, -1.3, -3.4])
def test_play_training_and_evaluation_hear_equally_late(frames: float) -> None:
    live = listening_live(steps=1)
    rate_hz, block = live.codec.frame_rate_hz, SPEC.block_frames
    seconds, latents = frames / rate_hz, torch.randn(LATENT_CHANNELS, 60)
    expected = lag_frames_of(block, visible_frames_of(seconds, rate_hz))
    assert expected != lag_frames_of(block, round(frames)), "the nearest frame is another one"

    timing = JamTiming(block, visible_frames(seconds, facts_of(live)), hop_frames=1, look_ahead_frames=0, known=True)
    assert timing.lag_frames == expected
    (measured,) = heard_late([Heard(latents)], live, seconds)(0, 40)
    clip = LatentClip(latents, "house", 60 / rate_hz, "clip", {"accompaniment_latents": latents})
    config = ControlConfig((seconds, seconds), no_accompaniment=0.0, late_accompaniment=0.0)
    crops = ControlCrops(
        LatentCrops([clip], batch_size=1, seed=0), ACCOMPANIMENT, config, block_frames=block, frame_rate_hz=rate_hz
    )  # fmt: skip
    for lag in (measured[LAG], crops.batch(0, 40).controls[0, -1:]):
        assert float(lag.max()) * rate_hz == pytest.approx(expected)
