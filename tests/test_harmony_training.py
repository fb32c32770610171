"""Harmony in training: it is that of the accompaniment, as late as its latents, and now and then it is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from lmdm_adapter.codec_encode_stream import hold_back_frames
from lmdm_adapter.controls.accompaniment import LATENTS
from lmdm_adapter.controls.declared import HARMONY, accompaniment_controls
from lmdm_adapter.controls.harmony import HarmonyConfig, harmony
from lmdm_adapter.controls.listening import Listening
from lmdm_adapter.music import compose, mix, render
from lmdm_adapter.training.clips import LatentClip, LatentCrops
from lmdm_adapter.training.control_crops import ControlConfig, ControlCrops
from lmdm_adapter.training.control_source import SOURCES, declared_by, sources_of
from lmdm_adapter.training.song_clips import encode_songs
from tests.mode_models import HARMONY_CONTROLS, listening_live
from tests.test_control_crops import ALWAYS, BLOCK, CHANNELS, RATE_HZ

CODEC = listening_live().codec
DECLARED = (*accompaniment_controls(CHANNELS), *HARMONY_CONTROLS)


def clip() -> LatentClip:
    """Numbered frames: n + 1000 in the accompaniment's latents, n + 1001 in its harmony."""
    count = torch.arange(200.0)
    controls = {LATENTS: (count + 1000).expand(CHANNELS, -1), HARMONY: (count + 1001).expand(24, -1)}
    return LatentClip(count.expand(CHANNELS, -1), "prompt", 20.0, "clip", controls)


def drawn(config: ControlConfig) -> tuple[torch.Tensor, ...]:
    """Mask, latents and harmony of 64 rows of 40 frames, `b c n` each."""
    crops = ControlCrops(LatentCrops([clip()], batch_size=64, seed=1), DECLARED, config, block_frames=BLOCK,
                         frame_rate_hz=RATE_HZ)  # fmt: skip
    mask, latents, _, told = crops.batch(0, 40).controls.split([size for _, size in DECLARED], dim=1)
    return mask, latents, told


def test_harmony_is_as_late_as_the_latents() -> None:
    mask, latents, told = drawn(replace(ALWAYS, no_harmony=0.0, late_accompaniment=0.3))
    assert torch.equal(told[:, :1], (latents[:, :1] + 1.0) * mask) and 0.0 < float(mask.mean()) < 1.0


def test_harmony_is_left_out_by_itself() -> None:
    mask, latents, told = drawn(replace(ALWAYS, no_harmony=0.25))
    without = [row for row in range(64) if not told[row].any()]
    assert 8 <= len(without) <= 24 and all(mask[row].any() and latents[row].any() for row in without)
    assert torch.equal(mask, drawn(replace(ALWAYS, no_harmony=0.0))[0]), "nothing else is drawn anew"


def test_songs_have_the_harmony_of_their_others(tmp_path: Path) -> None:
    sources = sources_of(["accompaniment"], CODEC, SOURCES)
    clips = encode_songs(CODEC, tmp_path, [3], seconds=6.0, stems=("bass", "bass<chords", "mix"), sources=sources)
    stems = render(compose(3, seconds=6.0), CODEC.sample_rate)
    config = HarmonyConfig(CODEC.frame_samples, CODEC.sample_rate)
    for clip, names in zip(clips, (("drums", "chords", "lead"), ("chords",)), strict=False):
        whole = harmony(config, mix({name: stems[name] for name in names}))
        expected = torch.from_numpy(whole[:, : clip.frames]).half()
        assert torch.equal(clip.controls[HARMONY], expected) and expected.any()
    assert HARMONY not in clips[2].controls, "nobody accompanies a whole song"


def test_what_training_hears_is_what_players_hear(tmp_path: Path) -> None:
    """The same sound through a session's listening and through the data of a recipe."""
    sources = sources_of(["accompaniment"], CODEC, SOURCES)
    (clip,) = encode_songs(CODEC, tmp_path, [3], seconds=6.0, stems=("bass",), sources=sources)
    others = mix({name: stem for name, stem in render(compose(3, seconds=6.0), 8000).items() if name != "bass"})
    heard = Listening.of(CODEC, DECLARED).whole(others)
    until = clip.frames - hold_back_frames(CODEC)  # data end with the last whole frame, a sound does not
    for name, told in ((HARMONY, heard.harmony), (LATENTS, heard.latents)):
        assert torch.allclose(clip.controls[name].float()[:, :until], told[:, :until], rtol=2e-3, atol=1e-3)


def test_a_group_is_named_with_its_harmony_and_may_be_named_without() -> None:
    made = sources_of(["accompaniment"], CODEC, SOURCES)
    assert declared_by(["accompaniment"], made, latent_channels=CHANNELS) == DECLARED
    names = [name for name, _ in accompaniment_controls(CHANNELS)]
    assert sources_of(names, CODEC, SOURCES) == (), "models that do not hear it go on without"
    assert declared_by(names, (), latent_channels=CHANNELS) == DECLARED[:3]
