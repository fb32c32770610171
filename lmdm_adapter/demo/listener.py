"""What every tab needs of the page: music into the player, and knobs to whoever listens."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from lmdm_adapter.demo.making import Ended
from lmdm_adapter.demo.messages import value
from lmdm_adapter.demo.news import News
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Listener:
    """Wires components to the visits of a server. `player` is the page's one player."""

    def __init__(self, visits: Visits, player: gr.HTML, streams: dict[str, str], news: News) -> None:
        self.visits, self.player, self._streams, self.news = visits, player, streams, news

    def play(self, start: Any, stop: Any, inputs: list[Any], wish: Callable[..., Wish]) -> None:
        """Let the event `start` play what `wish` makes of the inputs, until `stop`; through the player's value.

        The page is brought up to date first, since it may be another model that will play.
        """

        async def begin(request: gr.Request, *values: Any) -> AsyncIterator[str]:
            visitor, stream = visitor_of(request), secrets.token_urlsafe(12)
            self._streams[stream] = visitor
            try:
                async for event in self.visits.listen(visitor, wish(*values)):
                    yield value(event, stream)
            except LmdmError as error:
                yield value(Ended(str(error)), stream)
            finally:
                del self._streams[stream]

        def wire(follow: Any) -> None:
            playing = follow(begin, inputs, self.player, concurrency_limit=None, **QUIET)
            stop(self._stopped, None, self.player, cancels=[playing], queue=False, **QUIET)

        self.news.before(start, wire)

    async def _stopped(self, request: gr.Request) -> str:
        self.visits.leave(visitor_of(request))
        return value(Ended(), "")

    def on(
        self, event: Any, name: str, inputs: list[Any], read: Callable[..., Any], *, in_blocks: bool = False
    ) -> None:
        """Let an event turn the parameter `name` to what `read` makes of the inputs.

        With `in_blocks` it is told `block_seconds` too: how long the blocks are of what the visitor hears.
        """

        async def turn(request: gr.Request, *values: Any) -> None:
            visitor = visitor_of(request)
            try:
                block_seconds = self.visits.block_seconds(visitor) or self.news.facts().block_seconds
                told = read(*values, block_seconds=block_seconds) if in_blocks else read(*values)
                self.visits.turn(visitor, name, told)
            except LmdmError as error:
                self.visits.notice(visitor_of(request), str(error))

        event(turn, inputs, None, queue=False, **QUIET)


def visitor_of(request: gr.Request) -> str:
    """The page's own name, one for every tab that is open in a browser."""
    return str(request.session_hash)
