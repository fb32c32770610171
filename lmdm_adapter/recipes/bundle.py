"""Put trained models into the package: matrices in half precision, everything else as it is.

    python -m lmdm_adapter.recipes.bundle --config bundle.json

Half precision halves the wheel; networks compute in fp32 all the same. The host loads the result strictly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lmdm_adapter.checkpoint import Checkpoint, read_checkpoint, write_tensors
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.codec_files import load_codec
from lmdm_adapter.training.command import recipe_command

MAX_MEGABYTES = 50.0
LARGEST_HALF = torch.finfo(torch.float16).max
CODEC_PREFIX = "pretransform.model."


@dataclass(frozen=True)
class BundleRecipe:
    """`models` are checkpoint folders, `names` what they are called in `output` (the package's `models` folder).

    `codec`, a folder of the decoder recipe, gives its decoder to all of them; their encoders must be its encoder.
    """

    models: tuple[str, ...]
    names: tuple[str, ...]
    output: str
    codec: str | None = None

    def __post_init__(self) -> None:
        if len(self.models) != len(self.names):
            raise LmdmError(f"Each model needs a name; got {len(self.models)} models and {len(self.names)} names.")


def run(config: BundleRecipe) -> float:
    """Write all models; returns their size in megabytes. Raises LmdmError when they are too large for a wheel."""
    checkpoints = [read_checkpoint(model) for model in config.models]
    if config.codec is not None:
        checkpoints = [with_decoder(checkpoint, Path(config.codec)) for checkpoint in checkpoints]
    packed = [in_half(checkpoint) for checkpoint in checkpoints]
    size = sum(value.nbytes for one in packed for part in (one.tensors, one.adapter) for value in part.values()) / 1e6
    if size > MAX_MEGABYTES:
        raise LmdmError(f"The models take {size:.1f} MB, more than {MAX_MEGABYTES:.0f} MB; bundle fewer of them.")
    for checkpoint, name in zip(packed, config.names, strict=True):
        write_tensors(Path(config.output) / name, checkpoint.tensors, checkpoint.adapter, checkpoint.config)
    return size


def with_decoder(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """The checkpoint with the decoder of a codec folder. Raises LmdmError when its latents are those of another codec.

    Encoders are compared in half precision, in which models may have been bundled.
    """
    codec, tensors = load_codec(folder).autoencoder.state_dict(), dict(checkpoint.tensors)
    for name, value in codec.items():
        key = CODEC_PREFIX + name
        if key not in tensors:
            raise LmdmError(f"{checkpoint.path} has no {key}; its codec is of another shape than {folder}.")
        if name.startswith("encoder.") and not torch.equal(tensors[key].half(), value.half()):
            raise LmdmError(f"{checkpoint.path} plays latents of another encoder than {folder}; train on that codec.")
        if name.startswith("decoder."):
            tensors[key] = value
    return replace(checkpoint, tensors=tensors)


def in_half(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its matrices and kernels in fp16; vectors (gains, biases, rotary frequencies) keep fp32."""
    tensors, adapter = ({key: _half(value) for key, value in part.items()}
                        for part in (checkpoint.tensors, checkpoint.adapter))  # fmt: skip
    return replace(checkpoint, tensors=tensors, adapter=adapter)


def _half(value: Tensor) -> Tensor:
    fits = value.ndim > 1 and value.is_floating_point() and float(value.abs().max()) < LARGEST_HALF
    return value.half() if fits else value


if __name__ == "__main__":
    recipe_command(BundleRecipe, run)
