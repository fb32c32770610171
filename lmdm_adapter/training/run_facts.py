"""The settings that decide what a run learns from, kept with it: going on under others is allowed, but said."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass

log = logging.getLogger(__name__)

BATCHES = "batches per step (accumulate times processes)"
FREE = {
    "output", "loop", "judge_optimiser", "sampling", "example_prompt", "example_seconds", "example_sampling",
    "measured_seconds", "compile",
}  # fmt: skip
"""Settings, and groups of them, that steps already done do not depend on: rates, lengths, logs, speed and examples."""


def facts_of(recipe: object, *, batches_per_step: int) -> dict[str, str]:
    """Settings of a recipe (a dataclass, or None) as JSON, by names such as `data.folder`, and the batches of a step.

    Batches are numbered alike whether they are accumulated or shared out among processes: only their number counts.
    """
    values = asdict(recipe) if is_dataclass(recipe) and not isinstance(recipe, type) else {}
    settings = {name: value for name, value in values.items() if name not in FREE}
    return {BATCHES: str(batches_per_step), **dict(_flat(settings, ()))}


def _flat(value: object, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield ".".join(names), json.dumps(value, default=str)
        return
    for name, inner in value.items():
        if name != "checkpointed":  # in groups too, it trades time for memory
            yield from _flat(inner, (*names, name))


def warn_of_changes(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Say in one sentence which settings a run goes on with that are not those it was begun with, if any."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if changed:
        told = ", ".join(f"{name} ({before.get(name, 'none')}, now {now.get(name, 'none')})" for name in changed)
        log.warning("The run goes on with other settings than it had until now: %s.", told)
