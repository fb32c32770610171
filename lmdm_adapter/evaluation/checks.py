"""A figure held against its target."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Check:
    """One target: what is measured, the figure, its 95 % interval where there is one, and the limit it must keep.

    `at_least` turns the limit round. The figure decides, not the interval.
    """

    name: str
    value: float
    limit: float
    low: float | None = None
    high: float | None = None
    at_least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the figure keeps the limit; NaN never does."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def to_json(self) -> dict[str, object]:
        """All fields, and whether it passed."""
        return {**asdict(self), "passed": self.passed}
