"""The socket of Jam and Delay: sound both ways, for pages of this server that hold a token.

Closing codes: 4400 for what is no message or no sound, 4401 without a good token, 4403 for a foreign page, 4408 for
one that says nothing, 4429 for too much at once; 1009 comes from the server for a message beyond `MOST_MESSAGE_BYTES`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from lmdm_adapter.demo.making import Ended, Made
from lmdm_adapter.demo.messages import Event, message
from lmdm_adapter.demo.origins import same_origin
from lmdm_adapter.demo.packets import pack, unpack
from lmdm_adapter.demo.rates import Allowance
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError

log = logging.getLogger(__name__)

PATH = "/lmdm/socket"
MOST_MESSAGE_BYTES = 1 << 17
HELLO_SECONDS = 5.0
MESSAGES_PER_SECOND, MESSAGES_BURST = 300.0, 600.0
SOUND_FACTOR, SOUND_BURST_SECONDS = 1.5, 6.0
"""A page may send sound a little faster than it is played, and catch up after having been stuck."""
NO_MESSAGE, NO_TOKEN, FOREIGN, SILENT, TOO_MUCH = 4400, 4401, 4403, 4408, 4429


class Refused(Exception):
    """Why a socket is closed: a code and a sentence."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


def add_socket(app: FastAPI, visits: Visits, *, allowed_origins: tuple[str, ...] = ()) -> None:
    """Put the socket's route on `app`."""

    @app.websocket(PATH)
    async def line(socket: WebSocket) -> None:
        if not same_origin(socket.headers.get("origin"), socket.headers.get("host"), allowed=allowed_origins):
            await socket.close(FOREIGN, "This page is not one of the server's.")
            return
        await socket.accept()
        try:
            await Line(socket, visits).run()
        except Refused as refusal:
            await _close(socket, refusal.code, refusal.why)
        except WebSocketDisconnect:
            log.debug("a page left")


async def _close(socket: WebSocket, code: int, why: str) -> None:
    if socket.client_state is WebSocketState.CONNECTED and socket.application_state is WebSocketState.CONNECTED:
        # A close frame has room for 123 bytes of reason.
        await socket.close(code, why.encode()[:120].decode(errors="ignore"))


class Line:
    """One socket: a hello with a token and a wish, then packets and messages both ways until either side ends."""

    def __init__(self, socket: WebSocket, visits: Visits) -> None:
        self._socket, self._visits = socket, visits
        self._messages = Allowance(MESSAGES_PER_SECOND, MESSAGES_BURST)
        self._visitor, self._source = "", (0, 0)

    async def run(self) -> None:
        """Serve the page. Raises Refused for what it must not do."""
        wish = await self._hello()
        self._source = wish.source or (0, 0)
        rate = max(1, self._source[0])
        self._sound = Allowance(SOUND_FACTOR * rate, SOUND_BURST_SECONDS * rate)
        stream = self._visits.listen(self._visitor, wish)
        ways = [asyncio.create_task(self._speak(stream)), asyncio.create_task(self._listen())]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            # This line's own music: the page may have begun another meanwhile.
            await stream.aclose()

    async def _hello(self) -> Wish:
        try:
            hello = self._object(await asyncio.wait_for(self._socket.receive_text(), HELLO_SECONDS))
        except (asyncio.TimeoutError, KeyError):
            raise Refused(SILENT, "A page that opens the line must say who it is at once.") from None
        visitor = self._visits.tokens.redeem(hello.get("token"))
        if visitor is None:
            raise Refused(NO_TOKEN, "This token is unknown, used or too old; press Start again.")
        self._visitor = visitor
        return _wish(hello.get("wish"))

    async def _speak(self, stream: AsyncGenerator[Event, None]) -> None:
        async for event in stream:
            if isinstance(event, Made):
                await self._socket.send_bytes(pack(event.packet))
            await self._socket.send_text(json.dumps(message(event)))
            if isinstance(event, Ended):
                await _close(self._socket, 1000, event.why or "")

    async def _listen(self) -> None:
        while True:
            received = await self._socket.receive()
            if received["type"] == "websocket.disconnect":
                return
            if not self._messages.spend():
                raise Refused(TOO_MUCH, "Too many messages at once.")
            if received.get("bytes") is not None:
                self._hear(received["bytes"])
            else:
                self._take(self._object(received.get("text") or ""))

    def _hear(self, content: bytes) -> None:
        try:
            packet = unpack(content, channels=self._source[1])
        except LmdmError as error:
            raise Refused(NO_MESSAGE, str(error)) from None
        if not self._sound.spend(len(packet.samples)):
            raise Refused(TOO_MUCH, "More sound came in than there is time.")
        self._visits.hear(self._visitor, packet.samples, first_sample=packet.first_sample)

    def _take(self, told: dict[str, Any]) -> None:
        try:
            if told.get("kind") == "played":
                self._visits.played(self._visitor, told.get("samples"))
            elif told.get("kind") == "turn":
                self._visits.turn(self._visitor, str(told.get("name")), told.get("value"))
        except LmdmError as error:
            raise Refused(NO_MESSAGE, str(error)) from None

    def _object(self, text: str) -> dict[str, Any]:
        if len(text) > MOST_MESSAGE_BYTES:
            raise Refused(NO_MESSAGE, "A message is too long.")
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            raise Refused(NO_MESSAGE, "A message is no JSON.") from None
        if not isinstance(told, dict):
            raise Refused(NO_MESSAGE, "A message is a JSON object.")
        return told


def _wish(told: object) -> Wish:
    try:
        if not isinstance(told, dict):
            raise LmdmError(f"A wish is an object, got {type(told).__name__}.")
        source = told.get("source")
        if source is not None:
            source = (int(source[0]), int(source[1]))
        return Wish(told.get("mode", "jam"), dict(told.get("values") or {}), told.get("lead_seconds", 0.5), source)
    except (LmdmError, TypeError, ValueError, IndexError, KeyError) as error:
        raise Refused(NO_MESSAGE, f"This wish cannot be read: {error}") from None
