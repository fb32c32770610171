"""`lmdm bench --dry`: the memory that a GPU needs for playing, worked out without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmdm_adapter.bench.device_memory import DeviceBudget
    from lmdm_adapter.bench.run import BenchPlan

LENGTHS_FRAMES = ((10, 230), (48, 192))
"""Blocks and contexts that are budgeted unless others are asked for."""
MIB = 2.0**20


def dry_bench(plan: BenchPlan, *, dtype: str, json: Path | None) -> None:
    """Budget the lengths of `plan`, or both usual ones where it names none; print them, and write them to `json`.

    Raises LmdmError for lengths that do not fit together.
    """
    import torch

    from lmdm_adapter.bench.device_memory import device_budget
    from lmdm_adapter.bench.shapes import SHAPES
    from lmdm_adapter.cli.screen import counting
    from lmdm_adapter.io.atomic import write_json

    plans, budgets = _plans(plan), list["DeviceBudget"]()
    with counting(f"budgeting {plan.shape}") as progress:
        for one in plans:
            progress(len(budgets), len(plans))
            budgets.append(device_budget(
                SHAPES[one.shape], one.specs[0], sampling=one.sampling, dtype=getattr(torch, dtype)
            ))  # fmt: skip
    if json is not None:
        write_json(json, {"shape": plan.shape, "budgets": [budget.to_json() for budget in budgets]})
    _show(plan.shape, budgets)


def _plans(plan: BenchPlan) -> list[BenchPlan]:
    if plan.block_frames is not None or plan.context_frames is not None:
        return [plan]
    return [replace(plan, block_frames=block, context_frames=context) for block, context in LENGTHS_FRAMES]


def _show(shape: str, budgets: Sequence[DeviceBudget]) -> None:
    from lmdm_adapter.bench.device_memory import TARGET_BYTES
    from lmdm_adapter.cli.screen import say, table

    first = budgets[0]
    heads = ("MiB", *(f"{one.block_frames} after {one.context_frames}" for one in budgets))
    rows = [
        *((name, *(_mib(one.kept[name]) for one in budgets)) for name in first.kept),
        *((f"at most, {name}", *(_mib(one.peaks[name]) for one in budgets)) for name in first.peaks),
        *((f"assumed, {name}", *(_mib(one.assumed[name]) for one in budgets)) for name in first.assumed),
        ("in all", *(_mib(one.total_bytes) for one in budgets)),
    ]
    table(f"{shape} on a GPU, network in {first.dtype}, guidance {first.guidance:g}", heads, rows)
    say("of the stages, which run in turn, the dearest counts; docs/results/speed.md tells how it was counted")
    for one in budgets:
        fits = "fits into" if one.total_bytes <= TARGET_BYTES else "does not fit into"
        say(
            f"{one.block_frames} after {one.context_frames}: {one.total_bytes / 1e9:.2f} GB {fits} "
            f"{TARGET_BYTES / 1e9:.0f} GB"
        )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.0f}"
