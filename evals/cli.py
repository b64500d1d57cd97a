"""The command line: options in, one call, results printed, exit status out."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from evals.errors import EnvironmentFault, EvalsError, InputError

FELL_SHORT = 1
BAD_INPUT = 2
NOT_MEASURED = 3

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Tells whether a change to a coding agent's prompt made it better or worse.",
)

Agent = Annotated[str, typer.Option("--agent", "-a", help="NAME, NAME:VARIANT, NAME@GITREF, or a path")]
Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="a task; may be given again [default: all]")]
Stacks = Annotated[list[str] | None, typer.Option("--stack", help="a stack; may be given again [default: all]")]
Epochs = Annotated[int | None, typer.Option(min=1, help="repeats of each task [default: 1; recorded: all there are]")]
Solver = Annotated[
    str | None, typer.Option(help="recorded, oracle (the reference solution) or nop [default: recorded]")
]
Model = Annotated[str | None, typer.Option(help="the model; recorded: only recordings known to be of it")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="trials at a time [default: the cores]")]
Output = Annotated[Path, typer.Option("--output", "-o", help="where trials are kept")]
Root = Annotated[Path, typer.Option("--root", help="the folder that holds agents/ and fixtures/")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def _cache() -> Path:
    base = os.environ.get("EVALS_CACHE") or os.environ.get("XDG_CACHE_HOME")
    if os.environ.get("EVALS_CACHE"):
        return Path(str(base))
    return (Path(base) if base else Path.home() / ".cache") / "evals"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _choose_solver(name: str | None) -> str:
    """The solver, said in the first line of the output."""
    if name is not None:
        _say(f"solver: {name}")
        return name
    if os.environ.get("ANTHROPIC_API_KEY"):
        _say("solver: recorded (real deliveries from fixtures/recordings; this version calls no model)")
    else:
        _say("solver: recorded (ANTHROPIC_API_KEY is not set: real deliveries from fixtures/recordings are graded)")
    return "recorded"


def _check_model(solver: str, model: str | None) -> None:
    if model is not None and solver != "recorded":
        raise InputError(f"--model {model}: the solver {solver} uses no model")


@app.command()
def run(
    agent: Agent,
    task: Tasks = None,
    stack: Stacks = None,
    epochs: Epochs = None,
    solver: Solver = None,
    model: Model = None,
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
    resume: Annotated[bool, typer.Option(help="do only what is missing; --no-resume solves everything again")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the plan and its expected cost")] = False,
) -> None:
    """Solve tasks with an agent, grade what it delivers, keep and print the results."""
    from evals import commands

    solver_name = _choose_solver(solver)
    _check_model(solver_name, model)
    request = commands.Request(
        agent=agent,
        tasks=tuple(task or ()),
        stacks=tuple(stack or ()),
        epochs=epochs,
        solver=solver_name,
        model=model,
        jobs=jobs or os.cpu_count() or 1,
        output=output,
        root=root,
        cache=_cache(),
        resume=resume,
        command=tuple(sys.argv[1:]),
    )
    if dry_run:
        _print_plan(commands.dry_run(request), as_json=as_json)
        return
    result = commands.run(request, tell=_say, live=sys.stderr.isatty() and not as_json)
    _print_result(result, as_json=as_json)


def _print_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    from evals.reports import terminal

    if as_json:
        print(json.dumps(plan, indent=2))
        return
    rows = [tuple(str(item[name]) for name in ("task", "stack", "epoch", "state")) for item in plan["trials"]]
    terminal.print_list(terminal.console(), ("task", "stack", "epoch", "to do"), rows)
    print(f"{plan['todo']} of {len(rows)} trials to run; expected cost ${plan['cost_usd']:.2f} ({plan['cost_basis']}),")
    print(f"expected time about {plan['seconds']:.0f} s ({plan['time_basis']})")


def _print_result(result: Any, *, as_json: bool) -> None:
    from evals.reports import summary, terminal

    if as_json:
        print(json.dumps(summary.to_json(result.run_id, result.trials), indent=2))
    else:
        terminal.print_run(terminal.console(), result.trials)
        print(f"run {result.run_id}: {result.path.parent}")
    if any(trial.fault is not None for trial in result.trials):
        raise typer.Exit(NOT_MEASURED)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="agents, tasks or runs")],
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """List agents, tasks or runs."""
    from evals import commands
    from evals.reports import terminal

    head, rows = commands.listing(what, root=root, output=output)
    if as_json:
        print(json.dumps([dict(zip(head, cells, strict=True)) for cells in rows], indent=2))
    else:
        terminal.print_list(terminal.console(), head, rows)


@app.command()
def show(
    trial: Annotated[str, typer.Argument(help="a trial's id, the beginning of one, or its file")],
    output: Output = Path("reports"),
    as_json: Json = False,
) -> None:
    """Show one trial: scores with reasons, failed checks, the workspace's files, the service's log."""
    from evals import commands
    from evals.reports import terminal

    found, log = commands.show(trial, output=output)
    if as_json:
        print(json.dumps(found.document, indent=2))
    else:
        terminal.print_trial(terminal.console(), found, log=log)


@app.command()
def rescore(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="a run's id, the beginning of one, or `latest`")],
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Grade the stored workspaces of a run again, without solving."""
    from evals import commands

    request = commands.Rescore(
        run=run_id,
        jobs=jobs or os.cpu_count() or 1,
        output=output,
        root=root,
        cache=_cache(),
        command=tuple(sys.argv[1:]),
    )
    result = commands.rescore(request, tell=_say, live=sys.stderr.isatty() and not as_json)
    for line in result.changes:
        _say(line)
    _print_result(result, as_json=as_json)


@app.command()
def validate(
    task: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="tasks [default: all]")] = None,
    runs: Annotated[int, typer.Option(min=1, help="runs of the reference solution")] = 1,
    load: Annotated[int, typer.Option(min=0, help="busy processes beside those runs")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="a seeded fifth of the mutants")] = False,
    fail_under: Annotated[float, typer.Option(min=0, max=1, help="the lowest kill rate to accept")] = 0.95,
    write: Annotated[Path | None, typer.Option(help="a folder for the cards, as Markdown and JSON")] = None,
    jobs: Jobs = None,
    output: Output = Path("reports"),
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Measure graders: kill rate over seeded defects, false rejections, flakes. Status 1 where one falls short."""
    from evals import commands
    from evals.reports import card, terminal
    from evals.validate import shortcomings

    request = commands.Validation(
        tasks=tuple(task or ()),
        runs=runs,
        load=load,
        quick=quick,
        jobs=jobs or os.cpu_count() or 1,
        output=output,
        root=root,
        cache=_cache(),
    )
    cards = commands.validate(request, tell=_say, write=write)
    if as_json:
        print(json.dumps(cards, indent=2))
    else:
        terminal.print_list(terminal.console(), card.HEAD, map(card.line, cards))
    problems = [line for found in cards for line in shortcomings(found, fail_under)]
    for line in problems:
        _say(line)
    if problems:
        raise typer.Exit(FELL_SHORT)


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


def main() -> None:
    """Entry point; every known error ends in a message and an exit status."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()  # ends by itself: 0, 2 for wrong options, 130 when interrupted
    except (InputError, EnvironmentFault) as error:
        _say(f"evals: {error}")
        sys.exit(BAD_INPUT)
    except EvalsError as error:
        _say(f"evals: {error}")
        sys.exit(NOT_MEASURED)
    except OSError as error:
        _say(f"evals: {error.strerror or error}: {error.filename or 'no file named'}")
        sys.exit(BAD_INPUT)
