"""Sound files to latents: the codec's own, resumable to the byte, and every bad file named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import fitted
from lmdm_adapter.sound_file import read_audio
from lmdm_adapter.training import encoding
from lmdm_adapter.training.encoding import encode_folder
from lmdm_adapter.training.latent_folder import read_latents
from lmdm_adapter.training.recordings import Recording
from lmdm_adapter.training.shelf import alone_in
from tests.models import SAMPLE_RATE
from tests.recordings import contents, tiny_codec, write_bad_files, write_library, write_sound

CODEC = tiny_codec()
SMALL = {"shard_megabytes": 800 / 2**20}
"""Shards of 800 bytes: two clips of 40 frames of 4 channels in fp16."""


def whole(clip: object) -> torch.Tensor:
    """All latents of a clip."""
    return clip.crop(0, clip.frames, draws=np.random.default_rng(0)).latents  # type: ignore[attr-defined]


def stop_at(count: int) -> Callable[[int, int], None]:
    """A progress callback that ends a run as Ctrl-C does, before file number `count`."""

    def progress(done: int, total: int) -> None:
        if done == count:
            raise KeyboardInterrupt

    return progress


def test_latents_are_the_codecs_own(tmp_path: Path) -> None:
    library = write_library(tmp_path / "music")
    result = encode_folder(CODEC, library, tmp_path / "latents", **SMALL)
    clips = read_latents(tmp_path / "latents", CODEC)
    assert (result.clips, result.made, result.gone, result.skipped) == (5, 5, 0, ())
    assert [clip.name for clip in clips] == sorted(clip.name for clip in clips)
    for clip in clips:
        audio = fitted(read_audio(library / clip.name), sample_rate=SAMPLE_RATE, channels=1)
        samples = torch.from_numpy(audio.samples[None, :, : clip.frames * CODEC.frame_samples])
        with torch.no_grad():
            expected = CODEC.encode(samples)[0]
        assert torch.allclose(whole(clip), expected, atol=1e-3 * float(expected.abs().max()))
        assert clip.seconds == pytest.approx(clip.frames / CODEC.frame_rate_hz, abs=1e-3)
    assert not torch.allclose(whole(clips[0]), whole(clips[1])[:, : clips[0].frames], atol=0.1)
    assert sum(clip.seconds for clip in clips) == pytest.approx(result.seconds)


@pytest.mark.parametrize("stopped", [1, 2, 3, 4, 5])
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path: Path, stopped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loses no clip that was done, in the middle of a shard or at its end."""
    library = write_library(tmp_path / "music")
    encode_folder(CODEC, library, tmp_path / "whole", **SMALL)
    with pytest.raises(KeyboardInterrupt):
        encode_folder(CODEC, library, tmp_path / "parts", progress=stop_at(stopped), **SMALL)
    assert not (tmp_path / "parts" / "index.json").exists()
    calls: list[Path] = []
    plain = encoding.encoded
    monkeypatch.setattr(encoding, "encoded", lambda codec, path: calls.append(path) or plain(codec, path))
    result = encode_folder(CODEC, library, tmp_path / "parts", **SMALL)
    assert len(calls) == result.made == 5 - stopped and result.clips == 5
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert len(list((tmp_path / "whole").glob("*.safetensors"))) == 3


def test_a_run_killed_between_a_shard_and_its_tidying_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = write_library(tmp_path / "music")
    encode_folder(CODEC, library, tmp_path / "whole", **SMALL)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("lmdm_adapter.training.shelf.shutil.rmtree", killed)
        encode_folder(CODEC, library, tmp_path / "parts", **SMALL)
    assert (tmp_path / "parts" / "pending").exists()
    encode_folder(CODEC, library, tmp_path / "parts", **SMALL)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_second_run_encodes_nothing_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = write_library(tmp_path / "music")
    encode_folder(CODEC, library, tmp_path / "latents", **SMALL)
    before = contents(tmp_path / "latents")
    monkeypatch.setattr(encoding, "encoded", None)
    assert encode_folder(CODEC, library, tmp_path / "latents", **SMALL).made == 0
    assert contents(tmp_path / "latents") == before


def test_what_changed_is_encoded_again_and_what_is_gone_is_left_out(tmp_path: Path) -> None:
    library = write_library(tmp_path / "music", 3)
    encode_folder(CODEC, library, tmp_path / "latents")
    names = [clip.name for clip in read_latents(tmp_path / "latents", CODEC)]
    write_sound(library / names[0], 40, seed=77)
    (library / names[1]).unlink()
    write_sound(library / "new.wav", 50)
    result = encode_folder(CODEC, library, tmp_path / "latents")
    clips = {clip.name: clip for clip in read_latents(tmp_path / "latents", CODEC)}
    assert (result.clips, result.made, result.gone) == (3, 2, 1)
    assert clips.keys() == {names[0], names[2], "new.wav"}
    with torch.no_grad():
        expected = CODEC.encode(torch.from_numpy(read_audio(library / names[0]).samples)[None])[0]
    assert torch.allclose(whole(clips[names[0]]), expected, atol=5e-3)


