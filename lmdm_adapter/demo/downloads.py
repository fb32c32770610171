"""The way to a visitor's finished recordings: a URL with the secret that their page alone was given."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from lmdm_adapter.demo.records import Records

PATH = "lmdm/recordings"
TYPES = {".wav": "audio/wav", ".jsonl": "application/jsonl"}


def add_downloads(app: FastAPI, records: Records) -> None:
    """Put the files' route on `app`. Anything but a finished file of a shelf that is open is 404."""

    @app.get(f"/{PATH}/{{key}}/{{name}}")
    def download(key: str, name: str) -> FileResponse:
        path = records.file(key, name)
        if path is None:
            raise HTTPException(404, "There is no such recording; it went when its page was closed.")
        guard = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        kind = TYPES.get(path.suffix, "application/octet-stream")
        return FileResponse(path, filename=name, media_type=kind, headers=guard)


def address_of(key: str, name: str) -> str:
    """The file's URL, relative to the page's."""
    return f"{PATH}/{key}/{name}"
