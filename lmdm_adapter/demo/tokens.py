"""Passes for the socket: handed out through an event of the page, which knows who is logged in; good once, and soon."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

LIFE_SECONDS = 20.0
MOST_TOKENS = 256


class Tokens:
    """Each token belongs to one visitor, works once, and only for `LIFE_SECONDS`."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._issued: dict[str, tuple[str, float]] = {}

    def issue(self, visitor: str) -> str:
        """A new token for the visitor; an older one of theirs is void."""
        self._issued = {t: entry for t, entry in self._issued.items() if entry[0] != visitor and self._fresh(entry)}
        while len(self._issued) >= MOST_TOKENS:
            self._issued.pop(next(iter(self._issued)))
        token = secrets.token_urlsafe(32)
        self._issued[token] = (visitor, self._now())
        return token

    def redeem(self, token: object) -> str | None:
        """The visitor whose token this is, or None: unknown, used already, or too old."""
        entry = self._issued.pop(token, None) if isinstance(token, str) else None
        return entry[0] if entry is not None and self._fresh(entry) else None

    def void(self, visitor: str) -> None:
        """Forget the tokens of a visitor who has gone."""
        self._issued = {token: entry for token, entry in self._issued.items() if entry[0] != visitor}

    def _fresh(self, entry: tuple[str, float]) -> bool:
        return self._now() - entry[1] <= LIFE_SECONDS
