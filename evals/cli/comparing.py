"""Comparing and planning: compare, plan, ablate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
    Stacks,
    Tasks,
    app,
    gate,
    request_of,
    say,
)

if TYPE_CHECKING:
    from evals.commands.comparing import Compared

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
    kind: Annotated[str | None, typer.Option(help="only trials of this kind: agent, single-shot, ...")] = None,
    model: Annotated[str | None, typer.Option(help="only trials of this model")] = None,
    settings: Annotated[str | None, typer.Option(help="only trials with these settings, by digest")] = None,
    write: Annotated[Path | None, typer.Option(help="a folder for comparison.json and comparison.md")] = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Say of each HEAD whether it is improved, regressed, equivalent or inconclusive, from stored trials."""
    from evals.commands import comparing
    from evals.rulings import Question

    request = comparing.Comparing(
        base=base,
        heads=tuple(heads),
        agent=agent,
        tasks=tuple(task or ()),
        question=Question(metric=metric, margin=margin, alpha=alpha, generalize=generalize),
        gate=gate(fail_on),
        solver=solver,
        kind=kind,
        model=model,
        settings=settings,
        output=output,
        root=root,
    )
    _print_compared(comparing.compare(request), write, as_json=as_json)


def _print_compared(found: Compared, write: Path | None, *, as_json: bool) -> None:
    from evals.reports import comparison, markdown, terminal

    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        (write / "comparison.json").write_text(json.dumps(found.documents, indent=2) + "\n")
        (write / "comparison.md").write_text(markdown.comment(found.documents), "utf-8")
    if as_json:
        print(json.dumps(found.documents, indent=2))
    else:
        for document in found.documents:
            comparison.print_comparison(terminal.console(), document)
    if not found.measured:
        raise typer.Exit(NOT_MEASURED)
    if not found.passed:
        raise typer.Exit(FELL_SHORT)


@app.command()
def plan(
    agent: Agent,
    task: Tasks = None,
    effect: Annotated[float, typer.Option(min=0.001, help="the difference that must not be missed")] = 0.1,
    metric: MetricName = "acceptance",
    alpha: Alpha = 0.05,
    power: Annotated[float, typer.Option(min=0.5, max=0.99, help="the chance to find it")] = 0.8,
    spread: Annotated[
        float | None, typer.Option(min=0.0001, help="standard deviation between trials of a task [default: as stored]")
    ] = None,
    cost: Annotated[float | None, typer.Option(min=0, help="dollars a trial [default: as stored]")] = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Say how many epochs, trials and dollars it takes to see an effect."""
    from evals.commands import planning

    request = planning.Planning(
        agent=agent,
        tasks=tuple(task or ()),
        metric=metric,
        effect=effect,
        alpha=alpha,
        power=power,
        spread=spread,
        cost=cost,
        output=output,
        root=root,
    )
    found = planning.plan(request)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _print_sizes(found, metric)


def _print_sizes(found: dict[str, Any], metric: str) -> None:
    aim = f"to see {found['effect']:g} in {metric} with {found['power']:.0%} power at alpha {found['alpha']:g}"
    print(f"{aim}, on {len(found['tasks'])} tasks:")
    print(f"  spread between trials of a task: {found['spread']:.3f} ({found['spread_basis']})")
    print(f"  cost of a trial: {_dollars(found['cost_a_trial_usd'])} ({found['cost_basis']})")
    for name, size in (
        ("fixed size", found["fixed"]),
        ("until verdict, expected", found["until_verdict"]["expected"]),
        ("until verdict, at most", found["until_verdict"]["at_most"]),
    ):
        print(f"  {name}: {size['epochs']:g} epochs, {size['trials']:g} trials, {_dollars(size['cost_usd'])}")
    for row in found["room"]:
        told = f"{', '.join(row['metrics'])} can still show a difference" if row["metrics"] else "nothing can show more"
        full = f"; at the ceiling: {', '.join(row['saturated'])}" if row["saturated"] else ""
        print(f"  {row['task']}: {told}{full}")


def _dollars(value: float | None) -> str:
    return "cost not known" if value is None else f"${value:.2f}"


@app.command()
@spread
def ablate(
    agent: Agent,
    clause: Annotated[list[str] | None, typer.Option("--clause", help="a clause; may be given again")] = None,
    only_list: Annotated[bool, typer.Option("--list", help="list the clauses, and run nothing")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="keep the prompts as agents/variants/, and run nothing")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="a picture of the intervals: .svg, .png or .pdf")] = None,
    task: Tasks = None,
    stack: Stacks = None,
    epochs: Epochs = None,
    choice: SolverChoice = NO_CHOICE,
    metric: MetricName = "acceptance",
    margin: Margin = 0.05,
    alpha: Alpha = 0.05,
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Leave out one clause of the prompt at a time, and say which earn their tokens."""
    from evals.commands import ablating
    from evals.rulings import Question

    chosen = ablating.find(agent, root, tuple(clause or ()))
    if only_list:
        _print_clauses(chosen, as_json=as_json)
        return
    if write:
        for path in ablating.write(agent, root, chosen):
            print(path)
        return
    request = request_of(agent, task, stack, epochs, choice, jobs, output, root)
    question = Question(metric=metric, margin=margin, alpha=alpha)
    found = ablating.ablate(request, question, chosen, tell=say, live=sys.stderr.isatty() and not as_json)
    _print_ablated(found, as_json=as_json)
    if picture is not None:
        _draw(found, picture, margin)


def _print_clauses(chosen: list[Any], *, as_json: bool) -> None:
    from evals.reports import terminal

    rows = [(clause.name, str(clause.tokens), clause.text.split("\n")[0][:80]) for clause in chosen]
    if as_json:
        print(json.dumps([{"clause": name, "tokens": int(tokens), "begins": text} for name, tokens, text in rows]))
    else:
        terminal.print_list(terminal.console(), ("clause", "tokens", "begins"), rows)


def _print_ablated(found: list[Any], *, as_json: bool) -> None:
    from evals.commands.ablating import MEANINGS
    from evals.reports import comparison, terminal

    if as_json:
        print(json.dumps([{"clause": a.clause.name, "tokens": a.clause.tokens, **a.document} for a in found], indent=2))
        return
    rows = [
        (
            item.clause.name,
            str(item.clause.tokens),
            comparison.interval(item.document["difference"], item.document["unit"]),
            MEANINGS[item.document["verdict"]],
        )
        for item in found
    ]
    terminal.print_list(terminal.console(), ("left out", "tokens", "difference", "the clause"), rows)


def _draw(found: list[Any], path: Path, margin: float) -> None:
    from evals.reports import picture

    rows = [
        picture.Row(
            label=item.clause.name,
            difference=item.document["difference"]["difference"] * 100,
            low=item.document["difference"]["low"] * 100,
            high=item.document["difference"]["high"] * 100,
            verdict=item.document["verdict"],
        )
        for item in found
        if item.document["difference"]
    ]
    picture.draw(
        rows, path, title="the prompt without each clause", axis="difference to the whole, points", margin=margin * 100
    )
    say(f"picture: {path}")
