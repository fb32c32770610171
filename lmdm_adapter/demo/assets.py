"""The player's own files, put together for the page: nothing is fetched from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return (FOLDER / name).read_text(encoding="utf-8")


def player_code() -> str:
    """The script of the player: its audio threads and its socket's thread as strings, then the panel and itself."""
    threads = {"WORKLETS": "worklets.js", "SOCKET_WORKER": "socket_worker.js"}
    strings = [f"const {name} = {json.dumps(asset(file))};" for name, file in threads.items()]
    return "\n".join([*strings, *map(asset, ("panel.js", "socket_feed.js", "player.js", "monitor.js", "secure.js"))])
