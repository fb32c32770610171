"""A trained codec on disk: weights under the host's keys, and the facts needed to build it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from lmdm_adapter.checkpoint import read_checkpoint
from lmdm_adapter.codec import Codec
from lmdm_adapter.conversion import offline_network
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.loading import locate
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.training.configs import read_config, write_json
from lmdm_adapter.training.files import replacing


@dataclass(frozen=True)
class CodecFacts:
    """What the weights do not say."""

    network: OobleckConfig
    sample_rate: int
    scale: float


def save_codec(folder: Path, facts: CodecFacts, tensors: Mapping[str, Tensor]) -> None:
    """Write `codec.safetensors` (keys `encoder.*`, `decoder.*`) and `codec.json`, facts last."""
    with replacing(folder / "codec.safetensors") as part:
        safetensors.torch.save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part)
    write_json(folder / "codec.json", asdict(facts))


def find_codec(name: str) -> Codec:
    """The codec of a folder of the codec recipe, or that of a model (folder or name), in fp32, without gradients.

    Raises LmdmError where there is none.
    """
    if (Path(name) / "codec.json").is_file():
        return load_codec(Path(name))
    network = offline_network(read_checkpoint(locate(name)))
    config = network.config
    if config.codec is None:
        raise LmdmError(f"{name} is a model without a codec; name one that has a pretransform.")
    return Codec(network.autoencoder.float().requires_grad_(False).eval(), config.sample_rate, config.codec_scale)


def load_codec(folder: Path) -> Codec:
    """The codec of a folder, without gradients. Raises LmdmError when it is not there or does not fit together."""
    facts = read_config(CodecFacts, folder / "codec.json")
    autoencoder = AudioAutoencoder(facts.network).requires_grad_(False).eval()
    try:
        autoencoder.load_state_dict(safetensors.torch.load_file(folder / "codec.safetensors"))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise LmdmError(f"{folder} holds no codec that fits its codec.json: {str(error).splitlines()[0]}") from error
    return Codec(autoencoder, facts.sample_rate, facts.scale)
