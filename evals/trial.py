"""One trial: solve, freeze the workspace, score, record."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio

import evals
from evals.errors import Fault
from evals.store import Key, Store, Trial
from evals.trajectory import Transcript
from evals.types import (
    Assignment,
    Delivery,
    Log,
    Revision,
    Sandbox,
    Score,
    Scored,
    Scorer,
    Solution,
    Solver,
    Stack,
    Task,
)

Tell = Callable[[str], None]
"""Called with the names of the stages that are under way, whenever they change."""


class Slots:
    """Who may work at a time: what the clock matters to has a core of its own; the rest takes what they leave.

    A scorer with `background` true runs its programs at the lowest priority, and beside the others.
    """

    def __init__(self, cores: int) -> None:
        self._timed = anyio.CapacityLimiter(cores)
        self._background = anyio.CapacityLimiter(cores)

    def of(self, scorer: Scorer) -> anyio.CapacityLimiter:
        """Where a scorer waits for its turn."""
        return self._background if getattr(scorer, "background", False) else self._timed


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What trials are run with."""

    store: Store
    sandbox: Sandbox
    scorers: tuple[Scorer, ...]
    graders: str
    slots: Slots


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A trial to run. With `solved`, an earlier attempt whose workspace is graded instead of solving."""

    key: Key
    revision: Revision
    task: Task
    stack: Stack
    solver: Solver
    grading: str
    solved: Trial | None = None


@dataclass(kw_only=True)
class _Record:
    """A trial's document while it is being made."""

    planned: Planned
    bench: Bench
    tell: Tell
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    timings: dict[str, float] = field(default_factory=dict)
    solution: dict[str, Any] | None = None
    transcript: Transcript | None = None
    spent: float = 0.0
    workspace: dict[str, Any] | None = None
    seed: str = "none"
    running: list[str] = field(default_factory=list)

    def log(self, name: str, content: Mapping[str, Any]) -> None:
        """Keep an event of the solver, and tell how far it is."""
        assert self.transcript is not None
        self.transcript.append(name, content)
        if name == "assistant":
            self.spent += content["cost_usd"] or 0.0
            self.tell(f"{', '.join(self.running)} (turn {content['turn']}, ${self.spent:.2f})")
        elif name == "retry":
            self.tell(f"{', '.join(self.running)} (turn {content['turn']}, trying again)")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, and tell that it is under way."""
        self.running.append(name)
        self.tell(", ".join(self.running))
        began = time.monotonic()
        try:
            yield
        finally:
            self.timings[name] = time.monotonic() - began
            self.running.remove(name)
            self.tell(", ".join(self.running))


async def run(planned: Planned, bench: Bench, tell: Tell) -> Trial:
    """Run a trial to its record, whatever becomes of it; only cancellation leaves none."""
    record = _Record(planned=planned, bench=bench, tell=tell)
    try:
        delivery = await _deliver(record)
        scored = await score(delivery, bench.scorers, bench.sandbox, bench.slots, record.stage)
    except Fault as fault:
        return _save(record, [], fault)
    return _save(record, scored, None)


async def _deliver(record: _Record) -> Delivery:
    files = _earlier(record) if record.planned.solved else await _solve(record)
    return _freeze(record, files)


def _earlier(record: _Record) -> Mapping[str, bytes]:
    """The workspace of an earlier attempt, with all that is known of how it came to be."""
    assert record.planned.solved is not None
    document = record.planned.solved.document
    record.solution = document["solution"]
    return record.bench.store.workspace_files(document["workspace"]["digest"])


async def _solve(record: _Record) -> Mapping[str, bytes]:
    planned = record.planned
    record.transcript = record.bench.store.transcript(planned.key)
    with record.stage("solve"):
        solution = await planned.solver.solve(assignment(planned, record.bench, record.log))
    record.solution = _solution_document(solution)
    return solution.files


def assignment(planned: Planned, bench: Bench, log: Log) -> Assignment:
    """What the solver of a planned trial is given."""
    return Assignment(
        revision=planned.revision,
        task=planned.task,
        stack=planned.stack,
        epoch=planned.key.epoch,
        sandbox=bench.sandbox,
        scratch=bench.store.scratch,
        log=log,
    )


def _solution_document(solution: Solution) -> dict[str, Any]:
    return {
        "ended": solution.ended,
        "provenance": dict(solution.provenance),
        "cost_usd": solution.cost_usd,
        "tokens": dict(solution.tokens) if solution.tokens is not None else None,
        "dropped": list(solution.dropped),
    }


def _freeze(record: _Record, files: Mapping[str, bytes]) -> Delivery:
    delivery = frozen(files, record.planned.task, record.planned.stack, record.bench.store)
    record.workspace = {"digest": delivery.digest, "files": {path: len(data) for path, data in sorted(files.items())}}
    record.seed = delivery.seed
    return delivery


def frozen(files: Mapping[str, bytes], task: Task, stack: Stack, store: Store) -> Delivery:
    """A workspace as scorers get it, kept in a store."""
    digest, archive = store.add_workspace(dict(files))
    # Not known before the workspace is: nothing in it can be made to fit the checks' data.
    seed = hashlib.sha256(f"{digest}{task.digest}".encode()).hexdigest()[:16]
    return Delivery(
        task=task, stack=stack, archive=archive, digest=digest, files=files, seed=seed, scratch=store.scratch
    )


Stage = Callable[[str], AbstractContextManager[None]]
"""What surrounds the work of a scorer, by its name."""


async def score(
    delivery: Delivery, scorers: Sequence[Scorer], sandbox: Sandbox, slots: Slots, stage: Stage
) -> list[Scored]:
    """All scorers, side by side as far as there are free slots; raises the first `Fault`."""
    found: dict[str, Scored] = {}
    faults: list[Fault] = []

    async def one(scorer: Scorer) -> None:
        async with slots.of(scorer):
            try:
                with stage(scorer.name):
                    found[scorer.name] = await scorer.score(delivery, sandbox)
            except Fault as fault:
                faults.append(fault)

    async with anyio.create_task_group() as group:
        for scorer in scorers:
            group.start_soon(one, scorer)
    if faults:
        raise faults[0]
    return [found[scorer.name] for scorer in scorers]


def composite(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """The weighted mean of scores, by the task's weights, which add up to 1."""
    # Weights that add up to 1 as a reader sees them may be a rounding error above it.
    return min(1.0, math.fsum(weight * scores[name] for name, weight in weights.items()))


