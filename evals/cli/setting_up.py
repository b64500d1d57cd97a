"""Setting up: init, new, doctor."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from evals.cli.options import BAD_INPUT, Json, Root, app, cache

_SIGNS = {"ok": "[green]ok[/]     ", "missing": "[yellow]missing[/]", "broken": "[red]broken[/] "}


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine can do. Status 2 where nothing can be graded on it."""
    from evals.commands import examining

    findings = examining.examine(cache())
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print_findings(findings)
    if any(finding.needed and finding.state != "ok" for finding in findings):
        raise typer.Exit(BAD_INPUT)


def _print_findings(findings: list[Any]) -> None:
    from rich.markup import escape

    from evals.reports import terminal

    out = terminal.console()
    for finding in findings:
        out.print(f"{_SIGNS[finding.state]}  {finding.name}: {escape(finding.found)}", soft_wrap=True)
        if finding.state != "ok" and finding.remedy:
            out.print(f"         {escape(finding.remedy)}", style="dim", soft_wrap=True)


@app.command()
def init(
    root: Root = Path(),
    agent: Annotated[str, typer.Option(help="the agent to begin with")] = "backend-engineer",
) -> None:
    """Set up a repository: an agent, a task, defaults, and the workflows. What is there already is left as it is."""
    from evals.commands import founding

    for path, new in founding.init(root, agent):
        print(f"{'made' if new else 'left'}  {path}")


new = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make an agent, a task or a scorer to begin with.")
app.add_typer(new, name="new")

Name = Annotated[str, typer.Argument(help="its name: letters, digits, - and _")]


@new.command("agent")
def new_agent(name: Name, root: Root = Path()) -> None:
    """Make agents/NAME.md, or with NAME:VARIANT a variant of an agent that is there."""
    from evals.commands import founding

    print(founding.agent(root, name))


@new.command("task")
def new_task(name: Name, root: Root = Path()) -> None:
    """Make a whole task that works: instruction, checks, manifest, reference solution. Change it from there."""
    from evals.commands import founding

    for path in founding.task(root, name):
        print(path)


@new.command("scorer")
def new_scorer(name: Name, root: Root = Path()) -> None:
    """Make fixtures/scorers/NAME.py, a scorer that works and runs with every trial. Change it from there."""
    from evals.commands import founding

    print(founding.scorer(root, name))
