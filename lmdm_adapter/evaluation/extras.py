"""Packages that only some measures need (extra `[evaluate]`)."""

from __future__ import annotations

from lmdm_adapter.extras import extra as extra


def require_extras(*, plots: bool, resampling: bool) -> None:
    """Miss a package before minutes of work, not after. Raises LmdmError with the cure."""
    needed = {"librosa": "Hearing beats and keys", "mir_eval": "Scoring beats and keys", "scipy": "An interval"}
    needed |= {"matplotlib": "The page of a report"} if plots else {}
    needed |= {"soxr": "A reference of recordings"} if resampling else {}
    for module, what in needed.items():
        extra(module, what)
