"""The reference solution: what a perfect delivery gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals import workspace
from evals.errors import InputError
from evals.types import Assignment, Revision, Settings, Solution, SolverOptions, Stack, Task


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """Delivers `solution/STACK/` of the task."""

    name: str = "oracle"

    def settings(self, revision: Revision) -> Settings:
        """Nothing acts on what it leaves."""
        del revision
        return Settings(solver="oracle", kind="oracle")

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """Any number."""
        del revision, task, stack
        return None

    async def solve(self, assignment: Assignment) -> Solution:
        """The files of the reference solution."""
        task, stack = assignment.task, assignment.stack
        folder = task.path / "solution" / stack.name
        if not folder.is_dir():
            raise InputError(f"{folder}: is missing; the task {task.id} has no reference solution for {stack.name}")
        collected = workspace.collect(folder)
        return Solution(files={**stack.starting_files(), **collected.files}, ended="done", dropped=collected.dropped)


def create(options: SolverOptions) -> Oracle:
    """The solver; it has no options."""
    del options
    return Oracle()
