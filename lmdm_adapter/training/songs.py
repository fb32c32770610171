"""Procedural songs on disk, and random crops of their audio."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.music import compose, mix, render
from lmdm_adapter.spec import from_json
from lmdm_adapter.training.configs import write_json
from lmdm_adapter.training.draws import numpy_draws
from lmdm_adapter.training.files import replacing

FULL_SCALE = 32767.0


@dataclass(frozen=True)
class SongFacts:
    """What is known of a rendered song; `file` is a mono int16 .npy beside the facts."""

    seed: int
    file: str
    prompt: str
    style: str
    tempo_bpm: int
    key: str
    sample_rate: int
    samples: int


def render_songs(
    folder: Path, seeds: Iterable[int], *, seconds: float, sample_rate: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[SongFacts]:  # fmt: skip
    """Render the songs of `seeds` that are not in `folder` yet; the facts of all of them, in the order of the seeds.

    The facts of a song are written after its audio, so whatever has facts is complete: a stopped render goes on
    where it was. `progress` hears the number of songs done.
    """
    facts = []
    for done, seed in enumerate(seeds, start=1):
        facts.append(_rendered(folder, seed, seconds=seconds, sample_rate=sample_rate))
        progress(done)
    return facts


def _rendered(folder: Path, seed: int, *, seconds: float, sample_rate: int) -> SongFacts:
    path = folder / f"{seed:07d}.json"
    if path.exists():
        known = from_json(SongFacts, json.loads(path.read_text()))
        if known.sample_rate != sample_rate or known.samples < seconds * sample_rate:
            raise LmdmError(f"{folder} holds songs of another rate or length; render {seconds:g} s to a new folder.")
        return known
    song = compose(seed, seconds=seconds)
    sound = mix(render(song, sample_rate)).samples[0]
    with replacing(path.with_suffix(".npy")) as part:
        np.save(part, np.round(sound.clip(-1.0, 1.0) * FULL_SCALE).astype(np.int16))
    facts = SongFacts(
        seed=seed, file=f"{seed:07d}.npy", prompt=song.prompt, style=song.style, tempo_bpm=song.tempo_bpm,
        key=song.key, sample_rate=sample_rate, samples=len(sound),
    )  # fmt: skip
    write_json(path, asdict(facts))
    return facts


def load_song(folder: Path, facts: SongFacts) -> np.ndarray:
    """The audio of a song as a memory-mapped int16 array of shape (samples,)."""
    return np.load(folder / facts.file, mmap_mode="r")


def as_audio(sound: np.ndarray) -> Tensor:
    """int16 samples to float32 in [-1, 1], any shape."""
    return torch.from_numpy(np.asarray(sound, dtype=np.float32) / FULL_SCALE)


class AudioCrops:
    """Random crops for the codec: `batch(step)` is `b 1 s` and depends on (seed, step) alone.

    Gains differ by up to 6 dB and half of the crops are turned upside down, so that level and sign are no cue.
    """

    def __init__(
        self, folder: Path, songs: Sequence[SongFacts], *, batch_size: int, crop_samples: int, seed: int
    ) -> None:
        self.sounds = [load_song(folder, facts) for facts in songs]
        shortest = min((len(sound) for sound in self.sounds), default=0)
        if shortest < crop_samples:
            raise LmdmError(f"Crops of {crop_samples} samples do not fit the shortest song of {shortest} samples.")
        self.batch_size, self.crop_samples, self.seed = batch_size, crop_samples, seed

    def batch(self, step: int) -> Tensor:
        """The crops of one step, `b 1 s`."""
        draws = numpy_draws(self.seed, step, "audio crops")
        return torch.stack([self._crop(draws) for _ in range(self.batch_size)])[:, None]

    def _crop(self, draws: np.random.Generator) -> Tensor:
        sound = self.sounds[draws.integers(len(self.sounds))]
        start = draws.integers(len(sound) - self.crop_samples + 1)
        gain = 10.0 ** (draws.uniform(-6.0, 3.0) / 20.0) * draws.choice((-1.0, 1.0))
        return as_audio(sound[start : start + self.crop_samples]).mul(gain).clamp(-1.0, 1.0)
