"""What the commands share: the application, options, messages and exit statuses."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals import machine
from evals.cli.groups import SolverChoice
from evals.errors import InputError

if TYPE_CHECKING:
    from evals.commands.running import Request
    from evals.rulings import Gate

FELL_SHORT = 1
BAD_INPUT = 2
NOT_MEASURED = 3
"""Exit statuses; 0 is success, 130 an interruption."""

MODEL_SOLVERS = ("live", "single-shot", "claude-code")
"""Solvers that call a model, which cost money."""

WITHOUT_EFFECT = {"single-shot": ("--max-turns", "--max-minutes"), "claude-code": ("--record", "--replay")}
"""Options that a solver cannot honour: one answer has no turns, and Claude Code has a transport of its own."""

SINGLE_SHOT = "single-shot"
"""Recordings of one answer, of which nothing was run."""

JOBS_WITH_MODEL = 4
"""Trials at a time where most of the time is spent waiting for a model."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Tells whether a change to a coding agent's prompt made it better or worse.",
)

Agent = Annotated[str, typer.Option("--agent", "-a", help="NAME, NAME:VARIANT, NAME@GITREF, or a path")]
Tasks = Annotated[list[str] | None, typer.Option("--task", "-t", help="a task; may be given again [default: all]")]
Stacks = Annotated[list[str] | None, typer.Option("--stack", help="a stack; may be given again [default: all]")]
Epochs = Annotated[int | None, typer.Option(min=1, help="repeats of each task [default: 1; recorded: all there are]")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="trials at a time [default: the cores; 4 with a model]")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="where trials are kept")]
Root = Annotated[Path, typer.Option("--root", help="the folder that holds agents/ and fixtures/")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]

Scorers = Annotated[
    list[str] | None,
    typer.Option("--scorers", help="efficiency, test_strength, maintainability or all, beside the usual scorers"),
]
SandboxName = Annotated[
    str | None, typer.Option("--sandbox", help="bubblewrap or docker [default: EVALS_SANDBOX, else bubblewrap]")
]
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


def choose_solver(choice: SolverChoice) -> str:
    """The solver, said in the first line of the output; `InputError` where other options do not go with it."""
    from evals.messages.models import has_credential

    if choice.solver is not None:
        name, why = choice.solver, ""
    elif choice.replay is not None:
        name, why = "live", f" (answers from {choice.replay})"
    elif has_credential():
        name, why = "live", ""
    else:
        name = "recorded"
        why = " (ANTHROPIC_API_KEY is not set: real deliveries from fixtures/recordings are graded)"
    _check_choice(choice, name)
    say(f"solver: {name}{why}{_shown_kind(choice, name)}")
    return name


def _shown_kind(choice: SolverChoice, name: str) -> str:
    """What sort of deliveries recordings are: never two sorts in one run."""
    if name != "recorded":
        return ""
    how = "one answer, nothing run" if choice.kind == SINGLE_SHOT else "agents that ran and mended their work"
    return f"; recordings of kind {choice.kind or 'agent'}: {how}"


def _check_choice(choice: SolverChoice, name: str) -> None:
    """Options without effect are errors: what somebody asks for must not be passed over in silence."""
    of_models = {
        "--effort": choice.effort,
        "--max-trial-cost": choice.max_trial_cost,
        "--max-turns": choice.max_turns,
        "--max-output-tokens": choice.max_output_tokens,
        "--max-minutes": choice.max_minutes,
        "--record": choice.record,
        "--replay": choice.replay,
    }
    given = [option for option, value in of_models.items() if value is not None]
    if name not in MODEL_SOLVERS and given:
        raise InputError(f"{given[0]}: the solver {name} calls no model")
    idle = [option for option in given if option in WITHOUT_EFFECT.get(name, ())]
    if idle:
        raise InputError(f"{idle[0]}: has no effect under --solver {name}")
    if name not in (*MODEL_SOLVERS, "recorded") and choice.model is not None:
        raise InputError(f"--model {choice.model}: the solver {name} uses no model")
    if choice.kind is not None and name != "recorded":
        raise InputError(f"--kind {choice.kind}: goes with --solver recorded; found {name}")
    if choice.batch and name != "single-shot":
        raise InputError(f"--batch: goes with --solver single-shot; found {name}, which needs an answer at a time")
    if choice.record is not None and choice.replay is not None:
        raise InputError("--record: does not go with --replay")
    if choice.batch and (choice.record is not None or choice.replay is not None):
        raise InputError("--batch: its traffic is neither recorded nor replayed")


def request_of(
    agent: str,
    task: list[str] | None,
    stack: list[str] | None,
    epochs: int | None,
    choice: SolverChoice,
    jobs: int | None,
    output: Path,
    root: Path,
    resume: bool = True,
    scorers: list[str] | None = None,
    sandbox: str | None = None,
) -> Request:
    """What a run is asked for; the solver is said in the first line of the output."""
    from evals.commands.running import Request
    from evals.types import SolverOptions

    name = choose_solver(choice)
    asked = {field.name: getattr(choice, field.name) for field in fields(choice) if field.name != "solver"}
    return Request(
        agent=agent,
        tasks=tuple(task or ()),
        stacks=tuple(stack or ()),
        epochs=epochs,
        solver=name,
        options=SolverOptions(root=root, output=output, again=not resume, tell=say, **asked),
        jobs=jobs or (JOBS_WITH_MODEL if name in MODEL_SOLVERS else machine.cores()),
        output=output,
        root=root,
        cache=cache(),
        resume=resume,
        scorers=tuple(scorers or ()),
        sandbox=sandbox,
        command=tuple(sys.argv[1:]),
    )
