"""Train the bundled models from nothing: songs, codec, decoder, base and fine-tuning, one recipe after another.

    lmdm train tiny

Every stage has a config of its own, which `--config FILE` may replace. What they leave lies in the folder `runs` below
the one you are in. Bundling is not part of it, because it replaces the models of the package:
`lmdm train bundle --config tiny-bundle.json`.

Stop it with Ctrl-C or SIGTERM and start it again: finished stages are found finished, the one begun goes on bit for
bit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lmdm_adapter.recipes import base, codec, decoder, finetune
from lmdm_adapter.training.command import recipe_command
from lmdm_adapter.training.configs import find_config, read_config
from lmdm_adapter.training.loop import Trained, require_accelerate

log = logging.getLogger(__name__)
STAGES: dict[str, tuple[type, Callable[[Any], Trained]]] = {
    "codec": (codec.CodecRecipe, codec.run),
    "decoder": (decoder.DecoderRecipe, decoder.run),
    "base": (base.BaseRecipe, base.run),
    "finetune": (finetune.FinetuneRecipe, finetune.run),
}
"""In the order in which each needs what the others leave."""


@dataclass(frozen=True)
class TinyRecipe:
    """The config file of each stage: a path, or the name of one that ships with the recipes."""

    codec: str = "tiny-codec.json"
    decoder: str = "tiny-decoder.json"
    base: str = "tiny-base.json"
    finetune: str = "tiny-finetune.json"

    def settings_of(self, stage: str) -> Any:
        """The config of a stage. Raises LmdmError for a file that cannot be read."""
        cls, _ = STAGES[stage]
        return read_config(cls, find_config(cls, getattr(self, stage)))


def run(config: TinyRecipe) -> Trained:
    """Train all stages; a stop request ends it, and the same call goes on. Returns how the last stage ended.

    All configs are read before the first stage begins. Raises LmdmError for what a recipe refuses.
    """
    require_accelerate()
    settings = {stage: config.settings_of(stage) for stage in STAGES}
    for number, (stage, recipe) in enumerate(settings.items(), start=1):
        log.info("Stage %d of %d: %s.", number, len(settings), stage)
        trained = STAGES[stage][1](recipe)
        if not trained.finished:
            break
    return trained


if __name__ == "__main__":
    recipe_command(TinyRecipe, run)
