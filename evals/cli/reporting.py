"""Reports: report, view."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from evals.cli.options import Json, Output, Root, app, say

Formats = Annotated[
    list[str] | None,
    typer.Option("--format", help="html, md, json, junit, csv, parquet; may be given again [default: all but parquet]"),
]


@app.command()
def report(
    target: Annotated[
        str, typer.Argument(metavar="RUN|COMPARISON", help="a run's id or `latest`, or what `compare --write` has kept")
    ],
    to: Annotated[Path | None, typer.Option(help="the folder to write to [default: OUTPUT/report]")] = None,
    formats: Formats = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Write a report from stored data: a page, Markdown, JSON, JUnit, tables."""
    from evals.commands import reporting
    from evals.reports import terminal

    request = reporting.Reporting(
        target=target,
        formats=tuple(formats or reporting.DEFAULT_FORMATS),
        folder=to or output / "report",
        output=output,
        root=root,
    )
    found = reporting.report(request)
    if as_json:
        print(json.dumps([str(path) for path in found.paths], indent=2))
        return
    terminal.print_run(terminal.console(), found.dossier.trials)
    for path in found.paths:
        print(path)


@app.command()
def export(
    target: Annotated[str, typer.Argument(metavar="RUN|COMPARISON", help="as for `evals report`")],
    to: Annotated[str, typer.Option("--to", help="inspect (logs of Inspect AI) or atif (trajectories)")],
    folder: Annotated[Path | None, typer.Option("--dir", help="where to write [default: OUTPUT/export]")] = None,
    output: Output = Path("reports"),
) -> None:
    """Write trials in the form of another tool."""
    from evals.commands import exporting

    for path in exporting.export(target, to, folder or output / "export", output=output):
        print(path)


@app.command()
def view(
    folder: Annotated[Path | None, typer.Argument(help="a report's folder [default: reports/report]")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")] = 0,
    browser: Annotated[bool, typer.Option(help="open it in a browser")] = True,
) -> None:
    """Serve a report's folder on loopback until interrupted."""
    from evals.commands import viewing

    viewing.serve(folder or Path("reports/report"), port=port, browser=browser, tell=say)
