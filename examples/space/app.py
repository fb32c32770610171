"""The demo as a Hugging Face Space: the same page as `lmdm demo`, with a GPU where there is one."""

import os

import torch

import lmdm_adapter as lmdm
from lmdm_adapter.demo.app import build
from lmdm_adapter.demo.app_plan import DemoPlan
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.server import bound, serve

MODEL = os.environ.get("LMDM_MODEL", "tiny-controls")
# The Space's proxy may call the server by another name than the page's.
PAGE = os.environ.get("SPACE_HOST")
PLAN = DemoPlan(
    host="0.0.0.0",
    port=int(os.environ.get("PORT", "7860")),
    max_sessions=int(os.environ.get("LMDM_MAX_SESSIONS", "1")),
    allowed_origins=() if PAGE is None else (f"https://{PAGE}",),
)

band = Band(lmdm.load(MODEL, device="cuda" if torch.cuda.is_available() else "cpu"), name=MODEL)
app = build(band.voice, PLAN, facts=band.facts)

if __name__ == "__main__":
    serve(app, bound(PLAN))
