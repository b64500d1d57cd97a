"""`evals grade`: a folder of files is graded as a delivery. Nothing of it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from evals import graders, machine, runner, trial, workspace
from evals.catalog import tasks
from evals.commands import sandboxing
from evals.environments import Environments
from evals.errors import InputError
from evals.store import Store
from evals.trial import Slots
from evals.types import Delivery, Sandbox, Scored, Scorer

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Grading:
    """What `evals grade` is asked for. `stack`: None is the task's first."""

    task: str
    folder: Path
    stack: str | None
    scorers: tuple[str, ...]
    root: Path
    cache: Path
    sandbox: str | None = None


def grade(request: Grading, *, tell: Tell) -> dict[str, Any]:
    """The scores of a folder, its composite, and the attacks that it shows; raises `Fault` where it has none."""
    if not request.folder.is_dir():
        raise InputError(f"{request.folder}: is no folder")
    environments = Environments(cache=request.cache, tell=tell)
    task = tasks.load(request.task, request.root)
    name = request.stack or task.stacks[0]
    stack = runner.load_stacks([task], [name], environments)[name]
    scorers = graders.load(environments, request.root, request.scorers, [task])
    for part in (stack, *scorers):
        getattr(part, "prepare", lambda: None)()
    sandbox = sandboxing.make(request.sandbox)
    collected = workspace.collect(request.folder)
    with tempfile.TemporaryDirectory(prefix="evals-grade-") as folder, Store(Path(folder)) as store:
        delivery = trial.frozen(collected.files, task, stack, store)
        scored = anyio.run(_scored, delivery, scorers, sandbox)
    return {
        "task": task.id,
        "stack": name,
        "workspace": delivery.digest,
        "composite": trial.composite({s.name: s.value for item in scored for s in item.scores}, task.weights),
        "scores": [
            {"name": s.name, "value": s.value, "reason": s.reason, "details": dict(s.details)}
            for item in scored
            for s in item.scores
        ],
        "attacks": [attack for item in scored for attack in item.attacks],
        "dropped": list(collected.dropped),
    }


async def _scored(delivery: Delivery, scorers: tuple[Scorer, ...], sandbox: Sandbox) -> list[Scored]:
    return await trial.score(delivery, scorers, sandbox, Slots(machine.cores()), lambda _name: nullcontext())


def rewards(found: dict[str, Any]) -> dict[str, float]:
    """What another harness keeps of it: `reward` is acceptance, and every score by its name."""
    scores = {score["name"]: float(score["value"]) for score in found["scores"]}
    return {"reward": scores["acceptance"], "composite": float(found["composite"]), **scores}
