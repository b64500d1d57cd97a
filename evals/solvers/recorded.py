"""Real deliveries from `fixtures/recordings/`: the way to use `evals` without an API key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from evals.catalog import recordings, tasks
from evals.catalog.recordings import Recording
from evals.errors import Fault, InputError
from evals.types import Assignment, Revision, Settings, Solution, SolverOptions, Stack, Task

KINDS = ("agent", "single-shot")
"""Deliveries of agents that ran and mended their work, and such as were one answer: two measures, never mixed."""


def instruction_digest(task: Task, stack: Stack) -> str:
    """SHA-256 of what an agent is asked: the instruction, an empty line, the stack's page."""
    return hashlib.sha256(tasks.asked(task, stack).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Replays the recordings of a revision."""

    recordings: tuple[Recording, ...]
    model: str | None
    kind: str = KINDS[0]
    name: str = "recorded"

    def settings(self, revision: Revision) -> Settings:
        """What the recordings are taken to be."""
        del revision
        return Settings(solver="recorded", kind=self.kind, model=self.model)

    def _of(self, revision: Revision, task: Task, stack: Stack) -> dict[int, Recording]:
        wanted = (revision.digest, task.id, stack.name, self.kind)
        return {
            recording.epoch: recording
            for recording in self.recordings
            if (recording.revision, recording.task, recording.stack, recording.kind) == wanted
            and self.model in (None, recording.model)
        }

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """The epochs that were recorded."""
        return sorted(self._of(revision, task, stack))

    async def solve(self, assignment: Assignment) -> Solution:
        """The files of a recording."""
        task, stack = assignment.task, assignment.stack
        recording = self._of(assignment.revision, task, stack).get(assignment.epoch)
        if recording is None:
            raise Fault("solve", f"there is no recording of epoch {assignment.epoch}")
        document = recording.document
        same = recording.instruction_digest == instruction_digest(task, stack)
        kept = ("made_by", "model", "date", "wall_seconds", "not_known", "final_message")
        return Solution(
            files=recording.files(),
            ended="done",
            provenance={**{name: document[name] for name in kept}, "instruction_unchanged": same},
            cost_usd=document["cost_usd"],
            tokens=document["tokens"],
        )


def create(options: SolverOptions) -> Recorded:
    """The solver. With a model, only recordings that are known to be of that model are used."""
    kind = options.kind or KINDS[0]
    if kind not in KINDS:
        raise InputError(f"--kind: found {kind!r}; there are: {', '.join(KINDS)}")
    return Recorded(recordings=tuple(recordings.load_all(options.root)), model=options.model, kind=kind)
