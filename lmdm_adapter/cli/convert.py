"""`lmdm convert`: an offline checkpoint to a streaming one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmdm_adapter.cli.options import Regime, VerboseOption
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import BlockSpec

DEFAULT = BlockSpec()
DEFAULT_REGIME = Regime(DEFAULT.regime)


def convert(
    src: Annotated[str, typer.Argument(help="Checkpoint folder or file, or a Hugging Face hub id.")],
    dst: Annotated[Path, typer.Argument(help="Folder to make.")],
    block_frames: Annotated[
        int, typer.Option("--block-frames", help="Frames denoised together.")
    ] = DEFAULT.block_frames,
    context_blocks: Annotated[
        int, typer.Option("--context-blocks", help="Earlier blocks that a block may attend to.")
    ] = DEFAULT.context_blocks,
    regime: Annotated[
        Regime, typer.Option("--regime", help="How blocks and context attend to each other.")
    ] = DEFAULT_REGIME,
    ema: Annotated[
        bool, typer.Option("--ema/--no-ema", help="Averaged or last weights of a training checkpoint.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a model folder that is there.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Turn an offline checkpoint into a streaming checkpoint.

    The weights stay as they are; block size and context are written beside them. Music made by a freshly converted
    model is rough until it is fine-tuned for its blocks (lmdm train finetune).
    """
    from lmdm_adapter.cli.screen import say, waiting

    spec = BlockSpec(block_frames=block_frames, context_blocks=context_blocks, regime=regime.value)
    target = _target(src, dst, force)
    with waiting(f"converting {src}"):
        description = _convert(src, target, spec, ema)
    say(f"{dst}: {description}")


def _target(src: str, dst: Path, force: bool) -> Path:
    from lmdm_adapter.io.atomic import require_new_folder

    source, target = Path(src).expanduser().resolve(), dst.expanduser().resolve()
    if source.exists() and source.is_relative_to(target):
        raise LmdmError(f"{dst} holds the source {src}, which would be lost; choose another folder.")
    return require_new_folder(dst, force=force)


def _convert(src: str, target: Path, spec: BlockSpec, ema: bool) -> str:
    import lmdm_adapter
    from lmdm_adapter.io.atomic import replacing_folder
    from lmdm_adapter.loading import locate

    live = lmdm_adapter.convert(locate(src), spec, ema=ema)
    with replacing_folder(target) as part:
        live.save(part)
    return repr(live)
