"""What a page shows of the model, brought up to date when another one is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}


class News:
    """Each page remembers what it last showed; `facts` tells of the model that would play now.

    Only a page that is about to play, or shows another model's figures and plays nothing, is changed: what is set
    belongs to the music that plays.
    """

    def __init__(self, facts: Callable[[], Facts]) -> None:
        self.facts, self._seen = facts, gr.State(facts())
        self._parts: list[tuple[Any, Callable[[Facts], Any]]] = []
        self._wires: list[Callable[[], None]] = []

    def about(self, component: Any, read: Callable[[Facts], Any]) -> None:
        """Let a component's value be what `read` makes of the facts."""
        self._parts.append((component, read))

    def before(self, start: Any, wire: Callable[[Any], None]) -> None:
        """Let `wire` use an event that follows `start` once the page is up to date, in the place of `start`.

        It is called by `complete`, since whatever a page shows of the model may be built after the button.
        """
        self._wires.append(lambda: wire(self.now(start).then))

    def complete(self) -> None:
        """Everything that is shown of the model is built: wire what waited for that."""
        for wire in self._wires:
            wire()

    def now(self, event: Any, *, unless: Callable[[gr.Request], bool] = lambda request: False) -> Any:
        """Bring all parts so far up to date at an event, `unless` this says no; the event, to go on from."""
        parts = list(self._parts)

        async def bring(request: gr.Request, seen: Facts) -> list[Any]:
            facts = self.facts()
            if facts == seen or unless(request):
                return [gr.skip()] * (1 + len(parts))
            return [facts, *(gr.update(value=read(facts)) for _, read in parts)]

        return event(bring, self._seen, [self._seen, *(component for component, _ in parts)], **QUIET)
