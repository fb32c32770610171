"""A folder of sound files as a folder of latents: resumable clip by clip, with every bad file named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.resampling import fitted
from lmdm_adapter.sound_file import read_audio
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.recordings import Found, Recording, Skipped, find_recordings, prompt_of
from lmdm_adapter.training.shards import LatentFacts
from lmdm_adapter.training.shelf import (
    INDEX_NAME,
    SKIPPED_NAME,
    IndexEntry,
    Place,
    Shelf,
    alone_in,
    require_latent_folder,
)

SHARD_MEGABYTES = 16.0


@dataclass(frozen=True)
class Encoded:
    """What came of a folder: clips in all and those made now, their seconds, files that were skipped and why.

    `others` counts files that are no sound by their suffix; `gone` are clips whose files are there no longer.
    """

    clips: int
    made: int
    seconds: float
    made_seconds: float
    gone: int
    skipped: tuple[Skipped, ...]
    others: Mapping[str, int] = field(default_factory=dict)


def encode_folder(
    codec: Codec, recordings: Path, folder: Path, *, shard_megabytes: float = SHARD_MEGABYTES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Encoded:  # fmt: skip
    """Encode what is in `recordings` and not yet in `folder`: fp16 shards, `index.json`, `skipped.json`.

    A stopped run loses at most the clip it was at, and goes on to the same bytes. Files that changed are encoded
    again; prompts are read anew every time. Two runs into one folder take turns. `progress` hears files done and files
    in all. Raises LmdmError when nothing could be encoded, and for a `folder` that holds anything else, or latents of
    another codec.
    """
    require_latent_folder(folder, recordings)
    found = find_recordings(recordings)
    if not found.recordings:
        raise LmdmError(f"{recordings} holds no sound files{_others(found)}; give a folder that does.")
    with alone_in(folder):
        shelf = Shelf(folder, LatentFacts.of(codec), shard_bytes=int(shard_megabytes * 2**20))
        return _encode_found(codec, shelf, found, progress)


@torch.inference_mode()
def encoded(codec: Codec, path: Path) -> Tensor:
    """Latents `c n` in fp16 of a sound file: whole frames, the incomplete last one cut off.

    Raises LmdmError for what cannot be read or mixed to the codec's channels, silence, and less than one frame.
    """
    audio = fitted(read_audio(path), sample_rate=codec.sample_rate, channels=codec.channels)
    frames = audio.samples.shape[1] // codec.frame_samples
    if frames == 0:
        raise LmdmError(f"{path} is too short: {audio.seconds:.3f} s are less than one frame of latents.")
    if not audio.samples.any():
        raise LmdmError(f"{path} is silent from end to end.")
    samples = torch.from_numpy(audio.samples[None, :, : frames * codec.frame_samples])
    latents = codec.encode_in_pieces(samples.to(codec.device))[0].to(device="cpu", dtype=torch.float16)
    if not torch.isfinite(latents).all():
        raise LmdmError(f"{path} has latents that do not fit into half precision.")
    return latents


def _encode_found(codec: Codec, shelf: Shelf, found: Found, progress: Callable[[int, int], None]) -> Encoded:
    known = len(shelf.places)
    prints, bad = _encode_lacking(codec, shelf, found.recordings, progress)
    shelf.close()
    clips, unnamed = _indexed(shelf, found.recordings, prints)
    skipped = sorted([*found.skipped, *bad, *unnamed], key=lambda one: one.file)
    if not clips:
        first = f"{skipped[0].file}: {skipped[0].reason}"
        raise LmdmError(f"None of {len(found.recordings)} sound files could be used; the first, {first}")
    write_json(shelf.folder / INDEX_NAME, {"facts": asdict(shelf.facts), "clips": [asdict(clip) for clip in clips]})
    write_json(shelf.folder / SKIPPED_NAME, [asdict(one) for one in skipped])
    made = [place.entry.seconds for place in list(shelf.places.values())[known:]]
    there = {recording.name for recording in found.recordings}
    return Encoded(
        clips=len(clips), made=len(made), seconds=sum(clip.seconds for clip in clips), made_seconds=sum(made),
        gone=len({file for file, _ in shelf.places} - there), skipped=tuple(skipped), others=found.others,
    )  # fmt: skip


def _encode_lacking(
    codec: Codec, shelf: Shelf, recordings: tuple[Recording, ...], progress: Callable[[int, int], None]
) -> tuple[dict[Recording, str], list[Skipped]]:
    """Put what the shelf lacks on it; the fingerprints of good files, and the bad ones."""
    prints: dict[Recording, str] = {}
    skipped: list[Skipped] = []
    for done, recording in enumerate(recordings):
        progress(done, len(recordings))
        try:
            fingerprint = recording.fingerprint()
            latents = None if (recording.name, fingerprint) in shelf.places else encoded(codec, recording.path)
        except (LmdmError, OSError) as error:
            skipped.append(Skipped(recording.name, reason(error, recording.path)))
            continue
        prints[recording] = fingerprint
        if latents is not None:
            shelf.add(recording.name, fingerprint, latents)
    progress(len(recordings), len(recordings))
    return prints, skipped


def _indexed(
    shelf: Shelf, recordings: tuple[Recording, ...], prints: Mapping[Recording, str]
) -> tuple[list[IndexEntry], list[Skipped]]:
    """The clips of the index, with their prompts as they are now, and those whose prompts cannot be read."""
    clips, skipped = [], []
    for recording in recordings:
        if recording not in prints:
            continue
        try:
            prompt = prompt_of(recording.path)
        except LmdmError as error:
            skipped.append(Skipped(recording.name, reason(error, recording.path)))
        else:
            clips.append(_entry(shelf.places[recording.name, prints[recording]], prompt))
    return clips, skipped


def _entry(place: Place, prompt: str) -> IndexEntry:
    held = place.entry
    return IndexEntry(held.file, prompt, held.seconds, held.frames, place.shard, place.number)


def reason(error: Exception, path: Path) -> str:
    """Why a file is not used, said of the file: its path is left out where the sentence begins with it."""
    text = f"{error.strerror or error}." if isinstance(error, OSError) else str(error)
    return text.removeprefix(f"{path} ")


def _others(found: Found) -> str:
    names = ", ".join(f"{count} {suffix}" for suffix, count in found.others.items())
    return f" (but {names})" if names else ""
