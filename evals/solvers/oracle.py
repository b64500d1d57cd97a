"""The reference solution: what a perfect delivery gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals import workspace
from evals.errors import InputError
from evals.types import Revision, Settings, Solution, Stack, Task


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """Delivers `solution/STACK/` of the task."""

    settings: Settings = field(default=Settings(solver="oracle", kind="oracle"))

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """Any number."""
        del revision, task, stack
        return None

    async def solve(self, revision: Revision, task: Task, stack: Stack, epoch: int) -> Solution:
        """The files of the reference solution."""
        del revision, epoch
        folder = task.path / "solution" / stack.name
        if not folder.is_dir():
            raise InputError(f"{folder}: is missing; the task {task.id} has no reference solution for {stack.name}")
        collected = workspace.collect(folder)
        return Solution(files={**stack.starting_files(), **collected.files}, ended="done", dropped=collected.dropped)


def create(root: Path, model: str | None) -> Oracle:
    """The solver; it has no model."""
    del root, model
    return Oracle()
