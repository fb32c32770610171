"""The processes of a training and the devices they run on, all through accelerate."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.loop_config import LoopConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

LONGEST_WAIT = timedelta(hours=24)  # while the first process encodes songs or measures, the others wait for it

RANK_NAMES = ("LOCAL_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")  # torchrun's, and those of MPI


def require_accelerate() -> None:
    """Refuse to go on without accelerate. Recipes ask first, before they spend hours on songs."""
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise LmdmError("Training needs accelerate: pip install 'lmdm-adapter[train]'.") from error


def new_accelerator(config: LoopConfig, *, folder: Path | None = None, alternating: bool = False) -> Accelerator:
    """An accelerator for the devices that `accelerate launch` gave this process, or for the one there is.

    `folder` is where trackers write, `alternating` whether parts of the objective take turns. Raises LmdmError when
    accelerate or a tracker is not installed, and for devices that cannot do what the config asks for.
    """
    require_accelerate()
    _require_trackers(config)
    _require_launch()
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin, InitProcessGroupKwargs

    if AcceleratorState._shared_state.get("_mixed_precision", config.precision) != config.precision:
        AcceleratorState._reset_state()  # an earlier run of this program had another precision
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    # The weights of the parts whose turn it is not get no gradient, which DDP must be told.
    parallel = DistributedDataParallelKwargs(find_unused_parameters=alternating)
    writing = None if folder is None else str(folder / "trackers")
    try:
        accelerator = Accelerator(
            mixed_precision=config.precision, cpu=config.cpu or None, kwargs_handlers=[waiting, parallel],
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=config.accumulate),
            log_with=None if writing is None else list(config.trackers) or None, project_dir=writing,
        )  # fmt: skip
    except ValueError as error:
        raise LmdmError(f"accelerate cannot run this: {error}") from error
    _require_support(accelerator, config)
    return accelerator


def _require_trackers(config: LoopConfig) -> None:
    from accelerate import tracking

    there = sorted(str(getattr(name, "value", name)) for name in tracking.get_available_trackers())
    for name in config.trackers:
        if name not in there:
            known = ", ".join(there) or "none"
            raise LmdmError(f"The tracker {name} is not there, only {known}: pip install {name}, or do without.")


def _require_launch() -> None:
    """Refuse the one process that `accelerate launch --cpu --num_processes 2` starts: half of what was asked for."""
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ
    if launched and not any(name in os.environ for name in RANK_NAMES):
        raise LmdmError(
            "accelerate launch --cpu starts a single process whatever --num_processes says; for several on the CPU use "
            '--multi_gpu instead, and "cpu": true in the config.'
        )


def _require_support(accelerator: Accelerator, config: LoopConfig) -> None:
    kind = accelerator.distributed_type.value
    if config.precision == "fp16" and accelerator.device.type == "cpu":
        raise LmdmError("Training in fp16 needs a GPU; choose precision bf16 or no on the CPU.")
    if kind in ("DEEPSPEED", "MEGATRON_LM"):
        raise LmdmError(f"This loop does not run under {kind}; launch it with DDP or FSDP.")
    if kind == "FSDP" and not accelerator.is_fsdp2:
        raise LmdmError("This loop shards with FSDP 2; add --fsdp_version 2 to accelerate launch.")
    if kind == "MULTI_CPU" and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise LmdmError("accelerate shards on GPUs only; on the CPU launch without --use_fsdp.")


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether each process holds only a piece of every weight (FSDP)."""
    return accelerator.distributed_type.value == "FSDP"


def is_first_process() -> bool:
    """Whether this process is the one that prints and writes, as launchers tell it; needs no accelerate."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def main_first(config: LoopConfig) -> Iterator[bool]:
    """The first process does the body before all others, which then find the files that it made; yields whether first.

    For songs and latents, which one process renders or encodes for all.
    """
    accelerator = new_accelerator(config)
    with accelerator.main_process_first():
        yield accelerator.is_main_process


def disconnect() -> bool:
    """End the connections between processes, where there are any; returns whether there were."""
    import torch

    connected = torch.distributed.is_available() and torch.distributed.is_initialized()
    if connected:
        torch.distributed.destroy_process_group()
    return connected


def end_program() -> None:
    """Disconnect, and where several processes worked together end this one here, with exit status 0.

    DDP keeps threads of gloo alive beyond the connections (torch 2.13); now and then they abort an interpreter that
    ends in the usual way, after all work was done.
    """
    if disconnect():
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
