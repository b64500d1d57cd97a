"""The command line: options in, one call, results printed, exit status out. Nothing else prints."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from evals.cli import comparing, config, grading, hosting, reporting, running, setting_up, solving
from evals.cli.options import BAD_INPUT, NOT_MEASURED, app, say
from evals.errors import EnvironmentFault, EvalsError, InputError

__all__ = ["app", "comparing", "grading", "hosting", "main", "reporting", "running", "setting_up", "solving"]


def _version(value: bool) -> None:
    if value:
        import evals

        print(evals.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    del version


def _stop(_signal: int, _frame: object) -> None:
    """SIGTERM ends a run as Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def _call(arguments: list[str], defaults: str) -> None:
    """The application ends by itself: 0, 2 for wrong options, 130 when interrupted."""
    try:
        app(arguments)
    except SystemExit as end:
        if end.code == BAD_INPUT and defaults:
            say(f"evals: among the options are those {defaults}")
        raise


def main() -> None:
    """Entry point; every known error ends in a message and an exit status."""
    # Shells start background jobs of scripts with SIGINT ignored, and children inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _stop)
    try:
        known = config.commands(typer.main.get_command(app))
        _call(*config.expand(sys.argv[1:], known, Path()))
    except (InputError, EnvironmentFault) as error:
        say(f"evals: {error}")
        sys.exit(BAD_INPUT)
    except EvalsError as error:
        say(f"evals: {error}")
        sys.exit(NOT_MEASURED)
    except OSError as error:
        say(f"evals: {error.strerror or error}: {error.filename or 'no file named'}")
        sys.exit(BAD_INPUT)
