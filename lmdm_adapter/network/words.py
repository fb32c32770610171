"""A small text conditioner that needs no downloads: declared words and numbers, nothing else.

Prompts of procedural songs are lists of known words and one tempo. The words a model was trained with are declared;
everything else in a prompt is dropped, so that "a dusty house beat please" is exactly "house beat" to a model that
knows only those two. Were unknown words hashed as well, each would carry the meaning of whatever word shares its row.
"""

from __future__ import annotations

import logging
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError

log = logging.getLogger(__name__)

PROBES = 2
HARMONICS = (0.5, 1.0, 2.0, 4.0, 8.0)
_PIECE = re.compile(r"[^\W_]+(?:\.\d+)?#?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_GLUED_UNIT = re.compile(r"(?<=\d)(?=bpm\b)")


@dataclass(frozen=True)
class WordsConfig:
    """Settings of `HashedWordsConditioner`.

    `vocabulary` holds words or phrases ("house", "a minor", "four on the floor"); the longest match wins. A number
    counts only between `number_min` and `number_max` (beats per minute): "808" or "90s" are not tempos.
    """

    vocabulary: tuple[str, ...]
    buckets: int = 1024
    max_words: int = 24
    number_min: float = 40.0
    number_max: float = 240.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))
        for name in ("buckets", "max_words"):
            if getattr(self, name) < 1:
                raise LmdmError(f"A hashed_words conditioner needs {name} of at least 1, got {getattr(self, name)}.")
        if not self.number_min < self.number_max:
            raise LmdmError(f"number_min {self.number_min} must lie below number_max {self.number_max}.")
        for entry in self.vocabulary:
            if not isinstance(entry, str) or not split_words(entry):
                raise LmdmError(f"The vocabulary entry {entry!r} is not a word or phrase.")


def split_words(text: str) -> tuple[str, ...]:
    """Lower-case pieces of a prompt: letters and digits, decimals ("92.5") and sharps ("f#") kept whole."""
    return tuple(_PIECE.findall(_GLUED_UNIT.sub(" ", text.lower())))


def word_rows(word: str, buckets: int) -> tuple[int, ...]:
    """The `PROBES` rows of a word or phrase; the same in every process, on every machine, in every release."""
    return tuple(zlib.crc32(f"{probe}:{word}".encode()) % buckets for probe in range(PROBES))


def read_prompt(text: str, config: WordsConfig) -> tuple[str | float, ...]:
    """The known words (str) and tempos (float, in BPM) of a prompt, in its order; the rest is dropped."""
    phrases = {split_words(entry) for entry in config.vocabulary}
    return tuple(_read(split_words(text), phrases, config))


def _read(pieces: tuple[str, ...], phrases: set[tuple[str, ...]], config: WordsConfig) -> Iterator[str | float]:
    longest = max(map(len, phrases), default=0)
    position = 0
    while position < len(pieces):
        spans = (pieces[position : position + length] for length in range(longest, 0, -1))
        phrase = next((span for span in spans if span in phrases), None)
        if phrase:
            yield " ".join(phrase)
        elif (number := _number(pieces[position], config)) is not None:
            yield number
        position += len(phrase) if phrase else 1


def _number(piece: str, config: WordsConfig) -> float | None:
    value = float(piece) if _NUMBER.fullmatch(piece) else math.nan
    return value if config.number_min <= value <= config.number_max else None


class HashedWordsConditioner(nn.Module):
    """Text to `max_words` tokens: a hashed learned embedding per known word, and numbers by their value.

    Each word is the sum of `PROBES` rows, so that two words share an embedding only when they share all rows. Numbers
    are embedded by smooth Fourier features of the value: neighbouring tempos are near each other, and tempos that
    were never seen in training lie between those that were. Parameters: `words.weight`, `number.weight`, `number.bias`.
    """

    def __init__(self, output_dim: int, config: WordsConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.buckets, output_dim)
        self.number = nn.Linear(1 + 2 * len(HARMONICS), output_dim)

    def forward(self, values: list[str], device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Prompts to features `b m d` and mask `b m` (True where a token is); padding is zero in both.

        Raises LmdmError for a value that is no text.
        """
        rows = [self._tokens(value) for value in values]
        shape = (len(rows), self.config.max_words)
        features = torch.zeros(*shape, self.words.embedding_dim, device=device, dtype=self.words.weight.dtype)
        mask = torch.zeros(shape, device=device, dtype=torch.bool)
        for row, tokens in enumerate(rows):
            if tokens:
                features[row, : len(tokens)] = torch.stack([self._embed(token, device) for token in tokens])
                mask[row, : len(tokens)] = True
        return features, mask

    def _tokens(self, value: object) -> tuple[str | float, ...]:
        if not isinstance(value, str):
            raise LmdmError(f"A prompt must be text, got {value!r}.")
        tokens = read_prompt(value, self.config)
        if len(tokens) > self.config.max_words:
            log.warning("The prompt has %d known words; only the first %d count.", len(tokens), self.config.max_words)
        return tokens[: self.config.max_words]

    def _embed(self, token: str | float, device: torch.device | str) -> Tensor:
        if isinstance(token, str):
            rows = torch.tensor(word_rows(token, self.config.buckets), device=device)
            return self.words(rows).sum(0) / math.sqrt(PROBES)
        low, high = self.config.number_min, self.config.number_max
        place = torch.tensor((token - low) / (high - low), device=device)
        angles = 2 * math.pi * place * torch.tensor(HARMONICS, device=device)
        return self.number(torch.cat([place[None], angles.sin(), angles.cos()]).to(self.number.weight.dtype))
