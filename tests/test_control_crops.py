"""Clips carry frame controls; every row of a batch hears its accompaniment at a lag of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.controls.accompaniment import LATENTS
from lmdm_adapter.controls.declared import accompaniment_controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import compose
from lmdm_adapter.training.clips import LatentClip, LatentCrops
from lmdm_adapter.training.control_crops import ControlConfig, ControlCrops, require_held
from lmdm_adapter.training.control_source import ControlSource, declared_by, sources_of
from lmdm_adapter.training.song_clips import encode_songs
from lmdm_adapter.training.song_stems import Target, only
from tests.recordings import tiny_codec
from tests.toy import draw

CHANNELS, RATE_HZ, BLOCK = 4, 10.0, 8
DECLARED = accompaniment_controls(CHANNELS) + (("sketch_loudness", 2), ("sketch_rhythm", 1))
ALWAYS = ControlConfig(no_accompaniment=0.0, late_accompaniment=0.0, no_features=0.0, no_feature=0.0)
CODEC = replace(tiny_codec(), sample_rate=8000)  # the lowest rate of songs


def clip(number: int, frames: int = 200) -> LatentClip:
    """A clip whose frames are numbered: n in the music, n + 1000 in the accompaniment, n + 0.5 in its loudness."""
    count = torch.arange(frames).float() + 10_000.0 * number
    controls = {
        "accompaniment_latents": (count + 1000).expand(CHANNELS, -1),
        "sketch_loudness": (count + 0.5).expand(2, -1),
    }
    return LatentClip(count.expand(CHANNELS, -1), f"prompt {number}", frames / RATE_HZ, f"clip {number}", controls)


def rows(config: ControlConfig = ALWAYS, *, batch_size: int = 32, **settings: object) -> ControlCrops:
    crops = LatentCrops([clip(number) for number in range(3)], batch_size=batch_size, seed=5)
    return ControlCrops(crops, DECLARED, config, block_frames=BLOCK, frame_rate_hz=RATE_HZ, **settings)


def parts(controls: Tensor) -> dict[str, Tensor]:
    return dict(zip((name for name, _ in DECLARED), controls.split([c for _, c in DECLARED], dim=1), strict=True))


def test_a_crop_of_a_clip_takes_its_controls_along() -> None:
    crop = clip(0).crop(7, 20, draws=np.random.default_rng(0))
    assert torch.equal(crop.controls["sketch_loudness"][0], crop.latents[0] + 0.5)
    again = crop.crop(3, 5, draws=np.random.default_rng(0))
    assert torch.equal(again.controls["accompaniment_latents"], again.latents + 1000)


def test_batches_are_those_without_controls_and_repeat() -> None:
    plain, source = LatentCrops([clip(n) for n in range(3)], batch_size=32, seed=5), rows()
    one, other = source.batch(3, 40), source.batch(3, 40)
    assert torch.equal(one.latents, plain.batch(3, 40).latents) and one.prompts == plain.batch(3, 40).prompts
    assert torch.equal(one.controls, other.controls) and not torch.equal(one.controls, source.batch(4, 40).controls)
    assert one.controls.shape == one.aligned.shape == (32, sum(channels for _, channels in DECLARED), 40)


def test_some_rows_may_hear_the_accompaniment_aligned() -> None:
    batch = rows(replace(ALWAYS, visibility_seconds=(-2.0, 0.0), aligned=0.5), batch_size=400).batch(0, 40)
    late = parts(batch.controls)["accompaniment_lag"].amax(dim=(1, 2)) > 0
    assert 0.4 < late.float().mean() < 0.6
    assert torch.equal(batch.controls[~late], batch.aligned[~late])
    with pytest.raises(LmdmError, match="Shares"):
        replace(ALWAYS, aligned=1.5)


def test_the_accompaniment_is_carried_late_and_what_is_before_the_crop_is_heard() -> None:
    batch = rows().batch(0, 40)
    own, aligned = parts(batch.controls), parts(batch.aligned)
    lags = set()
    for row in range(32):
        there = own["accompaniment_mask"][row, 0] == 1
        assert there.any()
        lag_seconds = own["accompaniment_lag"][row, 0][there].unique()
        lag = round(float(lag_seconds) * RATE_HZ)
        lags.add(lag)
        expected = batch.latents[row, :, there] + 1000 - lag
        assert torch.equal(own["accompaniment_latents"][row][:, there], expected)
        first, missing = int(batch.latents[row, 0, 0]) % 10_000, ~there
        outside = (first + torch.arange(40) - lag < 0) | (first + torch.arange(40) - lag >= 200)
        assert torch.equal(missing, outside) and not own["accompaniment_latents"][row][:, missing].any()
    assert min(lags) >= BLOCK - 20 and max(lags) <= BLOCK + 20 and len(lags) > 10, "from 2 s ahead to 2 s behind"
    assert aligned["accompaniment_mask"].all() and not aligned["accompaniment_lag"].any()
    assert torch.equal(aligned["accompaniment_latents"], batch.latents + 1000)


def test_features_stay_where_they_are_and_what_a_clip_lacks_is_not_there() -> None:
    batch = rows().batch(0, 40)
    own, aligned = parts(batch.controls), parts(batch.aligned)
    assert torch.equal(own["sketch_loudness"], (batch.latents[:, :1] + 0.5).expand(-1, 2, -1))
    assert torch.equal(own["sketch_loudness"], aligned["sketch_loudness"]) and not own["sketch_rhythm"].any()


def test_shares_of_what_is_left_out() -> None:
    config = ControlConfig(
        no_accompaniment=0.2, late_accompaniment=0.3, no_features=0.2, no_feature=0.25, visibility_seconds=(0.8, 0.8)
    )
    source, absent, late, silent, total = rows(config, batch_size=50), 0, 0, 0, 0
    for step in range(12):
        batch = source.batch(step, 40)
        own, aligned = parts(batch.controls), parts(batch.aligned)
        mask = own["accompaniment_mask"][:, 0]
        absent += int((mask.sum(1) == 0).sum())
        late += int(((mask[:, 0] == 0) & (mask.sum(1) > 0)).sum())
        silent += int((own["sketch_loudness"].abs().sum((1, 2)) == 0).sum())
        assert torch.equal(mask, aligned["accompaniment_mask"][:, 0]), "the visibility is the block: no lag"
        assert (mask.diff(dim=1) >= 0).all(), "once it is there it stays"
        total += len(mask)
    shares = [count / total for count in (absent, late, silent)]
    assert shares == pytest.approx([0.2, 0.3, 0.4], abs=0.06)


def test_a_source_may_loosen_what_it_made() -> None:
    def loosen(controls: dict[str, Tensor], draws: np.random.Generator) -> dict[str, Tensor]:
        return {"sketch_loudness": controls["sketch_loudness"] + draws.integers(1, 9)}

    source = ControlSource((("sketch_loudness", 2),), lambda audio: {}, loosen)
    tight, loose = (parts(rows(sources=each).batch(0, 40).controls) for each in ((), (source,)))
    moved = loose["sketch_loudness"] - tight["sketch_loudness"]
    assert moved.min() >= 1 and len(moved.unique()) > 3 and torch.equal(moved, moved[:, :1, :1].expand_as(moved))
    assert torch.equal(tight["accompaniment_latents"], loose["accompaniment_latents"])


def test_controls_that_no_clip_has_cannot_be_trained() -> None:
    clips = [clip(0), clip(1)]
    require_held(clips, accompaniment_controls(CHANNELS) + (("sketch_loudness", 2),))
    with pytest.raises(LmdmError, match="None of 2 clips has the frame control 'sketch_rhythm'"):
        require_held(clips, (("sketch_rhythm", 1),))
    bare = [LatentClip(draw(4, 40), "p", 4.0, "c")]
    with pytest.raises(LmdmError, match="'accompaniment_mask'"):
        require_held(bare, accompaniment_controls(CHANNELS))


def test_a_model_without_controls_gets_none() -> None:
    crops = LatentCrops([clip(0)], batch_size=2, seed=0)
    batch = ControlCrops(crops, (), ALWAYS, block_frames=BLOCK, frame_rate_hz=RATE_HZ).batch(0, 10)
    assert batch.controls is None and batch.aligned is None and batch.latents.shape == (2, CHANNELS, 10)


@pytest.mark.parametrize(
    "settings", [{"visibility_seconds": (2.0, -2.0)}, {"no_accompaniment": 0.9, "late_accompaniment": 0.2},
                 {"no_feature": 1.5}, {"no_features": -0.1}, {"visibility_seconds": (float("nan"), 0.0)}],
)  # fmt: skip
def test_shares_and_ranges_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(LmdmError):
        ControlConfig(**settings)


def loud(audio: Audio) -> dict[str, np.ndarray]:
    """A feature by hand: the mean size of each frame's samples, and presence."""
    whole = audio.samples.shape[1] // CODEC.frame_samples
    size = np.abs(audio.samples[0, : whole * CODEC.frame_samples]).reshape(whole, -1).mean(1)
    return {"sketch_loudness": np.stack([np.ones_like(size), size])}


