"""From controls to what the network is told: prompt features, global conditioning, the null branch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lmdm_adapter.controls.values import Controls
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.conditioners import Conditioned
from lmdm_adapter.network.model import Network
from lmdm_adapter.state import Conditioning

TEXT_TYPES = ("t5", "hashed_words")


def condition(network: Network, controls: Controls, *, window_seconds: float, device: torch.device) -> Conditioning:
    """Encode controls for one batch row: `cross 1 m d`, `null_cross 1 m d`, `global_cond 1 g`.

    Number conditioners get `window_seconds` as `seconds_total` and 0 as `seconds_start` unless the controls say
    otherwise. A mix of prompts is the weighted mean of their text features. Raises LmdmError for a conditioner that
    has no value.
    """
    settings = {"seconds_start": 0.0, "seconds_total": window_seconds, **dict(controls.values)}
    _refuse_unknown(network, controls.values)
    shares = torch.tensor(controls.shares, device=device)
    encoded = _encode(network, [text for text, _ in controls.prompts], settings, device)
    mixed = {name: _weighted_mean(features, shares) for name, (features, _) in encoded.items()}
    cross = _joined(mixed, network.config.cross_ids, dim=1)
    null_cross = None
    if controls.negative_prompt is not None and cross is not None:
        negative = _encode(network, [controls.negative_prompt], settings, device)
        null_cross = _joined({name: pair[0] for name, pair in negative.items()}, network.config.cross_ids, dim=1)
    global_cond = _joined({k: v[:, 0] for k, v in mixed.items()}, network.config.global_ids, dim=-1)
    return Conditioning(cross=cross, null_cross=null_cross, global_cond=global_cond)


def _refuse_unknown(network: Network, values: tuple[tuple[str, float], ...]) -> None:
    numbers = [c.id for c in network.config.conditioners if c.type not in TEXT_TYPES]
    for name, _ in values:
        if name not in numbers:
            raise LmdmError(f"This model has no number conditioning {name!r}; it has {', '.join(numbers) or 'none'}.")


def _encode(network: Network, texts: list[str], settings: Mapping[str, float], device: torch.device) -> Conditioned:
    text_ids = [c.id for c in network.config.conditioners if c.type in TEXT_TYPES]
    rows = [{**settings, **dict.fromkeys(text_ids, text)} for text in texts]
    return network.conditioners(rows, device)


def _weighted_mean(features: Tensor, shares: Tensor) -> Tensor:
    """`p m d` features of `p` prompts, by their shares of 1, to their weighted mean `1 m d`."""
    return torch.einsum("p, p m d -> m d", shares.to(features.dtype), features)[None]


def _joined(features: Mapping[str, Tensor], ids: tuple[str, ...], *, dim: int) -> Tensor | None:
    return torch.cat([features[name] for name in ids], dim=dim) if ids else None
