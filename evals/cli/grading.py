"""Grading what is there: grade."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from evals.cli.options import Json, Root, SandboxName, Scorers, app, cache, say


@app.command()
def grade(
    task: Annotated[str, typer.Argument(metavar="TASK", help="the task that it is an answer to")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="the files to grade")],
    stack: Annotated[str | None, typer.Option(help="the stack [default: the task's first]")] = None,
    scorers: Scorers = None,
    sandbox: SandboxName = None,
    root: Root = Path(),
    reward: Annotated[Path | None, typer.Option(help="write the scores as a flat JSON object, as Harbor reads")] = None,
    as_json: Json = False,
) -> None:
    """Grade a folder of files as an answer to a task; no agent is asked, and nothing is kept."""
    from evals.commands import grading

    request = grading.Grading(
        task=task,
        folder=folder,
        stack=stack,
        scorers=tuple(scorers or ()),
        root=root,
        cache=cache(),
        sandbox=sandbox,
    )
    found = grading.grade(request, tell=say)
    if reward is not None:
        reward.write_text(json.dumps(grading.rewards(found)) + "\n")
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    from evals.reports.terminal import printable

    for score in found["scores"]:
        print(f"{score['value']:7.1%}  {score['name']}: {printable(score['reason'])}")
    print(f"{found['composite']:7.1%}  composite")
    for score in found["scores"]:
        for check in score["details"].get("checks", []):
            if check["outcome"] != "passed":
                print(
                    f"failed  {check['id']}: expected {printable(check['expected'])}; came {printable(check['came'])}"
                )
    for text in (*found["attacks"], *found["dropped"]):
        print(f"found   {printable(text)}")
