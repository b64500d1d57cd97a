"""The scorers of a run: the usual ones, those that were asked for, and a project's own; and what grades depend on.

A project's own scorers are files `fixtures/scorers/NAME.py` that offer `create`, as those of `evals.scorers` do.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from evals import digests, plugins
from evals.environments import Environments
from evals.errors import InputError
from evals.types import Scorer, Stack, Task

ALL = "all"
"""Stands for every optional scorer."""

_GRADERS = ("scorers/**/*", "arena/**/*", "sandboxes/**/*")


def folder(root: Path) -> Path:
    """Where a project's own scorers are."""
    return root / "fixtures" / "scorers"


@cache
def _of_package() -> dict[str, bytes]:
    return digests.folder_files(Path(str(resources.files("evals"))), _GRADERS)


@cache
def digest(root: Path) -> str:
    """Identity of everything that decides a grade and is no part of a task or stack."""
    own = {f"project/{name}": data for name, data in digests.folder_files(folder(root), ("*.py",)).items()}
    return digests.of_files(_of_package() | own)


def grading(task: Task, stack: Stack) -> str:
    """Identity of all that a grade depends on beside the workspace."""
    return digests.of_json([task.digest, stack.digest, digest(task.root)])


def load(
    environments: Environments, root: Path, wanted: Sequence[str] = (), tasks: Iterable[Task] = ()
) -> tuple[Scorer, ...]:
    """The usual scorers, those of `wanted`, those that a task's weights name, and the project's own.

    Raises `InputError` for a name that no scorer has, a weight that no scorer gives, and a file that is no scorer.
    """
    offered = [plugins.factory("scorers", name)(environments) for name in plugins.names("scorers")]
    own = [_of_project(path, environments) for path in sorted(folder(root).glob("*.py"))]
    tasks = list(tasks)
    weighed = {name for task in tasks for name in task.weights}
    _check_wanted(wanted, [scorer.name for scorer in offered if _optional(scorer)])
    kept = [
        scorer
        for scorer in offered
        if not _optional(scorer) or ALL in wanted or scorer.name in wanted or weighed & set(scorer.gives)
    ]
    _check_names([*offered, *own], root)
    _check_weights(tasks, [*kept, *own])
    return (*kept, *own)


def scores(scorers: Iterable[Scorer]) -> frozenset[str]:
    """The names of the scores that scorers give."""
    return frozenset(name for scorer in scorers for name in scorer.gives)


def _optional(scorer: Scorer) -> bool:
    return bool(getattr(scorer, "optional", False))


def _check_wanted(wanted: Sequence[str], optional: list[str]) -> None:
    unknown = sorted(set(wanted) - {*optional, ALL})
    if unknown:
        there = ", ".join([*optional, ALL])
        raise InputError(f"--scorers: found {unknown[0]!r}; there are, beside the usual ones: {there}")


def _check_names(scorers: list[Scorer], root: Path) -> None:
    given = [name for scorer in scorers for name in scorer.gives]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise InputError(f"{folder(root)}: found the score {twice[0]!r}, which another scorer gives too")


def _check_weights(tasks: list[Task], scorers: list[Scorer]) -> None:
    given = scores(scorers)
    found = [
        f"{task.path / 'task.toml'}: metadata.evals.weights: found {name!r}, which no scorer gives; there are: "
        f"{', '.join(sorted(given))}"
        for task in tasks
        for name in sorted(set(task.weights) - given)
    ]
    if found:
        raise InputError(*found)


def _of_project(path: Path, environments: Environments) -> Scorer:
    """The scorer of a file; whatever its import raises is told with its name."""
    spec = importlib.util.spec_from_file_location(f"evals_project_scorer_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        scorer: Scorer = module.create(environments)
        named = (scorer.name, tuple(scorer.gives), scorer.score)
    except Exception as error:  # noqa: BLE001 (a file of anybody's)
        raise InputError(f"{path}: is no scorer: {type(error).__name__}: {error}") from None
    if not named[1] or not all(isinstance(name, str) for name in (named[0], *named[1])):
        raise InputError(f"{path}: is no scorer: `name` and `gives` must be texts; found {named[0]!r}, {named[1]!r}")
    return scorer
