"""What stable-audio-tools' `generate_diffusion_cond` is asked for, in our words; what has no counterpart is refused."""

from __future__ import annotations

import logging
import operator
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from lmdm_adapter.audio import Audio
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.k_diffusion import SAMPLERS, KSampling, named_sampler
from lmdm_adapter.live import LiveModel
from lmdm_adapter.rollout import Told
from lmdm_adapter.spec import Sampler, Sampling
from lmdm_adapter.state import Conditioning

logger = logging.getLogger(__name__)

HOST_SAMPLE_RATE = 48000
HOST_SIGMAS = {"sigma_min": 0.01, "sigma_max": 100.0, "rho": 1.0}
OWN_SAMPLERS: Mapping[str, Sampler] = {**{name: name for name in get_args(Sampler)}, "v-ddim": "euler"}
RANDOM_SEEDS = 2**32 - 1

Rows = Sequence[Mapping[str, Any]]
Features = Mapping[str, Sequence[Tensor | None]]
"""By conditioner: features `b m d` or `b d`, and their mask `b m`, as the host's conditioner gives them."""


def refuse_impossible(
    live: LiveModel, *, sample_rate: int, device: str | torch.device, init_noise_level: float
) -> None:
    """Raise LmdmError for settings that do not fit the model or that block by block play has no use for."""
    if sample_rate not in (HOST_SAMPLE_RATE, live.codec.sample_rate):
        raise LmdmError(f"sample_rate={sample_rate} cannot be had: the model plays {live.codec.sample_rate} Hz.")
    wanted = torch.device(device)
    if wanted.type != live.device.type or wanted.index not in (None, live.device.index):
        raise LmdmError(f"device={str(device)!r} was asked for, but the model is on {str(live.device)!r}; pass that.")
    if init_noise_level != 1.0:
        raise LmdmError(
            f"init_noise_level={init_noise_level} cannot be honoured: init_audio is what comes before the music, not "
            "what is varied; leave it out."
        )


def row_seeds(seed: int, rows: int) -> tuple[int, ...]:
    """Row i of a batch is the request with `seed + i` alone; -1 draws a seed from the system, not from a generator."""
    seed = whole("seed", seed, least=-1)
    if seed == -1:
        seed = secrets.randbelow(RANDOM_SEEDS - rows)
        logger.info("The seed is %d.", seed)
    return tuple(seed + row for row in range(rows))


def whole(name: str, value: int, *, least: int = 1) -> int:
    """A whole number, of NumPy perhaps. Raises LmdmError for another, or one below `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise LmdmError(f"{name} must be a whole number, got {value!r}.") from None
    if number < least:
        raise LmdmError(f"{name} must be at least {least}, got {number}.")
    return number


def sampling_of(live: LiveModel, *, steps: int, cfg_scale: float, options: Mapping[str, Any]) -> Sampling | KSampling:
    """Steps, guidance and the host's `sampler_kwargs`; without a `sampler_type`, the sampler that the model is for.

    Raises LmdmError for a sampler or an option that cannot be honoured, by name.
    """
    left, steps = dict(options), whole("steps", steps)
    name = left.pop("sampler_type", live.sampling.sampler)
    if name in SAMPLERS:
        sigmas = {key: left.pop(key, default) for key, default in HOST_SIGMAS.items()}
        _refuse_options(left)
        return KSampling(named_sampler(name), steps=steps, guidance=float(cfg_scale), **sigmas)
    if name not in OWN_SAMPLERS:
        supported = ", ".join((*OWN_SAMPLERS, *SAMPLERS))
        raise LmdmError(f"The sampler_type {name!r} cannot play block by block; choose one of {supported}.")
    _refuse_options(left)
    return Sampling(steps=steps, sampler=OWN_SAMPLERS[name], guidance=float(cfg_scale))


def _refuse_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name in HOST_SIGMAS:
            k_samplers = ", ".join(SAMPLERS)
            raise LmdmError(f"{name}={value!r} is for the samplers {k_samplers}; choose one, or leave it out.")
        raise LmdmError(f"{name}={value!r} cannot be honoured by block by block play; leave it out.")


def prime_of(init_audio: tuple[int, Tensor] | None) -> Audio | None:
    """The host's `(sample_rate, audio)`, audio of shape `s`, `ch s` or `1 ch s`, as what comes before the music.

    Raises LmdmError for another shape, or a rate that is no whole number of Hz.
    """
    if init_audio is None:
        return None
    sample_rate, samples = init_audio
    if samples.ndim == 3 and samples.shape[0] == 1:
        samples = samples[0]
    if samples.ndim not in (1, 2):
        raise LmdmError(f"init_audio needs audio of shape (channels, samples), got {tuple(samples.shape)}.")
    array = samples.detach().float().cpu().numpy()
    return Audio(np.atleast_2d(array), whole("the sample rate of init_audio", sample_rate))


def told_of(
    live: LiveModel, rows: int, *, told: Rows | Features | None, tensors: Features | None,
    negative: Rows | None, negative_tensors: Features | None, guidance: float,
) -> Told:  # fmt: skip
    """Conditioning of `rows` rows, made ready: `told` and `negative` are values, the others are the host's tensors.

    The null branch hears `negative` in place of nothing. Raises LmdmError for both or neither of values and tensors,
    another number of rows, ids that the model does not have, or a negative without guidance.
    """
    features = _features(live, "conditioning", told, tensors)
    if features is None:
        raise LmdmError("The music needs conditioning or conditioning_tensors; give one of them.")
    against = _features(live, "negative_conditioning", negative, negative_tensors)
    if against is not None and guidance == 1.0:
        raise LmdmError("negative_conditioning needs guidance; give a cfg_scale other than 1, or leave it out.")
    cross_ids, global_ids = live.network.config.cross_ids, live.network.config.global_ids
    heard = None if against is None else [_heard(against, name) for name in cross_ids]
    conditioning = Conditioning(
        cross=_joined([_tokens(features, name) for name in cross_ids], rows, dim=1),
        null_cross=None if heard is None else _joined(heard, rows, dim=1),
        global_cond=_joined([_vector(features, name) for name in global_ids], rows, dim=-1),
    )
    return Told.of(live.engine, conditioning, guidance=guidance)


def _features(live: LiveModel, what: str, values: Rows | None, tensors: Features | None) -> Features | None:
    """Features by conditioner, on the model's device: of values, or as given."""
    if values is not None and tensors is not None:
        raise LmdmError(f"Give {what} or {what}_tensors, not both.")
    if values is not None:
        return _encoded(live, what, values)
    if tensors is None:
        return None
    _refuse_ids(f"{what}_tensors", tensors, (*live.network.config.cross_ids, *live.network.config.global_ids))
    return {name: [None if one is None else one.to(live.device) for one in pair] for name, pair in tensors.items()}


