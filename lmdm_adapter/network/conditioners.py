"""Conditioners with the hosts' parameter names: what a prompt and a number become before the network sees them.

Every conditioner takes a list with one value per batch row and gives features `b m d` and a mask `b m` (bool).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_type_hints

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json, typed
from lmdm_adapter.network.text import T5Conditioner
from lmdm_adapter.network.words import HashedWordsConditioner, WordsConfig

Conditioned = dict[str, tuple[Tensor, Tensor]]
Device = torch.device | str

NUMBER_FEATURES = 256


class NumberEmbedding(nn.Module):
    """Numbers `b` in [0, 1] to learned Fourier features and their linear map `b d`.

    Keys: `embedding.0.weights`, `embedding.1.weight`, `embedding.1.bias`.
    """

    def __init__(self, output_dim: int) -> None:
        super().__init__()
        self.embedding = nn.Sequential(FourierNumber(NUMBER_FEATURES), nn.Linear(NUMBER_FEATURES + 1, output_dim))

    def forward(self, numbers: Tensor) -> Tensor:
        """`b` to `b d`."""
        return self.embedding(numbers)


class FourierNumber(nn.Module):
    """Numbers `b` to the number itself, sines and cosines at learned frequencies, `b (features + 1)`."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(features // 2))

    def forward(self, numbers: Tensor) -> Tensor:
        """`b` to `b (features + 1)`."""
        # The order of the factors is the host's: in half precision another order rounds differently.
        angles = numbers[:, None] * self.weights * 2 * math.pi
        return torch.cat([numbers[:, None], angles.sin(), angles.cos()], dim=-1)


class NumberConditioner(nn.Module):
    """One number per row, clamped to [min_val, max_val] and normalised, to one token."""

    def __init__(self, output_dim: int, *, min_val: float = 0, max_val: float = 1) -> None:
        super().__init__()
        if not min_val < max_val:
            raise LmdmError(f"A number conditioner needs min_val below max_val, got {min_val} and {max_val}.")
        self.min_val, self.max_val = min_val, max_val
        self.embedder = NumberEmbedding(output_dim)

    def forward(self, values: list[float], device: Device) -> tuple[Tensor, Tensor]:
        """Numbers to features `b 1 d` and mask `b 1`. Raises LmdmError for a value that is no finite number."""
        numbers = torch.tensor([_number(value) for value in values], device=device)
        unit = (numbers.clamp(self.min_val, self.max_val) - self.min_val) / (self.max_val - self.min_val)
        features = self.embedder(unit.to(next(self.parameters()).dtype))[:, None]
        return features, torch.ones(len(values), 1, device=device, dtype=torch.bool)


class IntConditioner(nn.Module):
    """One integer per row, clamped to [min_val, max_val], to one token; key `int_embedder.weight`.

    As in the hosts the row of a value is the value itself, not its distance from `min_val`: with a positive `min_val`
    the highest values lie outside the table and are refused.
    """

    def __init__(self, output_dim: int, *, min_val: int = 0, max_val: int = 512) -> None:
        super().__init__()
        if not 0 <= min_val < max_val:
            raise LmdmError(f"An int conditioner needs 0 <= min_val < max_val, got {min_val} and {max_val}.")
        self.min_val, self.max_val = min_val, max_val
        self.int_embedder = nn.Embedding(max_val - min_val + 1, output_dim)

    def forward(self, values: list[int], device: Device) -> tuple[Tensor, Tensor]:
        """Integers to features `b 1 d` and mask `b 1`. Raises LmdmError for a value that has no row."""
        rows = torch.tensor([self._row(value) for value in values], device=device)
        return self.int_embedder(rows)[:, None], torch.ones(len(values), 1, device=device, dtype=torch.bool)

    def _row(self, value: object) -> int:
        number = _number(value)
        if number != int(number):
            raise LmdmError(f"An int conditioner needs whole numbers, got {number}.")
        row = min(max(int(number), self.min_val), self.max_val)
        if row >= self.int_embedder.num_embeddings:
            raise LmdmError(f"The value {row} has no row in a table of {self.int_embedder.num_embeddings}.")
        return row