LOUD = ControlSource((("sketch_loudness", 2),), loud)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stems")


def test_stems_become_clips_with_the_others_as_accompaniment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"seconds": 2.0, "stems": ("bass", "drums+chords"), "sources": (LOUD,)}
    clips = encode_songs(CODEC, folder, range(2), **settings)
    assert {each.name.partition(", ")[2] for each in clips} <= {"bass", "drums+chords"} and len(clips) >= 3
    for each in clips:
        assert set(each.controls) == {"accompaniment_latents", "sketch_loudness"}
        assert all(value.shape[1] == each.frames for value in each.controls.values())
        assert not torch.equal(each.latents, each.controls["accompaniment_latents"])
        piece = each.crop(1, each.frames - 2, draws=np.random.default_rng(0))
        assert torch.equal(piece.controls["sketch_loudness"], each.controls["sketch_loudness"][:, 1:-1].float())
    monkeypatch.setattr("lmdm_adapter.training.song_clips.render", None)  # nothing is rendered twice
    again = encode_songs(CODEC, folder, range(2), **settings)
    assert [each.name for each in again] == [each.name for each in clips]
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(again, clips, strict=True))
    with pytest.raises(LmdmError, match="other stems or features"):
        encode_songs(CODEC, folder, range(1), seconds=2.0, stems=("bass",))


