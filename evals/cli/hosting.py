"""For CI: ci evaluate, ci comment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.groups import NO_CHOICE, SolverChoice, spread
from evals.cli.options import (
    FELL_SHORT,
    Alpha,
    FailOn,
    Jobs,
    Margin,
    MetricName,
    Output,
    Root,
    Tasks,
    app,
    gate,
    request_of,
    say,
)

if TYPE_CHECKING:
    from evals.commands.hosting import Change, Evaluated

ci = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="For CI: evaluate a pull request, comment on it.")
app.add_typer(ci, name="ci")


@ci.command()
@spread
def evaluate(
    agent: Annotated[list[str] | None, typer.Option("--agent", "-a", help="an agent [default: those changed]")] = None,
    base: Annotated[str | None, typer.Option(help="a commit [default: the event's]")] = None,
    head: Annotated[str | None, typer.Option(help="a commit [default: the event's]")] = None,
    task: Tasks = None,
    max_epochs: Annotated[int, typer.Option(min=2, help="the most epochs")] = 10,
    choice: SolverChoice = NO_CHOICE,
    metric: MetricName = "acceptance",
    margin: Margin = 0.05,
    alpha: Alpha = 0.05,
    fail_on: FailOn = "regressed",
    to: Annotated[Path, typer.Option(help="the folder of the report")] = Path("evals-report"),
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
) -> None:
    """Compare the prompts that a pull request changes; GitHub's outputs, summary and annotations are written."""
    from evals.commands import hosting
    from evals.commands.settling import Settling
    from evals.rulings import Question

    question = Question(metric=metric, margin=margin, alpha=alpha)
    asked = Settling(
        base="", question=question, gate=gate(fail_on), looks=True, max_epochs=max_epochs, max_cost=choice.max_cost
    )
    change = _change(base, head)
    names = agent or hosting.changed_agents(change, root)
    request = request_of("", task, None, None, choice, jobs, output, root)
    can_solve = request.solver != "recorded" or choice.solver is not None
    found = hosting.evaluate(change, names, request, asked, can_solve=can_solve, tell=say)
    hosting.keep(found, change, to, request)
    _tell(found, to)
    if not found.passed:
        raise typer.Exit(FELL_SHORT)


def _change(base: str | None, head: str | None) -> Change:
    from evals.commands.hosting import Change, change_of

    if base and head:
        return Change(base=base, head=head, number=None)
    return change_of(os.environ)


def _tell(found: Evaluated, to: Path) -> None:
    from evals.commands import hosting

    for line in hosting.marks(found):
        print(line)
    for name, value in hosting.outputs(found, to).items():
        print(f"{name}: {value}")
        _append("GITHUB_OUTPUT", f"{name}={value}\n")
    _append("GITHUB_STEP_SUMMARY", hosting.comment(found))


def _append(variable: str, text: str) -> None:
    path = os.environ.get(variable)
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


@ci.command()
def comment(
    folder: Annotated[Path, typer.Argument(help="what `evals ci evaluate --to` has written")] = Path("evals-report"),
) -> None:
    """Put the comment onto the pull request, in place of the last one."""
    from evals.commands import commenting

    print(commenting.post(folder, commenting.hosting_of(os.environ)))
