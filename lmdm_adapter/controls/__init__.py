"""What a player may turn, and how the network is told."""

from lmdm_adapter.controls.frames import Gains
from lmdm_adapter.controls.prompt import condition
from lmdm_adapter.controls.values import Controls

__all__ = ["Controls", "Gains", "condition"]
