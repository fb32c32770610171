"""A live model for a host's own loader: built from a config, filled with weights by the host, then played here.

`patches/` has the few lines that make the factory of stable-audio-tools call `create_model_from_config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lmdm_adapter.checkpoint import ADAPTER_NAME, MODEL_NAME
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.stable_audio_tools import network_config
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.model import Network, build
from lmdm_adapter.section import LmdmSection


class HostedModel(Network):
    """A network under the host's keys, without weights until its owner loads them; `live()` plays it.

    `more_weights` names the files whose tensors are to be loaded together with the host's own.
    """

    def __init__(self, config: Mapping[str, Any], section: LmdmSection) -> None:
        with torch.device("meta"):
            super().__init__(section.extend(network_config(config)))
        self.host_config, self.section = dict(config), section
        self.sample_rate = self.config.sample_rate
        self.more_weights = (ADAPTER_NAME,) if self.adapter_keys() else ()
        self.to_empty(device="cpu")
        # A host may load what fits and say nothing about the rest: NaN marks what never came.
        with torch.no_grad():
            for tensor in self.state_dict().values():
                tensor.fill_(torch.nan)

    def live(self) -> LiveModel:
        """The live model, sharing these tensors. Raises LmdmError, by name, for weights that were never loaded."""
        tensors = self.state_dict()
        for key, tensor in tensors.items():
            if tensor.isnan().any():
                files = " and ".join((MODEL_NAME, *self.more_weights))
                raise LmdmError(f"{key} was not loaded or holds NaN; load {files}.")
        return LiveModel(build(self.config, tensors), self.section, self.host_config)


def create_model_from_config(model_config: Mapping[str, Any]) -> HostedModel:
    """The model that a host's factory hands over, for a config with an "lmdm" section.

    Raises LmdmError for an offline checkpoint, which has nothing to play, and for what is not supported, by name.
    """
    section = LmdmSection.read(model_config)
    if section.spec is None:
        raise LmdmError('The config\'s "lmdm" section has no spec: convert this offline checkpoint first.')
    return HostedModel(model_config, section)
