"""Frozen text features are worked out once per prompt; whatever learns on top of them runs every step."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lmdm_adapter.network.model import Network
from lmdm_adapter.network.text import TextEncoder, load_text_encoder, text_conditioners

REMEMBERED_PROMPTS = 4096


@dataclass(frozen=True, eq=False)
class RememberingEncoder(TextEncoder):
    """A frozen text encoder that keeps the hidden states of its `limit` latest prompts on the CPU.

    Prompts are encoded one by one, so that the features of one never depend on the batch it came in: a resumed run
    meets its prompts in other company. Padded positions are not kept and come back as zeros; a `T5Conditioner` zeroes
    them anyhow.
    """

    limit: int = REMEMBERED_PROMPTS
    kept: OrderedDict[tuple[str, int], Tensor] = field(default_factory=OrderedDict)

    def encode(self, prompts: list[str], *, max_length: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Hidden states `b m d` and mask `b m`, as `TextEncoder.encode` has them."""
        rows = [self._states(prompt, max_length, device) for prompt in prompts]
        hidden = torch.zeros(len(rows), max_length, rows[0].shape[-1], dtype=rows[0].dtype, device=device)
        mask = torch.zeros(len(rows), max_length, dtype=torch.bool, device=device)
        for number, row in enumerate(rows):
            hidden[number, : len(row)] = row.to(device)
            mask[number, : len(row)] = True
        return hidden, mask

    def _states(self, prompt: str, max_length: int, device: torch.device | str) -> Tensor:
        """Hidden states `m d` of the positions that are no padding, on the CPU."""
        key = (prompt, max_length)
        if key not in self.kept:
            hidden, mask = super().encode([prompt], max_length=max_length, device=device)
            self.kept[key] = hidden[0, mask[0]].cpu()
        self.kept.move_to_end(key)
        states = self.kept[key]
        if len(self.kept) > self.limit:
            self.kept.popitem(last=False)
        return states


def remember_prompts(*networks: Network) -> None:
    """Give every text conditioner an encoder that remembers; each published encoder is loaded once for all networks.

    Raises LmdmError where one cannot be loaded: a run says so before it begins.
    """
    loaded: dict[tuple[str, torch.dtype], TextEncoder] = {}
    for conditioner in (own for network in networks for own in text_conditioners(network)):
        key = (conditioner.t5_model_name, conditioner.dtype)
        if conditioner.encoder is not None:
            conditioner.encoder = _remembering(conditioner.encoder)
            continue
        if key not in loaded:
            loaded[key] = _remembering(load_text_encoder(conditioner.t5_model_name, dtype=conditioner.dtype))
        conditioner.encoder = loaded[key]


def _remembering(encoder: TextEncoder) -> RememberingEncoder:
    return RememberingEncoder(encoder.tokenizer, encoder.model)
