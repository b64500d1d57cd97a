"""Comparing and planning: compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from evals.cli.options import (
    FELL_SHORT,
    NOT_MEASURED,
    Alpha,
    FailOn,
    Json,
    Margin,
    MetricName,
    Output,
    Root,
    Tasks,
    app,
    gate,
)

_REVISIONS = "a git reference of --agent, NAME, NAME:VARIANT, NAME@GITREF, a prompt's path, or a run"

Base = Annotated[str, typer.Argument(metavar="BASE", help=_REVISIONS)]
Heads = Annotated[list[str], typer.Argument(metavar="HEAD...", help="one or more of the same")]
AgentName = Annotated[str | None, typer.Option("--agent", "-a", help="whose git references BASE and HEAD are")]


@app.command()
def compare(
    base: Base,
    heads: Heads,
    agent: AgentName = None,
    task: Tasks = None,
    metric: MetricName = "acceptance",
    margin: Margin = 0.05,
    alpha: Alpha = 0.05,
    generalize: Annotated[bool, typer.Option("--generalize", help="ask about tasks like these, not these")] = False,
    fail_on: FailOn = "regressed",
    solver: Annotated[str | None, typer.Option(help="only trials of this solver")] = None,
    model: Annotated[str | None, typer.Option(help="only trials of this model")] = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Say of each HEAD whether it is improved, regressed, equivalent or inconclusive, from stored trials."""
    from evals.commands import comparing
    from evals.reports import comparison, terminal
    from evals.rulings import Question

    request = comparing.Comparing(
        base=base,
        heads=tuple(heads),
        agent=agent,
        tasks=tuple(task or ()),
        question=Question(metric=metric, margin=margin, alpha=alpha, generalize=generalize),
        gate=gate(fail_on),
        solver=solver,
        model=model,
        output=output,
        root=root,
    )
    found = comparing.compare(request)
    if as_json:
        print(json.dumps(found.documents, indent=2))
    else:
        for document in found.documents:
            comparison.print_comparison(terminal.console(), document)
    if not found.measured:
        raise typer.Exit(NOT_MEASURED)
    if not found.passed:
        raise typer.Exit(FELL_SHORT)
