"""The solver that does nothing: what a task's checks give to an untouched workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.types import Assignment, Revision, Settings, Solution, SolverOptions, Stack, Task


@dataclass(frozen=True, kw_only=True)
class Nop:
    """Leaves what the workspace held at the start."""

    name: str = "nop"

    def settings(self, revision: Revision) -> Settings:
        """Nothing acts on what it leaves."""
        del revision
        return Settings(solver="nop", kind="nop")

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """Any number."""
        del revision, task, stack
        return None

    async def solve(self, assignment: Assignment) -> Solution:
        """The starting files."""
        return Solution(files=assignment.stack.starting_files(), ended="done")


def create(options: SolverOptions) -> Nop:
    """The solver; it has no options."""
    del options
    return Nop()
