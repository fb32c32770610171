"""Which pages may open the socket: those that this very server sent."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def same_origin(origin: str | None, host: str | None, *, allowed: tuple[str, ...] = ()) -> bool:
    """Whether a request's Origin header is a page of the server that its Host header names, or one of `allowed`.

    A browser always sends an Origin when it opens a socket, and no page can forge it. No Origin is no right one.
    """
    if not origin or not host:
        return False
    if origin in allowed:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    return host in LOOPBACK or host.startswith("127.")


def hosts_of(host: str) -> list[str]:
    """Names by which a page may ask for the server.

    One that listens on this machine only answers to no other name: a foreign page whose name suddenly means 127.0.0.1
    gets nothing.
    """
    return ["127.0.0.1", "localhost", "[::1]", host] if is_loopback(host) else ["*"]
