"""Running and looking: run, list, show, rescore, validate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evals import machine
from evals.cli.groups import NO_CHOICE, SolverChoice, spread
from evals.cli.options import (
    FELL_SHORT,
    NOT_MEASURED,
    Agent,
    Alpha,
    Epochs,
    FailOn,
    Jobs,
    Json,
    Margin,
    MetricName,
    Output,
    Root,
    SandboxName,
    Scorers,
    Stacks,
    Tasks,
    app,
    cache,
    gate,
    request_of,
    say,
)
from evals.errors import InputError

if TYPE_CHECKING:
    from evals.commands.running import Request
    from evals.commands.settling import Settling


@app.command()
@spread
def run(
    agent: Agent,
    task: Tasks = None,
    stack: Stacks = None,
    epochs: Epochs = None,
    choice: SolverChoice = NO_CHOICE,
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
    resume: Annotated[bool, typer.Option(help="do only what is missing; --no-resume solves everything again")] = True,
    scorers: Scorers = None,
    sandbox: SandboxName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and its expected cost")] = False,
    against: Annotated[str | None, typer.Option(help="a revision to run as well, and to compare with")] = None,
    until_verdict: Annotated[
        bool, typer.Option("--until-verdict", help="with --against: add epochs until the verdict is clear")
    ] = False,
    max_epochs: Annotated[int, typer.Option(min=2, help="with --until-verdict: the most epochs")] = 20,
    metric: MetricName = "acceptance",
    margin: Margin = 0.05,
    alpha: Alpha = 0.05,
    fail_on: FailOn = "regressed",
) -> None:
    """Solve tasks with an agent, grade what it delivers, keep and print the results."""
    from evals.commands import running as commands

    request = request_of(agent, task, stack, epochs, choice, jobs, output, root, resume, scorers, sandbox)
    live = sys.stderr.isatty() and not as_json
    _check_together(against, until_verdict, dry_run)
    if dry_run:
        _print_plan(commands.dry_run(request), as_json=as_json)
    elif against is None:
        _print_result(commands.run(request, tell=say, live=live), as_json=as_json)
    else:
        most = max_epochs if until_verdict else epochs or max_epochs
        asked = _settling(against, metric, margin, alpha, fail_on, until_verdict, most, choice.max_cost)
        _settle(request, asked, live=live, as_json=as_json)


def _check_together(against: str | None, until_verdict: bool, dry_run: bool) -> None:
    if until_verdict and against is None:
        raise InputError("--until-verdict: needs --against BASE, the revision to compare with")
    if dry_run and against is not None:
        raise InputError("--dry-run: does not go with --against; `evals plan` says what a comparison takes")


def _settling(
    base: str,
    metric: str,
    margin: float,
    alpha: float,
    fail_on: str,
    looks: bool,
    max_epochs: int,
    max_cost: float | None,
) -> Settling:
    from evals.commands.settling import Settling
    from evals.rulings import Question

    question = Question(metric=metric, margin=margin, alpha=alpha)
    return Settling(
        base=base, question=question, gate=gate(fail_on), looks=looks, max_epochs=max_epochs, max_cost=max_cost
    )


def _settle(request: Request, asked: Settling, *, live: bool, as_json: bool) -> None:
    from evals.commands.settling import settle

    _print_settled(settle(request, asked, tell=say, live=live), as_json=as_json)


def _print_settled(settled: Any, *, as_json: bool) -> None:
    from evals.reports import comparison, terminal

    if as_json:
        print(json.dumps({"ended": settled.ended, "ran": len(settled.trials), **settled.document}, indent=2))
    else:
        comparison.print_comparison(terminal.console(), settled.document)
        print(f"{len(settled.trials)} trials were run; no more, since {settled.ended}")
    if not settled.document["difference"]:
        raise typer.Exit(NOT_MEASURED)
    if not settled.document["gate"]["passed"]:
        raise typer.Exit(FELL_SHORT)


def _print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    from evals.reports import terminal

    if as_json:
        print(json.dumps(plan, indent=2))
        return
    rows = [tuple(str(item[name]) for name in ("task", "stack", "epoch", "state")) for item in plan["trials"]]
    terminal.print_list(terminal.console(), ("task", "stack", "epoch", "to do"), rows)
    cost = "not known" if plan["cost_usd"] is None else f"${plan['cost_usd']:.2f}"
    print(f"{plan['todo']} of {len(rows)} trials to run; expected cost {cost} ({plan['cost_basis']}),")
    print(f"expected time about {plan['seconds']:.0f} s ({plan['time_basis']})")


def _print_result(result: Any, *, as_json: bool) -> None:
    from evals.reports import summary, terminal

    if as_json:
        print(json.dumps(summary.to_json(result.run_id, result.trials), indent=2))
    else:
        terminal.print_run(terminal.console(), result.trials)
        print(f"run {result.run_id}: {result.path.parent}")
    for line in result.not_started:
        say(line)
    if result.not_started or any(trial.fault is not None for trial in result.trials):
        raise typer.Exit(NOT_MEASURED)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="agents, tasks or runs")],
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """List agents, tasks or runs."""
    from evals.commands import looking
    from evals.reports import terminal

    head, rows = looking.listing(what, root=root, output=output)
    if as_json:
        print(json.dumps([dict(zip(head, cells, strict=True)) for cells in rows], indent=2))
    else:
        terminal.print_list(terminal.console(), head, rows)


@app.command()
def show(
    trial: Annotated[str, typer.Argument(help="a trial's id, the beginning of one, or its file")],
    transcript: Annotated[bool, typer.Option("--transcript", help="what the model said and did, turn by turn")] = False,
    output: Output = Path("reports"),
    as_json: Json = False,
) -> None:
    """Show one trial: scores with reasons, failed checks, the workspace's files, the service's log."""
    from evals.commands import looking
    from evals.reports import terminal

    if transcript:
        _print_transcript(looking.transcript(trial, output=output), as_json=as_json)
        return
    found, log = looking.show(trial, output=output)
    if as_json:
        print(json.dumps(found.document, indent=2))
    else:
        terminal.print_trial(terminal.console(), found, log=log)


def _print_transcript(events: list[dict[str, Any]], *, as_json: bool) -> None:
    from evals.reports import terminal
    from evals.reports.transcript import print_transcript

    if as_json:
        print(json.dumps(events, indent=2))
    else:
        print_transcript(terminal.console(), events)


@app.command()
def rescore(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="a run's id, the beginning of one, or `latest`")],
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    scorers: Scorers = None,
    sandbox: SandboxName = None,
    as_json: Json = False,
) -> None:
    """Grade the stored workspaces of a run again, without solving."""
    from evals.commands import running as commands

    request = commands.Rescore(
        run=run_id,
        scorers=tuple(scorers or ()),
        jobs=jobs or machine.cores(),
        output=output,
        root=root,
        cache=cache(),
        command=tuple(sys.argv[1:]),
        sandbox=sandbox,
    )
    result = commands.rescore(request, tell=say, live=sys.stderr.isatty() and not as_json)
    for line in result.changes:
        say(line)
    _print_result(result, as_json=as_json)


Parts = Annotated[
    list[str] | None,
    typer.Option("--part", help="oracle, nop, solutions, mutants or cheats; the rest from the card in --write"),
]
Trials = Annotated[
    list[str] | None, typer.Option("--trials", help="a run: tell from it what tasks and checks can still tell apart")
]


@app.command()
def validate(
    task: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="tasks [default: all]")] = None,
    part: Parts = None,
    mutant: Annotated[list[str] | None, typer.Option(help="a mutant; the rest from the card in --write")] = None,
    runs: Annotated[int, typer.Option(min=1, help="runs of the reference solution")] = 1,
    load: Annotated[int, typer.Option(min=0, help="busy processes beside those runs")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="a seeded fifth of the mutants")] = False,
    fail_under: Annotated[float, typer.Option(min=0, max=1, help="the lowest kill rate to accept")] = 0.95,
    write: Annotated[Path | None, typer.Option(help="a folder for the cards, as Markdown and JSON")] = None,
    trials: Trials = None,
    jobs: Jobs = None,
    sandbox: SandboxName = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Measure graders: kill rate over seeded defects, false rejections, flakes. Status 1 where one falls short."""
    from evals.commands import validating

    if trials:
        _print_headroom(validating.headroom_of(tuple(trials), tuple(task or ()), output=output), as_json=as_json)
        return
    request = validating.Validation(
        tasks=tuple(task or ()),
        parts=tuple(part or ()),
        mutants=tuple(mutant or ()),
        runs=runs,
        load=load,
        quick=quick,
        jobs=jobs or machine.cores(),
        output=output,
        root=root,
        cache=cache(),
        sandbox=sandbox,
    )
    _print_cards(validating.validate(request, tell=say, write=write), fail_under, as_json=as_json)


def _print_cards(cards: list[dict[str, Any]], fail_under: float, *, as_json: bool) -> None:
    from evals.reports import card, terminal
    from evals.validate import shortcomings

    if as_json:
        print(json.dumps(cards, indent=2))
    else:
        terminal.print_list(terminal.console(), card.HEAD, map(card.line, cards))
    problems = [line for found in cards for line in shortcomings(found, fail_under)]
    for line in problems:
        say(line)
    if problems:
        raise typer.Exit(FELL_SHORT)


def _print_headroom(found: list[dict[str, Any]], *, as_json: bool) -> None:
    from evals.reports import headroom, terminal

    if as_json:
        print(json.dumps(found, indent=2))
        return
    terminal.print_list(terminal.console(), headroom.HEAD, map(headroom.line, found))
    for line in headroom.notes(found):
        print(line)
