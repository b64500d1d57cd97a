"""Real deliveries from `fixtures/recordings/`: the way to use `evals` without an API key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.catalog import recordings
from evals.catalog.recordings import Recording
from evals.errors import Fault
from evals.types import Revision, Settings, Solution, Stack, Task

KIND = "agent"
"""Deliveries of agents that ran and mended their work; other kinds are another solver's measure."""


def instruction_digest(task: Task, stack: Stack) -> str:
    """SHA-256 of what an agent is asked: the instruction, an empty line, the stack's page."""
    return hashlib.sha256(f"{task.instruction}\n{stack.page}".encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Replays the recordings of a revision."""

    recordings: tuple[Recording, ...]
    settings: Settings

    def _of(self, revision: Revision, task: Task, stack: Stack) -> dict[int, Recording]:
        wanted = (revision.digest, task.id, stack.name, self.settings.kind)
        return {
            recording.epoch: recording
            for recording in self.recordings
            if (recording.revision, recording.task, recording.stack, recording.kind) == wanted
            and self.settings.model in (None, recording.model)
        }

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """The epochs that were recorded."""
        return sorted(self._of(revision, task, stack))

    async def solve(self, revision: Revision, task: Task, stack: Stack, epoch: int) -> Solution:
        """The files of a recording."""
        recording = self._of(revision, task, stack).get(epoch)
        if recording is None:
            raise Fault("solve", f"there is no recording of epoch {epoch}")
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


def create(root: Path, model: str | None) -> Recorded:
    """The solver. With a model, only recordings that are known to be of that model are used."""
    settings = Settings(solver="recorded", kind=KIND, model=model)
    return Recorded(recordings=tuple(recordings.load_all(root)), settings=settings)
