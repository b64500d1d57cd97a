"""What the commands share: the application, options, messages and exit statuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.errors import InputError

if TYPE_CHECKING:
    from evals.commands.running import Request
    from evals.rulings import Gate

FELL_SHORT = 1
BAD_INPUT = 2
NOT_MEASURED = 3
"""Exit statuses; 0 is success, 130 an interruption."""

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

MetricName = Annotated[str, typer.Option("--metric", help="what the verdict is about, such as composite or all_pass")]
Margin = Annotated[float, typer.Option(min=0, help="a difference that does not matter")]
Alpha = Annotated[float, typer.Option(min=0.0001, max=0.5, help="the accepted rate of false verdicts")]
FailOn = Annotated[
    str, typer.Option("--fail-on", help="regressed, not-improved, not-noninferior or inconclusive: status 1")
]


def cache() -> Path:
    """Where packages for grading are installed, once."""
    base = os.environ.get("EVALS_CACHE") or os.environ.get("XDG_CACHE_HOME")
    if os.environ.get("EVALS_CACHE"):
        return Path(str(base))
    return (Path(base) if base else Path.home() / ".cache") / "evals"


def say(text: str) -> None:
    """A message that is not the result."""
    print(text, file=sys.stderr, flush=True)


def gate(text: str) -> Gate:
    """A gate by name; `InputError` lists what there is."""
    from evals.rulings import GATES

    for name in GATES:
        if name == text:
            return name
    raise InputError(f"--fail-on: found {text!r}; there are: {', '.join(GATES)}")


def choose_solver(name: str | None) -> str:
    """The solver, said in the first line of the output."""
    if name is not None:
        say(f"solver: {name}")
        return name
    if os.environ.get("ANTHROPIC_API_KEY"):
        say("solver: recorded (real deliveries from fixtures/recordings; this version calls no model)")
    else:
        say("solver: recorded (ANTHROPIC_API_KEY is not set: real deliveries from fixtures/recordings are graded)")
    return "recorded"


def request_of(
    agent: str,
    task: list[str] | None,
    stack: list[str] | None,
    epochs: int | None,
    solver: str | None,
    model: str | None,
    jobs: int | None,
    output: Path,
    root: Path,
    resume: bool = True,
) -> Request:
    """What a run is asked for; the solver is said in the first line of the output."""
    from evals.commands.running import Request

    name = choose_solver(solver)
    if model is not None and name != "recorded":
        raise InputError(f"--model {model}: the solver {name} uses no model")
    return Request(
        agent=agent,
        tasks=tuple(task or ()),
        stacks=tuple(stack or ()),
        epochs=epochs,
        solver=name,
        model=model,
        jobs=jobs or os.cpu_count() or 1,
        output=output,
        root=root,
        cache=cache(),
        resume=resume,
        command=tuple(sys.argv[1:]),
    )
