"""What models have done: record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from evals.cli.options import Json, Output, Root, app


@app.command()
def record(
    names: Annotated[list[str], typer.Argument(metavar="RUN|TRIAL...", help="ids, beginnings of ids, or `latest`")],
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Keep what a model has delivered as fixtures/recordings/, to be graded without a key."""
    from evals.commands import recording

    found = recording.record(names, output=output, root=root)
    if as_json:
        print(
            json.dumps([{"trial": r.trial.document["id"], "path": str(r.path), "new": r.new} for r in found], indent=2)
        )
        return
    for item in found:
        print(f"{item.trial.document['id']}: {item.path}{'' if item.new else ' (was there already)'}")