def _encoded(live: LiveModel, what: str, values: Rows) -> Features:
    """What the model's conditioners make of values; a length that is not given is the model's own."""
    if isinstance(values, Mapping) or not values or not all(isinstance(row, Mapping) for row in values):
        raise LmdmError(f"{what} must be a list with one dict for each row, got {values!r}.")
    conditioners = live.network.conditioners
    for row in values:
        _refuse_ids(what, row, (*conditioners.conditioners, *conditioners.default_keys.values()))
    defaults = {"seconds_start": 0.0, "seconds_total": live.window_seconds}
    return conditioners([{**defaults, **row} for row in values], live.device)


def _refuse_ids(what: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            names = ", ".join(dict.fromkeys(known))
            raise LmdmError(f"{what} has {name!r}, which this model does not hear; it hears {names or 'nothing'}.")


def _tokens(features: Features, name: str) -> Tensor:
    """Features of one conditioner as tokens `b m d`."""
    if name not in features:
        raise LmdmError(f"The conditioning tensors lack {name!r}; they have {', '.join(features) or 'none'}.")
    tokens = features[name][0]
    if tokens is None or tokens.ndim not in (2, 3):
        raise LmdmError(f"The conditioning tensor {name!r} needs the shape (b, m, d) or (b, d).")
    return tokens[:, None] if tokens.ndim == 2 else tokens


def _heard(features: Features, name: str) -> Tensor:
    """Tokens of a negative conditioning, silent where their mask says so, as in the host."""
    tokens, mask = _tokens(features, name), features[name][1]
    return tokens if mask is None else tokens * mask.reshape(*tokens.shape[:2], 1).to(tokens.dtype)


def _vector(features: Features, name: str) -> Tensor:
    """Features `b d` of a conditioner that has one token."""
    tokens = _tokens(features, name)
    if tokens.shape[1] != 1:
        raise LmdmError(f"The global conditioning {name!r} needs one token for each row, got {tokens.shape[1]}.")
    return tokens[:, 0]


def _joined(parts: Sequence[Tensor], rows: int, *, dim: int) -> Tensor | None:
    """Conditioners side by side, for `rows` rows; one row serves them all."""
    for part in parts:
        if part.shape[0] not in (1, rows):
            raise LmdmError(f"There is conditioning for {part.shape[0]} rows, but batch_size={rows}; make them agree.")
    return torch.cat([part.expand(rows, *part.shape[1:]) for part in parts], dim=dim) if parts else None
