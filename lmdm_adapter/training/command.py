"""The command line of a recipe run as a module: one config file, nothing else."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from typing import TypeVar

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.training.configs import find_config, read_config
from lmdm_adapter.training.loop import Trained
from lmdm_adapter.training.processes import end_program, is_first_process

log = logging.getLogger(__name__)
Config = TypeVar("Config")


def recipe_command(cls: type[Config], run: Callable[[Config], object]) -> None:
    """Parse `--config FILE`, run, and turn an LmdmError into one line and exit status 1.

    A run that was asked to stop says so and ends with status 0: launchers take any other for a crash.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    text = f"JSON file with the fields of {cls.__name__}, or the name of one that ships"
    parser.add_argument("--config", required=True, help=text)
    logging.basicConfig(level=logging.INFO if is_first_process() else logging.WARNING, format="%(message)s")
    try:
        result = run(read_config(cls, find_config(cls, parser.parse_args().config)))
    except LmdmError as error:
        sys.exit(f"Error: {error}")
    if isinstance(result, Trained) and not result.finished and result.is_main:
        log.info("Stopped at step %d: the same command goes on from here.", result.step)
    end_program()
