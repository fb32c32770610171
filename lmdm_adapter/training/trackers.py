"""What a run tells experiment trackers such as TensorBoard, through accelerate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from lmdm_adapter.audio import Audio

if TYPE_CHECKING:
    from accelerate import Accelerator


class Trackers:
    """The trackers that the config of a run names; with none of them every method does nothing."""

    def __init__(self, accelerator: Accelerator, *, title: str) -> None:
        self.accelerator = accelerator
        if accelerator.is_main_process:
            accelerator.init_trackers(title)

    def log(self, values: dict[str, float], step: int) -> None:
        """Log numbers by name."""
        self.accelerator.log(values, step=step)

    def hear(self, audio: Audio, step: int) -> None:
        """Hand a sound to the trackers that can play one: TensorBoard, in mono."""
        for tracker in self.accelerator.trackers:
            if tracker.name == "tensorboard":
                mono = torch.from_numpy(audio.samples).mean(0, keepdim=True).clamp(-1.0, 1.0)
                tracker.tracker.add_audio("sample", mono, step, sample_rate=audio.sample_rate)

    def close(self) -> None:
        """Let the trackers write what they still hold. The processes stay connected, unlike after `end_training`."""
        for tracker in self.accelerator.trackers:
            tracker.finish()
