"""Measuring graders: validate."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from evals import graders, headroom, plugins, schema, workspace
from evals import validate as validation
from evals.catalog import cheats, mutants, recordings, tasks
from evals.commands import sandboxing
from evals.environments import Environments
from evals.errors import InputError
from evals.reports import card
from evals.store import Store
from evals.types import Task

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What `evals validate` is asked for.

    What is not asked for by `parts` and `mutants` is taken from the card in `write`.
    """

    tasks: tuple[str, ...]
    parts: tuple[str, ...]
    mutants: tuple[str, ...]
    runs: int
    load: int
    quick: bool
    jobs: int
    output: Path
    root: Path
    cache: Path
    sandbox: str | None = None


def validate(request: Validation, *, tell: Tell, write: Path | None) -> list[dict[str, Any]]:
    """The report cards of the tasks' graders; with `write`, kept in that folder, each as soon as it is there."""
    environments = Environments(cache=request.cache, tell=tell)
    scorers = {scorer.name: scorer for scorer in graders.load(environments, request.root)}
    with Store(request.output) as store:
        wanted = tasks.load_all(list(request.tasks), request.root)
        subjects = [subject_of(task, request.root, environments) for task in wanted]
        needed: list[Any] = [*scorers.values(), *(subject.stack for subject in subjects)]
        for part in needed:
            part.prepare()
        bench = validation.Bench(
            store=store,
            sandbox=sandboxing.make(request.sandbox),
            acceptance=scorers.pop("acceptance"),
            others=tuple(scorers.values()),
            jobs=request.jobs,
            runs=request.runs,
            load=request.load,
            quick=request.quick,
            tell=tell,
        )
        earlier = [_earlier_card(request, subject.task, write) for subject in subjects]
        return [_measured(*pair, request, bench, write) for pair in zip(subjects, earlier, strict=True)]


def _earlier_card(request: Validation, task: Task, write: Path | None) -> dict[str, Any] | None:
    """The card that some parts are measured anew for; None where all are."""
    unknown = sorted(set(request.parts) - set(validation.PARTS))
    if unknown:
        raise InputError(f"--part: found {unknown[0]!r}; there are: {', '.join(validation.PARTS)}")
    if not request.parts and not request.mutants:
        return None
    path = (write or Path()) / f"{task.id}.json"
    if write is None or not path.is_file():
        raise InputError(f"--part and --mutant: need --write DIR with a card of {task.id} ({path}), for the rest")
    found: dict[str, Any] = schema.load_json(path.read_bytes(), "card", str(path))
    if found["digest"] != task.digest:
        raise InputError(f"{path}: is of another state of {task.id}; measure all parts")
    return found


def _measured(
    subject: validation.Subject,
    earlier: dict[str, Any] | None,
    request: Validation,
    bench: validation.Bench,
    write: Path | None,
) -> dict[str, Any]:
    parts = request.parts or (("mutants",) if request.mutants else tuple(validation.PARTS))
    wanted = tuple(m for m in subject.mutants if not request.mutants or m.id in request.mutants)
    if not wanted and request.mutants:
        raise InputError(f"--mutant: {subject.task.id} has no {', '.join(request.mutants)}")
    found = anyio.run(validation.measure, replace(subject, mutants=wanted), bench, parts)
    if earlier is not None:
        found = validation.merged(subject, earlier, found, parts)
    schema.check(found, "card", f"card of {subject.task.id}")
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        (write / f"{subject.task.id}.md").write_text(card.markdown(found))
        (write / f"{subject.task.id}.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def subject_of(task: Task, root: Path, environments: Environments) -> validation.Subject:
    """A task, its reference, its mutants, and other solutions: written for it, or delivered and known to be correct."""
    stack = plugins.factory("stacks", task.stacks[0])(environments)
    reference = workspace.collect(task.path / "solution" / stack.name).files
    start = stack.starting_files()
    recorded = [r for r in recordings.load_all(root) if r.task == task.id and r.correct]
    folders = sorted((task.path / "solutions" / stack.name).glob("*/"))
    written = [path for path in folders if not path.name.startswith(".")]
    solutions = {path.name: {**start, **workspace.collect(path).files} for path in written}
    found = cheats.load_all(root)
    return validation.Subject(
        task=task,
        stack=stack,
        reference={**start, **reference},
        solutions={**solutions, **{r.name: r.files() for r in recorded}},
        mutants=mutants.load(task),
        cheats=found,
        cheat_base=cheats.load_base(root) if found else {},
    )


def headroom_of(names: tuple[str, ...], wanted: tuple[str, ...], *, output: Path) -> list[dict[str, Any]]:
    """What the trials of runs say of their tasks and checks."""
    store = Store(output)
    trials = [t for name in names for relative in store.run(name)["trials"] for t in store.folder_trials(relative)]
    found = headroom.measure(trial for trial in trials if not wanted or trial.key.task in wanted)
    if not found:
        raise InputError(f"--trials {', '.join(names)}: no scored trial in {output}")
    schema.check(found, "headroom", "headroom")
    return found
