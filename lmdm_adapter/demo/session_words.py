"""What a session writes into its log, as sentences for the listener."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

INPUT = {
    "nan": "The sound that comes in holds NaN; silence is heard in its place.",
    "gap": "Some of your sound got lost on the way; silence is heard in its place.",
    "jump": "Much of your sound got lost on the way; what comes now is heard from now on.",
    "stopped": "Your sound does not come in; silence is heard in its place.",
    "stopped over": "Your sound comes in again.",
    "ahead": "Your sound comes faster than the music plays; what is too far ahead is dropped.",
    "overrun": "Your sound comes faster than it can be heard; the rest is dropped.",
}


def sentence(record: Mapping[str, Any]) -> str | None:
    """What the listener should read about one record of the log, or None."""
    kind = record["kind"]
    if kind == "governor":
        return _decision(record)
    if kind == "hold":
        return "The music ran out, so its last bar is held: fewer steps, or a longer lead."
    if kind == "resume":
        return "The music goes on."
    if kind == "input":
        return INPUT.get(record["what"])
    return str(record["why"]) if kind == "refused" else None


def sentences(records: Iterable[Mapping[str, Any]]) -> str | None:
    """What the listener should read about some records, or None."""
    said = dict.fromkeys(one for record in records if (one := sentence(record)) is not None)
    return " ".join(said) or None


def _decision(record: Mapping[str, Any]) -> str:
    late = record["after"] < record["before"] if record["what"] == "steps" else record["after"] > record["before"]
    why = "The music comes late" if late else "The music is in time again"
    if record["what"] == "steps":
        return f"{why}: {record['after']:g} denoise steps a block instead of {record['before']:g}."
    return f"{why}: it is made {record['after']:.2f} s ahead from now on."
