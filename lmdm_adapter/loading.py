"""Find a live model by name: bundled, in a folder, or on the hub."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from lmdm_adapter.checkpoint import ADAPTER_NAME, CONFIG_NAME, WEIGHT_NAMES, read_checkpoint
from lmdm_adapter.conversion import convert_checkpoint, is_live, live_from_checkpoint, window_spec
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts.diffusers import INDEX_NAME
from lmdm_adapter.live import LiveModel
from lmdm_adapter.network.model import Network
from lmdm_adapter.spec import Regime

MODELS_FOLDER = Path(__file__).parent / "models"
DOWNLOADED_NAMES = (CONFIG_NAME, *WEIGHT_NAMES, ADAPTER_NAME, INDEX_NAME)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def load(
    name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32,
    regime: Regime | None = None,
) -> LiveModel:  # fmt: skip
    """Load a live model: a bundled name ("tiny"), a folder, or a hub id ("owner/name").

    `regime` plays it in another regime than it was made for; "outpaint" plays offline checkpoints too, in windows of
    their own length. Raises LmdmError when there is none of that name, when it is gated or offline, or when it is not a
    live model.
    """
    checkpoint = read_checkpoint(locate(name))
    if regime == "outpaint" and not is_live(checkpoint):
        live = convert_checkpoint(checkpoint, window_spec(checkpoint))
    else:
        live = live_from_checkpoint(checkpoint, regime=regime)
    place(live.network, device=device, dtype=dtype)
    return live


def place(network: Network, *, device: str | torch.device, dtype: torch.dtype) -> None:
    """Move a network to a device, its DiT to `dtype`; codec, conditioners and rotary frequencies stay fp32."""
    network.float()
    rotary = network.dit.transformer.rotary_pos_emb
    frequencies = rotary.inv_freq
    network.dit.to(dtype)
    rotary.inv_freq = frequencies
    network.to(device)  # last, so that the device never holds the DiT in fp32


def bundled() -> list[str]:
    """Names of the models in the package."""
    return sorted(path.name for path in MODELS_FOLDER.glob("*") if (path / CONFIG_NAME).is_file())


def locate(name: str | Path) -> Path:
    """The folder or file that `name` means, downloaded from the hub if need be. Raises LmdmError as `load` does."""
    if not str(name).strip():
        raise LmdmError("The name of the model is empty; give a folder, a hub id (owner/name) or a bundled model.")
    if Path(name).exists():
        return Path(name)
    if str(name) in bundled():
        return MODELS_FOLDER / str(name)
    if HUB_ID.fullmatch(str(name)):
        return _downloaded(str(name))
    raise LmdmError(
        f"There is no model {str(name)!r}: it is no folder, no hub id (owner/name), and none of the bundled models "
        f"({', '.join(bundled()) or 'none'})."
    )


def _downloaded(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download, utils

    # The hub's errors derive from those of its HTTP client; unlike those of requests, httpx's are no OSError.
    unreachable = (*utils.HfHubHTTPError.__bases__, OSError)
    try:
        return Path(snapshot_download(hub_id, allow_patterns=[*DOWNLOADED_NAMES]))
    except utils.GatedRepoError:
        raise LmdmError(
            f"{hub_id} is gated: accept its licence on its hub page, then log in with `hf auth login`."
        ) from None
    except utils.RepositoryNotFoundError:
        raise LmdmError(f"There is no folder {hub_id}, and no such public model on the hub; check the name.") from None
    except utils.HFValidationError:
        raise LmdmError(f"There is no folder {hub_id}, and the hub allows no such name; check it.") from None
    except unreachable as error:
        reason = type(error).__name__
        raise LmdmError(
            f"There is no folder {hub_id}, and the hub cannot be reached for it ({reason}); "
            "check the path, or go online once."
        ) from None
