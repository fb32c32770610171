"""The page: one player above the tabs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from lmdm_adapter.demo.app_plan import Facts
from lmdm_adapter.demo.assets import asset, player_code
from lmdm_adapter.demo.listener import Listener, visitor_of
from lmdm_adapter.demo.loopback import loopback_found, loopback_ping
from lmdm_adapter.demo.model_bar import ModelDesk, model_bar
from lmdm_adapter.demo.news import News
from lmdm_adapter.demo.record_bar import record_bar
from lmdm_adapter.demo.tabs.delay import delay_tab
from lmdm_adapter.demo.tabs.jam import jam_tab
from lmdm_adapter.demo.tabs.play import play_tab
from lmdm_adapter.demo.tabs.sketch import sketch_tab
from lmdm_adapter.demo.visits import Visits

TITLE = "Live Music Diffusion"
UPLOADS_KEPT_SECONDS = (600, 3600)
"""How often uploads are looked through, and how old they get."""
CSS = """
.gradio-container { max-width: 980px !important; margin: 0 auto; }
footer { display: none !important; }
.gradio-container .main { padding-inline: clamp(8px, 3vw, 32px) !important; min-width: 0; }
"""


def theme() -> gr.themes.Base:
    """Fonts of the reader's own machine: none is fetched. Words that Gradio shows pale are readable: 4.5 to 1."""
    soft = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return soft.set(
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*primary_600", block_title_text_color="*primary_600",
    )  # fmt: skip


def page(visits: Visits, facts: Callable[[], Facts], *, desk: ModelDesk | None = None) -> gr.Blocks:
    """The whole page, for `visits`. `facts` tells of the model that would play now; with a `desk` it can be chosen."""
    streams: dict[str, str] = {}
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=UPLOADS_KEPT_SECONDS) as blocks:
        news = News(facts)
        news.about(gr.Markdown(_heading(facts())), _heading)
        listener = Listener(visits, _player(visits, streams), streams, news)
        record_bar(visits)
        with gr.Tabs():
            with gr.Tab("Play", id="play"):
                play_tab(listener.of("play"), facts())
            with gr.Tab("Sketch", id="sketch"):
                sketch_tab(listener.of("sketch"), facts())
            with gr.Tab("Jam", id="jam"):
                jam_tab(listener.of("jam"), facts())
            with gr.Tab("Generative delay", id="delay"):
                delay_tab(listener.of("delay"), facts())
        if desk is not None:
            model_bar(listener, desk)
        news.complete()
        news.now(blocks.load)
        blocks.unload(_left(visits))
    return blocks.queue(default_concurrency_limit=None)


def _heading(facts: Facts) -> str:
    return f"# {TITLE}\nEndless music, made while you listen. Model: `{facts.name.replace('`', '')}`."


def _player(visits: Visits, streams: dict[str, str]) -> gr.HTML:
    async def played(told: list[Any]) -> None:
        # The page's own code sends the stream's secret name and the samples it has played; others get nothing.
        stream, samples = told if isinstance(told, list) and len(told) == 2 else ("", 0)
        visitor = streams.get(stream) if isinstance(stream, str) else None
        if visitor is not None and type(samples) is int:
            visits.played(visitor, samples)

    return gr.HTML(
        "", html_template=asset("player.html"), css_template=asset("player.css"), js_on_load=player_code(),
        server_functions=[played, loopback_ping, loopback_found], elem_id="player", apply_default_css=False,
    )  # fmt: skip


def _left(visits: Visits) -> Any:
    async def left(request: gr.Request) -> None:
        visits.gone(visitor_of(request))

    return left
