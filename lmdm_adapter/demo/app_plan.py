"""How the demo is served, as values."""

from __future__ import annotations

from dataclasses import dataclass

from lmdm_adapter.demo.origins import is_loopback
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import Sampling


@dataclass(frozen=True)
class DemoPlan:
    """How the demo is served: where, to how many at a time, and to whom (`auth`: user and password, or everyone).

    `allowed_origins` are pages besides the server's own that may open the socket: a proxy's, for one. `allow_models`
    lets everyone who is let in choose the model, which reads folders of this machine and fetches from the hub.
    Raises LmdmError for a port or number of sessions that cannot be, and for sharing without a password.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    max_sessions: int = 2
    auth: tuple[str, str] | None = None
    share: bool = False
    allowed_origins: tuple[str, ...] = ()
    allow_models: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise LmdmError(f"A port is a number from 0 to 65535, got {self.port}.")
        if self.max_sessions < 1:
            raise LmdmError(f"At least one session is needed, got --max-sessions {self.max_sessions}.")
        if self.auth is not None and not all(self.auth):
            raise LmdmError("--auth needs a user and a password: --auth USER:PASSWORD.")
        if self.share and self.auth is None:
            raise LmdmError("--share puts the page on the internet, so it needs --auth USER:PASSWORD.")

    @property
    def may_choose_models(self) -> bool:
        """Whether the page may load another model: on this machine alone, or where it was allowed in so many words."""
        return self.allow_models or (is_loopback(self.host) and self.auth is None and not self.share)


@dataclass(frozen=True)
class Facts:
    """What the page must know before it plays: how the model samples, how long its blocks are, how far ahead to be."""

    name: str = "tiny-controls"
    sampling: Sampling = Sampling()
    block_seconds: float = 0.5
    lead_seconds: float = 0.5
    device: str = "cpu"
    dtype: str = "float32"

    @property
    def sentence(self) -> str:
        """All of it, for the page."""
        return (f"{self.name}: {self.dtype} on {self.device}, blocks of {self.block_seconds:.2f} s, "
                f"{self.sampling.steps} steps, guidance {self.sampling.guidance:g}.")  # fmt: skip
