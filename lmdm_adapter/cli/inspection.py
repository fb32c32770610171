"""A checkpoint in words and figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lmdm_adapter.checkpoint import Checkpoint, read_checkpoint
from lmdm_adapter.cli.latencies import latencies, latency_name, latency_text
from lmdm_adapter.codec import Codec
from lmdm_adapter.conversion import live_from_checkpoint, offline_network
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.reference import is_reference
from lmdm_adapter.loading import locate
from lmdm_adapter.network.model import Network
from lmdm_adapter.section import LmdmSection

PARTS = {"model.": "dit", "pretransform.": "codec", "conditioner.": "conditioners"}
LIVE, OFFLINE, REFERENCE = "live model", "offline stable-audio-tools checkpoint", "checkpoint of the reference code"


@dataclass(frozen=True)
class Inspection:
    """What was found; `reason` says why a checkpoint is not supported, `details` are empty then."""

    model: str
    path: str
    format: str
    parameters: Mapping[str, int]
    dtypes: tuple[str, ...]
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        return {
            "model": self.model,
            "path": self.path,
            "format": self.format,
            "supported": self.reason is None,
            "reason": self.reason,
            "parameters": {**self.parameters, "total": sum(self.parameters.values())},
            "dtypes": list(self.dtypes),
            **self.details,
        }

    def lines(self) -> list[tuple[str, str]]:
        """Everything as (name, text) pairs, to be read by people."""
        parts = ", ".join(f"{part} {_count(number)}" for part, number in self.parameters.items())
        head = [
            ("checkpoint", self.path),
            ("format", self.format),
            ("supported", "yes" if self.reason is None else "no"),
            ("parameters", f"{_count(sum(self.parameters.values()))} ({parts}) as {', '.join(self.dtypes)}"),
        ]
        latency = self.details.get("latency", {})
        return head + [_line(name, value) for name, value in self.details.items() if name != "latency"] + [
            (latency_name(mode), latency_text(told)) for mode, told in latency.items()
        ]  # fmt: skip


def look_at(model: str) -> Inspection:
    """Read the checkpoint called `model` and try to build it. Raises LmdmError when there is no checkpoint to read."""
    checkpoint = read_checkpoint(locate(model))
    tensors = {**checkpoint.tensors, **checkpoint.adapter}
    reason, details = None, {}
    try:
        kind = _format(checkpoint)
        details = _details(checkpoint)
        _require_finite(tensors)
    except LmdmError as error:
        kind, reason, details = "not supported", str(error), {}
    return Inspection(
        model=model, path=str(checkpoint.path), format=kind, reason=reason, details=details,
        parameters=_parameters(checkpoint), dtypes=_dtypes(tensors),
    )  # fmt: skip


def _require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Weights are played as fp32: what is no number there spoils all of the music."""
    lost = [key for key, tensor in tensors.items() if not torch.isfinite(tensor.float()).all()]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise LmdmError(
            f"The weights of {min(lost)}{more} hold NaN or infinity, so there would be no music; "
            "copy or download the checkpoint again, or take an earlier one of its training."
        )


def _format(checkpoint: Checkpoint) -> str:
    if is_reference(checkpoint.config):
        return REFERENCE
    return OFFLINE if LmdmSection.read(checkpoint.config).spec is None else LIVE


def _parameters(checkpoint: Checkpoint) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, tensor in checkpoint.tensors.items():
        counts[next((part for prefix, part in PARTS.items() if key.startswith(prefix)), "other")] += tensor.numel()
    counts["adapter"] += sum(tensor.numel() for tensor in checkpoint.adapter.values())
    return {part: number for part, number in counts.items() if number}


def _dtypes(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    return tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()}))


def _details(checkpoint: Checkpoint) -> dict[str, Any]:
    if _format(checkpoint) == OFFLINE:
        return _network_details(offline_network(checkpoint))
    live = live_from_checkpoint(checkpoint)
    codec = live.codec if live.network.config.codec is not None else None
    details = {**_network_details(live.network), **_live_details(live.section, codec)}
    return details if codec is None else {**details, "latency": latencies(live.section, codec)}


def _network_details(network: Network) -> dict[str, Any]:
    config = network.config
    return {
        "objective": config.dit.objective,
        "shape": {
            "width": config.dit.embed_dim, "layers": config.dit.depth, "heads": config.dit.num_heads,
            "qk_norm": config.dit.qk_norm,
        },
        "sample_rate_hz": config.sample_rate,
        **_codec_details(network),
        "inpainting_inputs": bool(config.dit.input_concat_dim),
        "trained_seconds": None if config.sample_size is None else config.sample_size / config.sample_rate,
        "conditioners": {conditioner.id: conditioner.type for conditioner in config.conditioners},
        "cross_attention": list(config.cross_ids),
        "global_conditioning": list(config.global_ids),
    }  # fmt: skip


def _codec_details(network: Network) -> dict[str, Any]:
    config = network.config
    if config.codec is None:
        return {"codec": None}
    codec = Codec(network.autoencoder, config.sample_rate, config.codec_scale)
    return {
        "channels": codec.channels,
        "latent_channels": codec.latent_channels,
        "frame_samples": codec.frame_samples,
        "frame_rate_hz": codec.frame_rate_hz,
        "hold_back_frames": codec.hold_back_frames,
    }


def _live_details(section: LmdmSection, codec: Codec | None) -> dict[str, Any]:
    spec = section.spec
    assert spec is not None, "live models have a BlockSpec"
    details: dict[str, Any] = {
        "spec": spec.to_json(),
        "sampling": section.sampling.to_json(),
        "trained_steps": section.own_steps,
        "frame_controls": dict(section.frame_controls),
        **({} if section.sketch is None else {"sketch": section.sketch.to_json()}),
    }
    if codec is None:
        return details
    rate_hz = codec.frame_rate_hz
    return {
        **details,
        "block_seconds": spec.block_frames / rate_hz,
        "context_seconds": spec.context_frames / rate_hz,
        "algorithmic_latency_seconds": (spec.block_frames + codec.hold_back_frames) / rate_hz,
    }


def _line(name: str, value: Any) -> tuple[str, str]:
    """A name without its unit, and the value with it."""
    stem, _, last = name.rpartition("_")
    unit = {"seconds": " s", "hz": " Hz"}.get(last, "")
    name = stem if unit else name
    return name.replace("_", " "), _text(value) + (unit if value is not None else "")


def _count(number: int) -> str:
    if number < 1000:
        return str(number)
    power = min(int(math.log10(number)) // 3, 3)
    return f"{number / 1000**power:.1f}{' kMB'[power]}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(inner) for inner in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None or value == "" else str(value)
