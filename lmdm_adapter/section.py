"""The `"lmdm"` section of a `model_config.json`: what a converted model needs beyond its host's config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lmdm_adapter.controls.declared import SKETCH
from lmdm_adapter.controls.sketch.config import SketchConfig
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.fields import from_json, typed
from lmdm_adapter.network.conditioners import ConditionerConfig
from lmdm_adapter.network.model import NetworkConfig
from lmdm_adapter.spec import BlockSpec, Regime, Sampling

FORMAT_VERSION = 1
CONTEXT_CONTROLS = ("context_mask", "context_latents")
MAX_SECONDS = 1e6


@dataclass(frozen=True)
class LmdmSection:
    """Settings of a live model, written to and read from the host's config file.

    `spec` is None for an offline checkpoint that only declares conditioners; `seconds_total` overrides the window's
    length as the number conditioning; `trained_steps` counts fine-tuning steps (0 = converted, not trained),
    and `trained_regime` is the regime that they were for; None is that of `spec`. `sketch` says how the sketches were
    made that its frame controls were trained with.
    """

    spec: BlockSpec | None = None
    sampling: Sampling = field(default_factory=Sampling)
    frame_controls: tuple[tuple[str, int], ...] = ()
    conditioners: tuple[ConditionerConfig, ...] = ()
    seconds_total: float | None = None
    trained_steps: int = 0
    trained_regime: Regime | None = None
    sketch: SketchConfig | None = None

    def __post_init__(self) -> None:
        if self.seconds_total is not None and not 0.0 <= self.seconds_total <= MAX_SECONDS:
            raise LmdmError(f"lmdm.seconds_total must lie between 0 and {MAX_SECONDS:g}, got {self.seconds_total}.")
        made = {} if self.sketch is None else dict(self.sketch.frame_controls)
        for name, channels in self.frame_controls if self.sketch is not None else ():
            if name in SKETCH and made.get(name) != channels:
                raise LmdmError(
                    f"The frame control {name} has {channels} channels; lmdm.sketch makes {made.get(name)}."
                )

    def to_json(self) -> dict[str, Any]:
        """The section as a JSON object; `LmdmSection.read` takes it back."""
        sketch = {} if self.sketch is None else {"sketch": self.sketch.to_json()}
        return {
            "format_version": FORMAT_VERSION,
            "spec": None if self.spec is None else self.spec.to_json(),
            "sampling": self.sampling.to_json(),
            "frame_controls": [list(control) for control in self.frame_controls],
            "conditioners": [conditioner.to_json() for conditioner in self.conditioners],
            "seconds_total": self.seconds_total,
            "trained_steps": self.trained_steps,
            "trained_regime": self.trained_regime,
            **sketch,  # a model without one keeps the digest that its states and logs know it by
        }

    def in_regime(self, regime: Regime) -> LmdmSection:
        """The same model played in another regime; it remembers which one it was trained for."""
        assert self.spec is not None, "only live models have a regime"
        own = self.trained_regime or self.spec.regime
        trained = None if own == regime else own
        return replace(self, spec=replace(self.spec, regime=regime), trained_regime=trained)

    @property
    def own_steps(self) -> int:
        """Fine-tuning steps in the regime of `spec`."""
        return self.trained_steps if self.trained_regime is None else 0

    def fine_tuned(self, steps: int) -> LmdmSection:
        """The section after `steps` more in the regime of `spec`; those for another regime do not count any more."""
        return replace(self, trained_steps=self.own_steps + steps, trained_regime=None)

    @staticmethod
    def read(config: Mapping[str, Any]) -> LmdmSection:
        """The section of a `model_config.json`, or the defaults where it has none.

        Raises LmdmError for an unknown key or a newer format.
        """
        values = dict(typed(config.get("lmdm", {"format_version": FORMAT_VERSION}), dict, "lmdm"))
        version = values.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise LmdmError(f"This model has lmdm format_version {version!r}; this package reads {FORMAT_VERSION}.")
        if values.get("spec") is not None:
            values["spec"] = from_json(BlockSpec, values["spec"])
        if "sampling" in values:
            values["sampling"] = from_json(Sampling, values["sampling"])
        if values.get("sketch") is not None:
            values["sketch"] = from_json(SketchConfig, values["sketch"])
        conditioners = typed(values.get("conditioners", []), tuple[dict, ...], "lmdm.conditioners")
        values["conditioners"] = tuple(from_json(ConditionerConfig, entry) for entry in conditioners)
        return from_json(LmdmSection, values)

    def extend(self, network: NetworkConfig) -> NetworkConfig:
        """The host's network plus what this section declares.

        Raises LmdmError for frame controls in another order than ours; those of the reference never come here.
        """
        first = tuple(name for name, _ in self.frame_controls[:2])
        if first and first != CONTEXT_CONTROLS:
            raise LmdmError(f"lmdm.frame_controls must begin with {' and '.join(CONTEXT_CONTROLS)}, got {first}.")
        dit = replace(network.dit, frame_controls=self.frame_controls or network.dit.frame_controls)
        cond_dim = network.cond_dim or network.dit.cond_token_dim
        return replace(network, dit=dit, cond_dim=cond_dim, conditioners=network.conditioners + self.conditioners)


def context_controls(io_channels: int) -> tuple[tuple[str, int], ...]:
    """The frame controls that every converted model has: the context mask and the clean context latents."""
    return tuple(zip(CONTEXT_CONTROLS, (1, io_channels), strict=True))