def _number(value: object) -> float:
    if isinstance(value, (bool, str)):
        raise LmdmError(f"A number is needed for this conditioning, got {value!r}.")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise LmdmError(f"A number is needed for this conditioning, got {value!r}.") from None
    if not math.isfinite(number):
        raise LmdmError(f"A finite number is needed for this conditioning, got {value!r}.")
    return number


def _hashed_words(output_dim: int, **config: Any) -> HashedWordsConditioner:
    return HashedWordsConditioner(output_dim, from_json(WordsConfig, config))


@dataclass(frozen=True)
class ConditionerKind:
    """How one type of conditioner is built, which settings it knows and their types, and whether hosts know it."""

    build: Callable[..., nn.Module]
    settings: Mapping[str, Any]
    known_to_hosts: bool = True


KINDS: Mapping[str, ConditionerKind] = {
    "number": ConditionerKind(NumberConditioner, {"min_val": float, "max_val": float}),
    "int": ConditionerKind(IntConditioner, {"min_val": int, "max_val": int}),
    "t5": ConditionerKind(
        T5Conditioner, {"t5_model_name": str, "max_length": int, "project_out": bool, "enable_grad": bool}
    ),
    "hashed_words": ConditionerKind(
        _hashed_words,
        get_type_hints(WordsConfig),
        known_to_hosts=False,
    ),
}


@dataclass(frozen=True)
class ConditionerConfig:
    """One entry of a host's `conditioning.configs`: an id, a type and the settings of that type.

    Raises LmdmError for a type or a setting that is not supported, naming it and what is.
    """

    id: str
    type: str
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.type not in KINDS:
            raise LmdmError(
                f"The conditioner {self.id!r} has the type {self.type!r}; supported types are {', '.join(KINDS)}."
            )
        known = {**KINDS[self.type].settings, "output_dim": int}
        for key, value in self.config.items():
            if key not in known:
                raise LmdmError(
                    f"The {self.type} conditioner {self.id!r} does not know {key!r}; "
                    f"its settings are {', '.join(sorted(known))}."
                )
            typed(value, known[key], f"{key} of the conditioner {self.id!r}")

    @property
    def known_to_hosts(self) -> bool:
        """Whether a host can build this conditioner; the others belong to the adapter."""
        return KINDS[self.type].known_to_hosts

    def to_json(self) -> dict[str, Any]:
        """The entry as a JSON object."""
        return asdict(self)


class Conditioners(nn.Module):
    """All conditioners of a model by id; keys `conditioners.<id>.*`.

    `default_keys` maps an id to the metadata key that is read where the id itself is absent.
    """

    def __init__(self, conditioners: Mapping[str, nn.Module], *, default_keys: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.conditioners = nn.ModuleDict(conditioners)
        self.default_keys = dict(default_keys or {})

    def forward(self, metadata: Sequence[Mapping[str, Any]], device: Device) -> Conditioned:
        """One mapping per batch row to `{id: (features b m d, mask b m)}`.

        Raises LmdmError for a missing value.
        """
        return {
            name: module([self._value(row, name) for row in metadata], device)
            for name, module in self.conditioners.items()
        }

    def _value(self, row: Mapping[str, Any], name: str) -> Any:
        key = name if name in row else self.default_keys.get(name, name)
        if key not in row:
            raise LmdmError(f"The model needs a value for {key!r}; given are {', '.join(map(repr, row)) or 'none'}.")
        value = row[key]
        # Collated batches wrap single values; a longer list would lose its tail without a word.
        if isinstance(value, (list, tuple)) and len(value) == 1:
            return value[0]
        return value


def build_conditioners(
    configs: Sequence[ConditionerConfig], cond_dim: int, *, default_keys: Mapping[str, str] | None = None
) -> Conditioners:
    """Freshly initialised conditioners, each giving `cond_dim` features unless its config says `output_dim`.

    Raises LmdmError for an id that is given twice.
    """
    built: dict[str, nn.Module] = {}
    for config in configs:
        if config.id in built:
            raise LmdmError(f"Two conditioners share the id {config.id!r}.")
        built[config.id] = KINDS[config.type].build(**{"output_dim": cond_dim, **config.config})
    return Conditioners(built, default_keys=default_keys)
