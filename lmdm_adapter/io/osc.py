"""Open Sound Control: a socket of this machine whose messages turn the board, in a thread of its own."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.extras import extra
from lmdm_adapter.io.osc_packets import well_formed
from lmdm_adapter.io.osc_routes import ERROR, Reply, Routes

log = logging.getLogger(__name__)

LOCALHOST = "127.0.0.1"
WANTED_BUFFER_BYTES = 1 << 20
MOST_REFUSALS_TOLD = 20
"""Sentences a second that a sender of nonsense gets, and the log; the rest is counted."""
LONGEST_SHOWN = 200
JOIN_SECONDS = 2.0


class Allowance:
    """At most `most` in any one second of `now`, a clock in seconds."""

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most, self._now, self._second, self._spent = most, now, -1, 0

    def spend(self) -> bool:
        """Whether one more is allowed now."""
        second = int(self._now())
        if second != self._second:
            self._second, self._spent = second, 0
        self._spent += 1
        return self._spent <= self._most


class OscServer:
    """Listens at `host`:`port` (0: a free one) within a `with` block, one message after the other, in their order.

    Replies go to the socket that asked. What does not fit is answered with `/lmdm/error` (the address, a sentence),
    logged, counted in `refused`, and changes nothing; a flood of it is answered `MOST_REFUSALS_TOLD` times a second.
    What comes faster than it can be taken waits in the socket's buffer, and is lost when that is full.
    Raises LmdmError when the package is missing, or the port is taken or not allowed.
    """

    def __init__(self, routes: Routes, *, port: int, host: str = LOCALHOST) -> None:
        server = extra("pythonosc.osc_server", "OSC", extra_name="live")
        dispatcher = extra("pythonosc.dispatcher", "OSC", extra_name="live").Dispatcher(strict_timing=False)
        dispatcher.set_default_handler(self._handle, needs_reply_address=True)
        self._message = extra("pythonosc.osc_message_builder", "OSC", extra_name="live").build_msg
        self.taken = self.refused = 0
        self._routes, self._allowance = routes, Allowance(MOST_REFUSALS_TOLD)
        try:
            self._server = server.BlockingOSCUDPServer((host, port), dispatcher)
        except (OSError, OverflowError) as error:
            raise refusal(host, port, error) from error
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WANTED_BUFFER_BYTES)
        # The library logs to the root logger and prints tracebacks for packets that are broken.
        self._server.verify_request = self._well_formed
        self._server.handle_error = self._broken
        self.host, self.port = self._server.server_address[:2]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="lmdm-osc", daemon=True)

    def __enter__(self) -> OscServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(JOIN_SECONDS)
        self._server.server_close()

    def _handle(self, sender: tuple[str, int], address: str, *arguments: Any) -> None:
        try:
            replies = self._routes.answer(address, arguments)
            self.taken += 1
        except LmdmError as error:
            replies = self._refused(address[:LONGEST_SHOWN], str(error)[:LONGEST_SHOWN])
        for reply in replies:
            self._send(sender, reply)

    def _refused(self, address: str, sentence: str) -> list[Reply]:
        self.refused += 1
        if not self._allowance.spend():
            return []
        log.warning("OSC %s: %s", address, sentence)
        return [Reply(ERROR, (address, sentence))]

    def _send(self, sender: tuple[str, int], reply: Reply) -> None:
        try:
            self._server.socket.sendto(self._message(reply.address, reply.arguments).dgram, sender)
        except OSError as error:
            log.info("The OSC reply to %s could not be sent: %s.", sender, error)

    def _well_formed(self, request: tuple[bytes, Any], sender: Any) -> bool:
        if well_formed(request[0]):
            return True
        self._broken(request, sender)
        return False

    def _broken(self, request: Any, sender: Any) -> None:
        self.refused += 1
        if self._allowance.spend():
            log.warning("A packet from %s is no OSC that is read here; it was passed over.", sender)


def require_free_port(port: int, *, host: str = LOCALHOST) -> None:
    """Refuse a port that cannot be listened at, before anything slow begins. Raises LmdmError with the cure."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        raise refusal(host, port, error) from error


def refusal(host: str, port: int, error: Exception) -> LmdmError:
    """The sentence for an address that cannot be listened at."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return LmdmError(f"Port {port} of {host} is in use; choose another with --osc-port, or 0 for any free one.")
    reason = getattr(error, "strerror", None) or error
    return LmdmError(f"Cannot listen for OSC at {host}, port {port} ({reason}); choose another with --osc-port.")
