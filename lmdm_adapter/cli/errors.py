"""What a user sees when a command fails: one sentence and an exit code, never a traceback."""

from __future__ import annotations

import errno
import logging
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from lmdm_adapter.errors import LmdmError

FAILED, INTERRUPTED = 1, 130
logger = logging.getLogger(__name__)


def sentence_of(error: Exception) -> str:
    """One line of text: the message of an LmdmError, or what an OSError is about."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return " ".join(text.split())


class SentenceGroup(TyperGroup):
    """A group of commands whose user errors end as `error: ...` on standard error with exit code 1.

    Only LmdmError and OSError are the user's; anything else is a bug of ours and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command of `ctx`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (LmdmError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            logger.debug("the error in full", exc_info=sys.exc_info())
            typer.echo(f"error: {sentence_of(error)}", err=True)
            raise typer.Exit(FAILED) from None