def _save(record: _Record, scored: list[Scored], fault: Fault | None) -> Trial:
    planned, store = record.planned, record.bench.store
    scores = [score for item in scored for score in item.scores]
    document = {
        "schema_version": 1,
        "key": asdict(planned.key),
        "digests": _digests(record),
        "evals_version": evals.__version__,
        "sandbox": record.bench.sandbox.name,
        "seed": record.seed,
        "spelled": planned.revision.spelled,
        "started_at": record.started.isoformat(timespec="milliseconds"),
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "timings": {name: round(seconds, 3) for name, seconds in record.timings.items()},
        "solution": record.solution,
        "workspace": record.workspace,
        "scores": [_score_document(score) for score in scores],
        "composite": None if fault else composite({s.name: s.value for s in scores}, planned.task.weights),
        "attacks": [attack for item in scored for attack in item.attacks],
        "fault": _fault_document(fault) if fault else None,
    }
    logs = {name: text for item in scored for name, text in item.logs.items()}
    return store.add_trial(planned.key, document, logs, record.transcript)


def _fault_document(fault: Fault) -> dict[str, Any]:
    cost = {} if fault.cost_usd is None else {"cost_usd": fault.cost_usd}
    return {"stage": fault.stage, "reason": fault.reason, **cost}


def _digests(record: _Record) -> dict[str, str]:
    planned = record.planned
    return {
        "task": planned.task.digest,
        "solve": planned.task.solve_digest,
        "stack": planned.stack.digest,
        "graders": record.bench.graders,
        "grading": planned.grading,
    }


def _score_document(score: Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "value": round(score.value, 6),
        "reason": score.reason,
        "details": dict(score.details),
    }
