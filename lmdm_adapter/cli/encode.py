"""`lmdm encode`: a folder of sound files to latents that recipes train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmdm_adapter.cli.options import DeviceOption, JsonOption, ModelOption, ThreadsOption, VerboseOption

if TYPE_CHECKING:
    from lmdm_adapter.codec import Codec
    from lmdm_adapter.training.encoding import Encoded


def encode(
    audio_dir: Annotated[Path, typer.Argument(help="Folder of sound files; folders in it are searched too.")],
    latent_dir: Annotated[Path, typer.Argument(help="Folder for the latents; made, or gone on with.")],
    model: ModelOption = "tiny",
    device: DeviceOption = "cpu",
    threads: ThreadsOption = None,
    shard_megabytes: Annotated[
        float, typer.Option("--shard-megabytes", min=0.001, max=4000, help="Size of the files of latents.")
    ] = 16.0,
    json: JsonOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Encode a folder of music with a model's codec, once, for training.

    A stopped run goes on where it was when started again. The prompt of song.wav is "prompt" in song.json, else the
    text of song.txt, else its name in words. Files that cannot be used are listed with the reason, here and in
    LATENT_DIR/skipped.json; the exit code is 1 only when none can be used.
    """
    import time

    from lmdm_adapter.io.atomic import require_writable, write_json
    from lmdm_adapter.training.encoding import encode_folder
    from lmdm_adapter.training.journal import counted
    from lmdm_adapter.training.recordings import find_recordings
    from lmdm_adapter.training.shelf import require_latent_folder

    if json is not None:
        require_writable(json)
    require_latent_folder(latent_dir, audio_dir)
    find_recordings(audio_dir)
    codec = _codec(model, device, threads)
    begun = time.monotonic()
    with counted(f"encoding {audio_dir}", 1) as progress:
        result = encode_folder(codec, audio_dir, latent_dir, shard_megabytes=shard_megabytes, progress=progress)
    compute_seconds = time.monotonic() - begun
    if json is not None:
        write_json(json, _report(result, compute_seconds))
    _show(result, latent_dir, compute_seconds)


def _codec(model: str, device: str, threads: int | None) -> Codec:
    import torch

    from lmdm_adapter.cli.models import parse_device
    from lmdm_adapter.training.codec_files import find_codec

    place = parse_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    codec = find_codec(model)
    codec.autoencoder.to(place)
    return codec


def _report(result: Encoded, compute_seconds: float) -> dict[str, object]:
    from dataclasses import asdict

    factor = compute_seconds / result.made_seconds if result.made_seconds else None
    return {**asdict(result), "compute_seconds": compute_seconds, "real_time_factor": factor}


def _show(result: Encoded, folder: Path, compute_seconds: float) -> None:
    from lmdm_adapter.cli.screen import say, say_skipped

    before = result.clips - result.made
    made = f"{result.made} new" + (f" ({result.made_seconds / compute_seconds:.1f} times as fast as they play)"
                                   if result.made else "")  # fmt: skip
    say(f"{folder}: {result.clips} clips, {result.seconds / 3600:.2f} h; {made}, {max(before, 0)} from before")
    if result.gone:
        say(f"{result.gone} clips from before are left out: their sound files are gone")
    say_skipped(result.skipped, result.others)