def test_bad_files_are_listed_with_the_reason_and_the_others_encoded(tmp_path: Path) -> None:
    write_sound(tmp_path / "music" / "good.wav")
    reasons = write_bad_files(tmp_path / "music" / "bad")
    (tmp_path / "music" / "cover.jpg").write_bytes(b"picture")
    (tmp_path / "music" / "loop").symlink_to(tmp_path / "music")
    result = encode_folder(CODEC, tmp_path / "music", tmp_path / "latents")
    told = {one.file: one.reason for one in result.skipped}
    assert told.keys() == {f"bad/{name}" for name in reasons} | {"loop"}
    for name, words in reasons.items():
        assert words in told[f"bad/{name}"], told
    assert json.loads((tmp_path / "latents" / "skipped.json").read_text()) == [
        {"file": file, "reason": reason} for file, reason in told.items()
    ]
    assert [clip.name for clip in read_latents(tmp_path / "latents", CODEC)] == ["good.wav"]
    assert result.others == {".jpg": 1}


def test_a_file_that_was_bad_is_tried_again(tmp_path: Path) -> None:
    write_sound(tmp_path / "music" / "a.wav")
    (tmp_path / "music" / "b.wav").write_text("not yet")
    assert len(encode_folder(CODEC, tmp_path / "music", tmp_path / "latents").skipped) == 1
    write_sound(tmp_path / "music" / "b.wav", seed=1)
    result = encode_folder(CODEC, tmp_path / "music", tmp_path / "latents")
    assert (result.clips, result.made, result.skipped) == (2, 1, ())


def test_nothing_good_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    write_bad_files(tmp_path / "music")
    with pytest.raises(LmdmError, match=r"None of 8 sound files .* described\.wav: .*prompt"):
        encode_folder(CODEC, tmp_path / "music", tmp_path / "latents")


def test_latents_of_another_codec_are_not_mixed_in(tmp_path: Path) -> None:
    library = write_library(tmp_path / "music", 2)
    encode_folder(CODEC, library, tmp_path / "latents")
    before = contents(tmp_path / "latents")
    with pytest.raises(LmdmError, match="another codec"):
        encode_folder(tiny_codec(1), library, tmp_path / "latents")
    assert contents(tmp_path / "latents") == before


def test_prompts_come_from_texts_beside_else_from_the_name(tmp_path: Path) -> None:
    library = write_library(tmp_path / "music", 3)
    (library / "first" / "01_warm-house.txt").write_text("  dusty\nboom-bap, 92 BPM ")
    (library / "first" / "02_warm-house.json").write_text('{"prompt": "slap bass", "tempo": 92}')
    (library / "first" / "02_warm-house.txt").write_text("not this one")
    encode_folder(CODEC, library, tmp_path / "latents")

    def prompts() -> list[str]:
        clips = read_latents(tmp_path / "latents", CODEC)
        return [clip.crop(0, 3, draws=np.random.default_rng(0)).prompt for clip in clips]

    assert prompts() == ["warm house", "dusty boom-bap, 92 BPM", "slap bass"]
    (library / "first" / "01_warm-house.txt").write_text("punk")
    assert encode_folder(CODEC, library, tmp_path / "latents").made == 0
    assert prompts() == ["warm house", "punk", "slap bass"]


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes are a matter of POSIX")
def test_file_names_of_any_bytes(tmp_path: Path) -> None:
    music = tmp_path / "music"
    write_sound(music / "plain.wav")
    try:
        os.rename(os.fsencode(music / "plain.wav"), os.fsencode(music) + b"/caf\xe9 \xff.wav")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    encode_folder(CODEC, music, tmp_path / "latents")
    assert [os.fsencode(clip.name) for clip in read_latents(tmp_path / "latents", CODEC)] == [b"caf\xe9 \xff.wav"]


def test_two_runs_into_one_folder_take_turns(tmp_path: Path) -> None:
    """As the processes of one training do: the second finds everything done."""
    library = write_library(tmp_path / "music")
    made: list[int] = []
    second = Thread(target=lambda: made.append(encode_folder(CODEC, library, tmp_path / "latents").made), daemon=True)
    with alone_in(tmp_path / "latents"):
        second.start()
        second.join(0.3)
        assert second.is_alive() and not (tmp_path / "latents" / "index.json").exists()
    second.join(30)
    assert made == [5] and encode_folder(CODEC, library, tmp_path / "latents").made == 0


@pytest.mark.parametrize("place", [0, 199_999])
def test_a_fingerprint_sees_both_ends_of_a_file(tmp_path: Path, place: int) -> None:
    data = bytearray(200_000)
    (tmp_path / "a.wav").write_bytes(data)
    before = Recording(tmp_path / "a.wav", "a.wav").fingerprint()
    assert Recording(tmp_path / "a.wav", "other").fingerprint() == before
    data[place] ^= 1
    (tmp_path / "a.wav").write_bytes(data)
    assert Recording(tmp_path / "a.wav", "a.wav").fingerprint() != before


def test_latents_beyond_half_precision_are_a_bad_file(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav")
    assert encoding.encoded(CODEC, tmp_path / "a.wav").isfinite().all()
    with pytest.raises(LmdmError, match=r"a\.wav has latents that do not fit"):
        encoding.encoded(replace(CODEC, scale=1e-7), tmp_path / "a.wav")
