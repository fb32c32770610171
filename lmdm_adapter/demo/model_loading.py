"""A model loaded for the page: every refusal is a sentence, and it has played a block before anybody hears it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.codec_stream import low_latency_frames
from lmdm_adapter.conversion import is_live, live_from_checkpoint
from lmdm_adapter.demo.model_choice import ModelChoice
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.loading import place

log = logging.getLogger(__name__)


def loaded(choice: ModelChoice, told: Callable[[str], None]) -> LiveModel:
    """The model, on its device; `told` hears what is being done, in sentences.

    Raises LmdmError, and nothing else, for one that is not there, damaged, not live, that holds NaN, finds no memory
    or cannot compute there.
    """
    try:
        return _loaded(choice, told)
    except LmdmError:
        raise
    except (MemoryError, torch.OutOfMemoryError):
        raise LmdmError(
            f"There is no memory on {choice.device} for {choice.shown} beside the model that plays; choose another "
            "device, or half precision."
        ) from None
    except Exception as error:
        log.exception("A model could not be loaded.")
        raise LmdmError(f"{choice.shown} cannot be loaded: {type(error).__name__}.") from error


def _loaded(choice: ModelChoice, told: Callable[[str], None]) -> LiveModel:
    told(f"Looking for {choice.shown}.")
    with choice.folder() as folder:
        told(f"Reading {choice.shown}.")
        live = _read(folder, choice)
        told(f"Bringing {choice.shown} to {choice.device} in {choice.dtype}.")
        require_finite_weights(live, choice.shown)
        place(live.network, device=choice.device, dtype=getattr(torch, choice.dtype))
    told(f"Trying a block of {choice.shown}.")
    _try(live, choice)
    return live


def _read(folder: object, choice: ModelChoice) -> LiveModel:
    try:
        checkpoint = read_checkpoint(str(folder))
        if not is_live(checkpoint):
            network_config(checkpoint.config)  # What is no config at all is said first.
            raise LmdmError(
                f"{choice.shown} is an offline checkpoint, which is not trained to stream; `lmdm convert` and `lmdm "
                "train finetune` make a live model of it."
            )
        return live_from_checkpoint(checkpoint)
    except LmdmError as error:
        # Where uploads lie for a moment is nothing to a reader.
        raise LmdmError(str(error).replace(str(folder), choice.shown)) from None


def require_finite_weights(live: LiveModel, name: str) -> None:
    """Raises LmdmError for weights that are NaN or infinite, naming the first."""
    for key, value in live.network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise LmdmError(f"{name} holds NaN or infinity in {key}; save or download it again.")


def _try(live: LiveModel, choice: ModelChoice) -> None:
    """One block, cheaply: whether this model computes there at all, and makes numbers."""
    sampling = replace(live.sampling, steps=1, guidance=1.0)
    state = live.start(look_ahead_frames=low_latency_frames(live.codec))
    try:
        for _ in range(2):
            audio, state = live.step(state, "", sampling=sampling)
            finite = np.isfinite(audio.samples).all() and torch.isfinite(state.pending[-1].latents).all()
            if not finite:
                raise LmdmError(f"{choice.shown} makes NaN or infinity in {choice.dtype}; choose float32.")
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = str(error).partition("\n")[0].rstrip(".")
        raise LmdmError(
            f"{choice.shown} cannot compute in {choice.dtype} on {choice.device} ({reason}); choose float32."
        ) from None