def test_the_whole_song_among_stems_plays_alone(folder: Path) -> None:
    settings = {"seconds": 2.0, "sources": (LOUD,)}
    clips = encode_songs(CODEC, folder / "both", range(2), stems=("mix", "bass"), **settings)
    alone = encode_songs(CODEC, folder / "alone", range(2), **settings)
    whole = [each for each in clips if each.target is None]
    assert len(clips) > len(whole) == 2 and all(set(each.controls) == {"sketch_loudness"} for each in whole)
    assert all(torch.equal(mine.latents, each.latents) for mine, each in zip(whole, alone, strict=True))
    with pytest.raises(LmdmError, match="trained once, got mix, mix"):
        encode_songs(CODEC, folder / "twice", range(1), stems=("mix", "mix"), seconds=2.0)


def test_the_prompt_of_a_stem_names_no_other() -> None:
    song = compose(3, seconds=8.0)
    part = only(song, ("bass",))
    assert part.stems["bass"] == song.stems["bass"] and not part.stems["drums"].notes
    assert Target("bass").sounds_in(song) and not Target("drums").sounds_in(part)


def test_a_target_may_name_who_accompanies(folder: Path) -> None:
    stems, settings = ("bass", "bass<chords", "chords<bass"), {"seconds": 4.0, "sources": (LOUD,)}
    clips = {each.target.name: each for each in encode_songs(CODEC, folder / "named", [3], stems=stems, **settings)}
    assert list(clips) == list(stems) and Target("drums+bass<chords").others == ("chords",)
    by_all, by_chords, of_chords = (clips[name] for name in stems)
    assert torch.equal(by_all.latents, by_chords.latents)
    assert torch.equal(by_all.controls["sketch_loudness"], by_chords.controls["sketch_loudness"])
    assert torch.equal(by_chords.controls[LATENTS], of_chords.latents)
    assert not torch.equal(by_all.controls[LATENTS], by_chords.controls[LATENTS])


@pytest.mark.parametrize("name", ["tuba", "bass+bass", "drums+bass+chords+lead", "", "bass<", "bass<bass", "<bass"])
def test_targets_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(LmdmError, match="stems"):
        Target(name)


def test_names_of_groups_become_declared_controls() -> None:
    made = sources_of(("accompaniment", "sketch_loudness"), CODEC, {"sketch": lambda codec, sketch: LOUD})
    assert made == (LOUD,)
    assert declared_by(("sketch", "accompaniment"), made, latent_channels=2) == (
        *accompaniment_controls(2), ("sketch_loudness", 2),
    )  # fmt: skip
    with pytest.raises(LmdmError, match="no frame control 'sketch' here; there is accompaniment_mask"):
        declared_by(("sketch",), (), latent_channels=2)


def test_features_that_are_not_as_declared_are_refused() -> None:
    sound = Audio(np.zeros((1, 8 * CODEC.frame_samples)), CODEC.sample_rate)
    assert LOUD.of(sound, frames=6)["sketch_loudness"].shape == (2, 6)
    for bad in ({}, {"sketch_loudness": np.zeros((1, 8))}, {"sketch_loudness": np.zeros((2, 5))},
                {"sketch_loudness": np.full((2, 8), np.nan)}):  # fmt: skip
        with pytest.raises(LmdmError, match="sketch_loudness"):
            ControlSource((("sketch_loudness", 2),), lambda audio, bad=bad: bad).of(sound, frames=6)
