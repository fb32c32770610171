"""Configs are read strictly: a value of another type, or a missing key, is named in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.network.model import Network
from lmdm_adapter.section import LmdmSection
from lmdm_adapter.spec import MAX_FRAMES, BlockSpec
from tests.models import host_config, tiny_section

STRANGE_VALUES = (None, "words", -1, 0, 2.5, True, [], {}, [None], float("nan"))


@dataclass(frozen=True)
class Example:
    count: int
    rate_hz: float = 1.0
    names: tuple[str, ...] = ()
    pairs: tuple[tuple[str, int], ...] = ()
    kind: Literal["a", "b"] = "a"
    limit: int | None = None


def test_good_values_are_taken_and_lists_become_tuples() -> None:
    read = from_json(Example, {"count": 3, "rate_hz": 2, "names": ["x"], "pairs": [["y", 1]], "kind": "b"})
    assert read == Example(3, 2, ("x",), (("y", 1),), "b")


@pytest.mark.parametrize(
    ("values", "says"),
    [({}, "misses 'count'"), ({"count": "3"}, "whole number"), ({"count": True}, "whole number"),
     ({"count": 1, "rate_hz": None}, "a number"), ({"count": 1, "names": "x"}, "a list"),
     ({"count": 1, "pairs": [["y"]]}, "a list"), ({"count": 1, "kind": "c"}, "one of a, b"),
     ({"count": 1, "colour": 2}, "'colour'"), ([1], "JSON object")],
)  # fmt: skip
def test_bad_values_are_named(values: Any, says: str) -> None:
    with pytest.raises(LmdmError, match=says):
        from_json(Example, values)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def swapped(config: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = deepcopy(config)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def test_no_swapped_value_gives_anything_but_a_sentence() -> None:
    """Every value of a live model's config, replaced by every strange one: built, or refused with LmdmError."""
    config = {**host_config(), "lmdm": tiny_section().to_json()}
    refused = 0
    for path in places(config):
        for value in STRANGE_VALUES:
            changed = swapped(config, path, value)
            try:
                Network(LmdmSection.read(changed).extend(network_config(changed)))
            except LmdmError:
                refused += 1
            except Exception as error:  # noqa: BLE001 - the point of the test is that there is no other
                pytest.fail(f"{'.'.join(map(str, path))} = {value!r} gives {type(error).__name__}: {error}")
    assert refused > 500


def test_every_missing_key_is_fine_or_named() -> None:
    config = {**host_config(), "lmdm": tiny_section().to_json()}
    for path in places(config):
        if isinstance(path[-1], str):
            changed = swapped(config, path, None)
            place = changed
            for key in path[:-1]:
                place = place[key]
            del place[path[-1]]
            try:
                Network(LmdmSection.read(changed).extend(network_config(changed)))
            except LmdmError:
                continue
            except Exception as error:  # noqa: BLE001
                pytest.fail(f"without {'.'.join(map(str, path))}: {type(error).__name__}: {error}")


def test_blocks_and_distances_have_a_largest_size() -> None:
    assert BlockSpec(2**10, 2**10, prefix_distance_frames=2**20).context_frames == MAX_FRAMES
    for bad in ({"block_frames": 10**9}, {"context_blocks": 10**9}, {"prefix_distance_frames": 2**20 + 1}):
        with pytest.raises(LmdmError, match=f"{next(iter(bad))}.*{MAX_FRAMES}"):
            BlockSpec(**bad)
