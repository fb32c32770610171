"""The whole evaluation, small: real music is near, spoiled music is far, a tiny model gives a report."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.evaluation import frechet, music
from lmdm_adapter.evaluation.material import Format, prompt_songs, training_sounds
from lmdm_adapter.evaluation.music import MusicPlan, evaluate_music, evaluate_sources, real_sources
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.music import HELD_OUT_SEEDS
from lmdm_adapter.network.model import Network
from lmdm_adapter.spec import BlockSpec
from tests.models import HOST_CONFIG, tiny_section
from tests.randomise import randomise

RATE = 8000


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> MusicPlan:
    """A plan that plays little; the figures are rough."""
    monkeypatch.setattr(frechet, "LEAST_WINDOWS", 50)
    return MusicPlan(windows=100, prompts=8, held_out_songs=32, training_songs=16, draws=20)


def model() -> LiveModel:
    """A tiny model with random weights at the lowest rate of songs, 62.5 frames per second."""
    config = deepcopy(HOST_CONFIG)
    config["sample_rate"] = RATE
    codec = config["model"]["pretransform"]["config"]
    codec["downsampling_ratio"] = 128
    for part in ("encoder", "decoder"):
        codec[part]["config"] |= {"strides": [8, 16], "channels": 2}
    section = tiny_section(BlockSpec(block_frames=128, context_blocks=1))
    network = Network(section.extend(network_config(config)))
    randomise(network, 0)
    return LiveModel(network.requires_grad_(False).eval(), section, config)


def test_streams_are_as_long_as_their_windows_need():
    assert MusicPlan().stream_seconds == 33.0
    assert MusicPlan(windows=1001, prompts=40).stream_seconds == 27.0


def test_a_plan_of_too_few_windows_or_too_many_prompts_is_refused():
    with pytest.raises(LmdmError, match="at least 1000 windows a side"):
        MusicPlan(windows=999)
    with pytest.raises(LmdmError, match="2 to 111 prompts, got 200"):
        MusicPlan(prompts=200)


def test_prompts_are_held_out_and_have_different_tempos():
    songs = prompt_songs(32, seconds=10.0, seed=0)
    assert len({song.tempo_bpm for song in songs}) == 32
    assert all(song.seed in HELD_OUT_SEEDS and f"{song.tempo_bpm} BPM" in song.prompt for song in songs)
    assert {song.seed for song in songs}.isdisjoint(song.seed for song in prompt_songs(32, seconds=10.0, seed=1))
    with pytest.raises(LmdmError, match="500 prompts are too many"):
        prompt_songs(500, seconds=2.0, seed=0)


def test_songs_sound_on_every_channel():
    (sound,) = training_sounds(1, Format(2.0, RATE, channels=2), seed=0)
    assert sound.samples.shape == (2, 2 * RATE) and (sound.samples[0] == sound.samples[1]).all()


def test_real_music_is_near_and_spoiled_music_is_far(small):
    small = replace(small, windows=240, prompts=24, held_out_songs=64)
    heard: list[tuple[str, int, int]] = []
    report = evaluate_sources(
        real_sources(small, 370), small, Format(small.stream_seconds, RATE),
        progress=lambda *stage: heard.append(stage),
    )  # fmt: skip
    real = report.distances["real"].value
    assert report.floor.value < real
    assert report.distances["shuffled"].value > 1.5 * real and report.distances["loop"].value > 2.0 * real
    assert report.nearest_loop < report.distances["loop"].value
    assert report.tempos["real"].matches > 0.6 > report.tempos["shuffled"].matches
    assert ("held-out songs", 64, 64) in heard and ("shuffled", 24, 24) in heard


def test_one_loop_is_the_middle_one_of_all(small, monkeypatch):
    """Half of the prompt songs' loops are nearer than the baseline and half are not."""
    heard = []
    monkeypatch.setattr(music, "frechet_distance", lambda *sides, **settings: heard.append(
        frechet.frechet_distance(*sides, **settings)) or heard[-1])  # fmt: skip
    report = evaluate_sources(real_sources(small, 370), small, Format(small.stream_seconds, RATE))
    loops = sorted(distance.value for distance in heard[: small.prompts])
    assert report.nearest_loop == loops[0] and report.distances["loop"].value == loops[small.prompts // 2]


def test_a_model_gets_figures_checks_and_a_report(small):
    report = evaluate_music(model(), small)
    assert set(report.distances) == {"real", "shuffled", "loops", "loop", "codec", "untrained", "cold", "primed"}
    assert all(distance.windows == (104, 416) for distance in report.distances.values())
    assert report.distances["cold"].value != report.distances["primed"].value
    assert len(report.checks) == 7 and not report.passed
    text = json.dumps(report.to_json(), allow_nan=False)
    assert json.loads(text)["checks"][-1]["name"] == "cold streams at the prompt's tempo"
