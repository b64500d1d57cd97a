"""Options that several commands share, as one dataclass each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer


@dataclass(frozen=True, kw_only=True)
class SolverChoice:
    """How tasks are solved, and what that may cost."""

    solver: Annotated[
        str | None,
        typer.Option(
            help="live, single-shot, claude-code, recorded, oracle or nop "
            "[default: live where there is a credential, else recorded]"
        ),
    ] = None
    kind: Annotated[
        str | None, typer.Option(help="which recordings: agent (ran and mended) or single-shot [default: agent]")
    ] = None
    model: Annotated[str | None, typer.Option(help="the model [default: the agent file's, else claude-sonnet-5-5]")] = (
        None
    )
    effort: Annotated[str | None, typer.Option(help="low, medium, high, xhigh, max or none [default: high]")] = None
    max_cost: Annotated[float | None, typer.Option(min=0, help="dollars for all; no trial that might pass it")] = None
    max_trial_cost: Annotated[float | None, typer.Option(min=0, help="dollars for one trial [default: 5]")] = None
    max_turns: Annotated[int | None, typer.Option(min=1, help="answers of the model in a trial [default: 150]")] = None
    max_output_tokens: Annotated[
        int | None, typer.Option(min=1024, help="output tokens of a trial [default: 250000]")
    ] = None
    max_minutes: Annotated[float | None, typer.Option(min=0.01, help="time to solve [default: the task's]")] = None
    batch: Annotated[
        bool, typer.Option("--batch", help="single-shot by the Message Batches API: half the price, up to a day")
    ] = False
    record: Annotated[Path | None, typer.Option(help="keep the API's traffic in a folder")] = None
    replay: Annotated[Path | None, typer.Option(help="take the API's answers from such a folder")] = None


NO_CHOICE = SolverChoice()
"""The default: everything is left to the command."""


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Offer the fields of every dataclass among a command's parameters as options of their own."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    parameters = [
        found
        for parameter in inspect.signature(command).parameters.values()
        for found in (
            _of_group(groups[parameter.name])
            if parameter.name in groups
            else [parameter.replace(annotation=hints[parameter.name], kind=parameter.KEYWORD_ONLY)]
        )
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _of_group(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name]
        )
        for field in fields(group)
    ]


def _default(field: Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is MISSING else field.default
