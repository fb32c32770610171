"""Configs in the reference's format are read strictly: what is missing or of another type is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.reference import is_reference, reference_config, reference_spec
from tests.test_config_values import STRANGE_VALUES, places, swapped

PATH = Path(__file__).parent / "vectors" / "reference_accompaniment" / "model_config.json"
BLOCKS = ("training", "inpainting", "mask_kwargs")


def config() -> dict[str, Any]:
    """A fresh copy of a reference config."""
    return json.loads(PATH.read_text())


@pytest.mark.parametrize("value", STRANGE_VALUES, ids=repr)
def test_what_has_no_diffusion_section_is_no_reference(value: object) -> None:
    assert is_reference(config())
    for path in (("model",), ("model", "diffusion")):
        assert not is_reference(swapped(config(), path, value))


@pytest.mark.parametrize("read", [reference_config, reference_spec])
def test_no_swapped_value_gives_anything_but_a_sentence(read: Callable[[dict[str, Any]], object]) -> None:
    refused = 0
    for path in places(config()):
        for value in STRANGE_VALUES:
            try:
                read(swapped(config(), path, value))
            except LmdmError:
                refused += 1
            except Exception as error:  # noqa: BLE001 - the point of the test is that there is no other
                pytest.fail(f"{'.'.join(map(str, path))} = {value!r} gives {type(error).__name__}: {error}")
    assert refused > 30


@pytest.mark.parametrize("key", ["block_causal_chunk_size", "block_causal_window_chunks"])
@pytest.mark.parametrize("value", [None, "x", 0])
def test_impossible_blocks_are_refused(key: str, value: object) -> None:
    with pytest.raises(LmdmError):
        reference_spec(swapped(config(), (*BLOCKS, key), value))


@pytest.mark.parametrize(
    ("read", "path"),
    [(reference_config, ("model", "diffusion", "config")),
     (reference_config, ("model", "diffusion", "config", "input_add_dims")),
     (reference_spec, ("training",)), (reference_spec, BLOCKS), (reference_spec, (*BLOCKS, "block_causal_chunk_size"))],
    ids=lambda value: value[-1] if isinstance(value, tuple) else value.__name__,
)  # fmt: skip
def test_what_is_missing_is_named(read: Callable[[dict[str, Any]], object], path: tuple[str, ...]) -> None:
    broken = config()
    place = broken
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    with pytest.raises(LmdmError, match=f"misses .*{path[-1]}"):
        read(broken)


def test_reading_leaves_the_config_alone() -> None:
    read = config()
    reference_config(read)
    reference_spec(read)
    assert read == config()
