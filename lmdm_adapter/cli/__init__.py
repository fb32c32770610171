"""The command line `lmdm`: one file per command. Importing it loads no torch, so that `lmdm --help` is quick."""

from lmdm_adapter.cli.app import app, main

__all__ = ["app", "main"]
