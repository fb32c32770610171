"""What a report holds, as values that know their JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmdm_adapter.evaluation.drift import Drift, Slope
from lmdm_adapter.evaluation.frechet import Distance
from lmdm_adapter.evaluation.kernel_distance import KernelDistance
from lmdm_adapter.evaluation.listening import Excerpt, Figure
from lmdm_adapter.evaluation.report_plan import ReportPlan
from lmdm_adapter.spec import Sampling


@dataclass(frozen=True, eq=False)
class Measured:
    """One contender, or the held-out songs themselves.

    `figures` are means over all windows, `primed` those of one window that goes on from each song, `drifts` every
    measure over time (none for songs), `tried` the kernel distance at each guidance that was tried. `frechet` is None
    where there are too few windows for it.
    """

    name: str
    figures: dict[str, Figure]
    primed: dict[str, Figure]
    kernel: KernelDistance
    frechet: Distance | None
    sampling: Sampling | None = None
    drifts: dict[str, Drift] = field(default_factory=dict)
    tried: dict[float, float] = field(default_factory=dict)
    excerpts: tuple[Excerpt, ...] = ()
    music_seconds: float = 0.0
    compute_seconds: float | None = None

    def to_json(self) -> dict[str, object]:
        """Every number, no sound."""
        return {
            "name": self.name,
            "sampling": None if self.sampling is None else self.sampling.to_json(),
            "music_seconds": self.music_seconds,
            "compute_seconds": self.compute_seconds,
            "kernel_distance": self.kernel.to_json(),
            "frechet_distance": None if self.frechet is None else self.frechet.to_json(),
            "measures": {name: figure.to_json() for name, figure in self.figures.items()},
            "primed": {name: figure.to_json() for name, figure in self.primed.items()},
            "drift": {name: one.to_json() for name, one in self.drifts.items()},
            "guidance_tried": [{"guidance": key, "kernel_distance": value} for key, value in self.tried.items()],
        }


@dataclass(frozen=True, eq=False)
class Report:
    """Everything measured; `songs` are held-out songs, `chance` these against other songs' prompts.

    `codec` are the same songs through the model's codec: the best that the model could sound like.
    """

    plan: ReportPlan
    reference: str
    prompts: tuple[str, ...]
    songs: Measured
    codec: Measured
    chance: dict[str, Figure]
    model: Measured
    baseline: Measured | None

    @property
    def steeper(self) -> dict[str, Slope]:
        """Slopes of the model minus those of the baseline, paired by prompt."""
        if self.baseline is None:
            return {}
        theirs = self.baseline.drifts
        return {name: ours.minus(theirs[name]) for name, ours in self.model.drifts.items()}

    def to_json(self) -> dict[str, object]:
        """Plan and every number as one JSON object."""
        return {
            "plan": self.plan.to_json(),
            "reference": self.reference,
            "prompts": list(self.prompts),
            "songs": self.songs.to_json(),
            "codec": self.codec.to_json(),
            "chance": {name: figure.to_json() for name, figure in self.chance.items()},
            "model": self.model.to_json(),
            "baseline": None if self.baseline is None else self.baseline.to_json(),
            "model_minus_baseline_slopes": {name: slope.to_json() for name, slope in self.steeper.items()},
        }
