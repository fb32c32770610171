"""What a batch is told, projected once and kept until it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lmdm_adapter.network.attention import KeysValues
from lmdm_adapter.network.dit import DiT
from lmdm_adapter.state import Conditioning


@dataclass(frozen=True, eq=False)
class Told:
    """Conditioning made ready for a batch: each layer's cross K/V and the global input, doubled under guidance."""

    prompt: Sequence[KeysValues] | None
    global_cond: Tensor | None
    guidance: float

    @property
    def branches(self) -> int:
        """2 under guidance ([conditional, null]), 1 without."""
        return 1 if self.guidance == 1.0 else 2

    @staticmethod
    def of(dit: DiT, conditioning: Conditioning, *, guidance: float) -> Told:
        """Project the prompt once; it serves every denoise step and every block until it changes."""
        if guidance != 1.0:
            conditioning = conditioning.doubled()
        return Told(dit.prompt_keys_values(conditioning.cross), conditioning.global_cond, guidance)
