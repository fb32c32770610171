"""What a block is, and how one block is denoised."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json as from_json

Regime = Literal["outpaint", "encoder-decoder", "block-causal"]
Sampler = Literal["pingpong", "pingpong++", "euler"]
Objective = Literal["rectified_flow", "rf_denoiser", "v"]
MAX_FRAMES = 2**20


def require_choice(what: str, value: str, choices: object) -> None:
    """Refuse `value` unless it is one of the strings of the Literal type `choices`."""
    if value not in get_args(choices):
        raise LmdmError(f"Unknown {what} {value!r}; choose one of {', '.join(get_args(choices))}.")


@dataclass(frozen=True)
class BlockSpec:
    """Blocks, context and regime of a live model; lengths are in frames or blocks, as the names say.

    `prefix_distance_frames` is how far before the first target frame the prefix token sits on the rotary axis;
    None means `context_frames + 1` (arXiv 2605.22717; the position the stock model uses over one full window).
    """

    block_frames: int = 48
    context_blocks: int = 4
    regime: Regime = "block-causal"
    prefix_distance_frames: int | None = None

    def __post_init__(self) -> None:
        require_choice("regime", self.regime, Regime)
        for name in ("block_frames", "context_blocks"):
            if getattr(self, name) < 1:
                raise LmdmError(f"BlockSpec needs {name} of at least 1, got {getattr(self, name)}.")
        if self.context_frames > MAX_FRAMES:
            raise LmdmError(
                f"block_frames {self.block_frames} times context_blocks {self.context_blocks} must be at most "
                f"{MAX_FRAMES} frames; choose smaller or fewer blocks."
            )
        if self.prefix_distance_frames is not None and not 1 <= self.prefix_distance_frames <= MAX_FRAMES:
            raise LmdmError(f"prefix_distance_frames must lie in 1..{MAX_FRAMES}, got {self.prefix_distance_frames}.")

    @property
    def context_frames(self) -> int:
        """Frames of context that a block may attend to."""
        return self.block_frames * self.context_blocks

    @property
    def prefix_distance(self) -> int:
        """Rotary distance in frames from the prefix token to the first target frame."""
        return self.context_frames + 1 if self.prefix_distance_frames is None else self.prefix_distance_frames

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object; `from_json(BlockSpec, ...)` reads it back."""
        return asdict(self)


@dataclass(frozen=True)
class Sampling:
    """How one block is denoised: number of denoise steps, sampler, guidance scale (1 = no null branch).

    With `guided_controls` the null branch also goes without the block's own frame controls, so that guidance leads
    towards sketch and accompaniment as towards the prompt (StemGen, arXiv 2312.08723, guides by several sources).
    """

    steps: int = 8
    sampler: Sampler = "pingpong"
    guidance: float = 1.0
    guided_controls: bool = False

    def __post_init__(self) -> None:
        require_choice("sampler", self.sampler, Sampler)
        if self.steps < 1:
            raise LmdmError(f"Sampling needs at least 1 denoise step, got {self.steps}.")
        if not 0.0 <= self.guidance <= 100.0:
            raise LmdmError(f"Guidance must lie between 0 and 100, got {self.guidance}.")

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object; `from_json(Sampling, ...)` reads it back."""
        return asdict(self)
