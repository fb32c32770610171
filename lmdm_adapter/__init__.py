"""Live music from open audio diffusion models: convert an offline checkpoint, stream it block by block."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmdm_adapter.audio import Audio as Audio
    from lmdm_adapter.controls import Controls as Controls
    from lmdm_adapter.controls import Gains as Gains
    from lmdm_adapter.conversion import convert as convert
    from lmdm_adapter.conversion import with_controls as with_controls
    from lmdm_adapter.errors import LmdmError as LmdmError
    from lmdm_adapter.live import LiveModel as LiveModel
    from lmdm_adapter.loading import load as load
    from lmdm_adapter.spec import BlockSpec as BlockSpec
    from lmdm_adapter.spec import Sampling as Sampling
    from lmdm_adapter.state import StreamState as StreamState

__version__ = "0.1.0"

_HOMES = {
    "Audio": "audio", "BlockSpec": "spec", "Controls": "controls", "Gains": "controls", "LiveModel": "live",
    "LmdmError": "errors", "Sampling": "spec", "StreamState": "state", "convert": "conversion", "load": "loading",
    "with_controls": "conversion",
}  # fmt: skip

__all__ = [
    "Audio", "BlockSpec", "Controls", "Gains", "LiveModel", "LmdmError", "Sampling", "StreamState", "convert", "load",
    "with_controls",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `lmdm --help` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
