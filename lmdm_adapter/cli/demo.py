"""`lmdm demo`: the page in the browser."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from lmdm_adapter.cli.options import DeviceOption, Dtype, DtypeOption, ModelOption, ThreadsOption, VerboseOption

DEFAULT_MODEL = "tiny-controls"
"""The bundled model that plays in every tab."""


def demo(
    model: ModelOption = DEFAULT_MODEL,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 picks a free one.")] = 7860,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")] = True,
    auth: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--auth", metavar="USER:PASSWORD", help="Let in only who knows these."),
    ] = None,
    max_sessions: Annotated[
        int, typer.Option("--max-sessions", help="How many may listen at a time; the others wait in line.")
    ] = 2,
    share: Annotated[
        bool, typer.Option("--share", help="Make a public link, through Gradio's tunnel; needs --auth.")
    ] = False,
    allow_models: Annotated[
        bool,
        typer.Option("--allow-models", help="Let the page load models also where others use it: folders, hub ids."),
    ] = False,
    device: DeviceOption = "cpu",
    dtype: DtypeOption = Dtype.float32,
    threads: ThreadsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Play in the browser: prompts that can be changed while the music goes on, drawn sketches, jamming, a
    generative delay. Ctrl-C ends it."""
    from lmdm_adapter.cli.demo_serving import DemoRequest, serve_demo
    from lmdm_adapter.cli.screen import say

    request = DemoRequest(
        model=model, host=host, port=port, browser=browser, auth=auth, max_sessions=max_sessions, share=share,
        allow_models=allow_models, device=device, dtype=dtype.value, threads=threads,
    )  # fmt: skip
    serve_demo(request, notice=say)
