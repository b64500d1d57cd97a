"""The solver that does nothing: what a task's checks give to an untouched workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evals.types import Revision, Settings, Solution, Stack, Task


@dataclass(frozen=True, kw_only=True)
class Nop:
    """Leaves what the workspace held at the start."""

    settings: Settings = field(default=Settings(solver="nop", kind="nop"))

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """Any number."""
        del revision, task, stack
        return None

    async def solve(self, revision: Revision, task: Task, stack: Stack, epoch: int) -> Solution:
        """The starting files."""
        del revision, task, epoch
        return Solution(files=stack.starting_files(), ended="done")


def create(root: Path, model: str | None) -> Nop:
    """The solver; it has no model."""
    del root, model
    return Nop()
