"""Runs: plan what the store lacks, fan out, save, stop cleanly."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import anyio

import evals
from evals import digests, graders, machine, plugins, trial
from evals.environments import Environments
from evals.errors import EvalsError, InputError, NotStarted
from evals.light import light
from evals.store import Key, Store, Trial
from evals.trial import Bench, Planned, Slots
from evals.types import Revision, Sandbox, Scorer, Solver, Stack, Task

State = Literal["done", "regrade", "solve"]

Epochs = int | Mapping[tuple[str, str], int] | None
"""How many epochs: of each task, by task and stack, or as many as the solver offers."""

_ASSUMED_SECONDS = 60.0


class Watcher(Protocol):
    """Is told how a run goes on."""

    def begin(self, key: Key) -> None:
        """A trial begins."""

    def stages(self, key: Key, running: str) -> None:
        """Other stages of it are under way than before."""

    def end(self, key: Key, finished: Trial) -> None:
        """It has been recorded."""

    def drop(self, key: Key) -> None:
        """It was not begun after all."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a plan: a trial, what is to be done, and what the store has."""

    planned: Planned
    state: State
    have: Trial | None
    earlier_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run consists of, and the scorers that grade it."""

    items: tuple[Item, ...]
    scorers: tuple[Scorer, ...]

    @property
    def todo(self) -> list[Item]:
        """What is not there yet."""
        return [item for item in self.items if item.state != "done"]

    def expected_seconds(self) -> tuple[float, int]:
        """Seconds of work to do, and for how many of its trials that is known from an earlier attempt."""
        known = [item.earlier_seconds for item in self.todo if item.earlier_seconds is not None]
        return sum(known) + _ASSUMED_SECONDS * (len(self.todo) - len(known)), len(known)


def load_stacks(tasks: Iterable[Task], wanted: list[str], environments: Environments) -> dict[str, Stack]:
    """The stacks that the tasks are to be built with, by name."""
    offered = sorted({name for task in tasks for name in task.stacks})
    unknown = sorted(set(wanted) - set(offered))
    if unknown:
        raise InputError(f"--stack {unknown[0]}: no task here offers it; there are: {', '.join(offered)}")
    return {name: plugins.factory("stacks", name)(environments) for name in wanted or offered}


def _epochs(solver: Solver, revision: Revision, task: Task, stack: Stack, wanted: int | None) -> list[int]:
    offered = solver.epochs(revision, task, stack)
    if offered is None:
        return list(range(1, (wanted or 1) + 1))
    if wanted is not None and len(offered) < wanted:
        raise InputError(
            f"--epochs {wanted}: the solver {solver.name} has {len(offered)} of "
            f"{revision.spelled} for {task.id} on {stack.name}"
        )
    return list(offered)[:wanted]


def _key(revision: Revision, task: Task, stack: Stack, solver: Solver, epoch: int) -> Key:
    settings = solver.settings(revision)
    return Key(
        agent=revision.agent,
        variant=revision.variant,
        revision=revision.digest,
        task=task.id,
        stack=stack.name,
        solver=settings.solver,
        kind=settings.kind,
        model=settings.model,
        epoch=epoch,
        settings=digests.of_options(settings.options),
    )


def _item(store: Store, planned: Planned, wanted: frozenset[str], *, again: bool) -> Item:
    """What there is to do for a trial; one that lacks a wanted score is graded anew."""
    current = store.current(planned.key, planned.grading)
    if current is not None and not again and (current.fault is not None or wanted <= set(current.scores)):
        return Item(planned=planned, state="done", have=light(current))
    attempts = store.trials_of(planned.key)
    seconds = sum(attempts[-1].document["timings"].values()) if attempts else None
    solved = [
        earlier
        for earlier in attempts
        if earlier.document["workspace"] and earlier.document["digests"]["solve"] == planned.task.solve_digest
    ]
    if not solved or again:
        return Item(planned=planned, state="solve", have=None, earlier_seconds=seconds)
    planned = replace(planned, solved=solved[-1])
    return Item(planned=planned, state="regrade", have=None, earlier_seconds=seconds)


def plan(
    store: Store,
    revision: Revision,
    tasks: list[Task],
    stacks: dict[str, Stack],
    solver: Solver,
    *,
    scorers: tuple[Scorer, ...],
    epochs: Epochs,
    again: bool = False,
) -> Plan:
    """Every trial of the run, and what has to be done for it. `again` solves what is there already too."""
    items, scores = [], graders.scores(scorers)
    for task in tasks:
        for stack in (stacks[name] for name in task.stacks if name in stacks):
            wanted = epochs[task.id, stack.name] if isinstance(epochs, Mapping) else epochs
            for epoch in _epochs(solver, revision, task, stack, wanted):
                key = _key(revision, task, stack, solver, epoch)
                planned = Planned(
                    key=key,
                    revision=revision,
                    task=task,
                    stack=stack,
                    solver=solver,
                    grading=graders.grading(task, stack),
                )
                items.append(_item(store, planned, scores, again=again))
    if not items:
        raise InputError(_nothing(revision, solver))
    return Plan(items=tuple(items), scorers=scorers)


def _nothing(revision: Revision, solver: Solver) -> str:
    if solver.name == "recorded":
        kind = solver.settings(revision).kind
        return (
            f"there is no recording of {revision.spelled} (kind {kind}, revision {revision.short}) for these tasks: a "
            "prompt that was edited has to be solved anew by a model, which --solver recorded cannot do"
        )
    return "there is nothing to run: no task matches"


def prepare(plan_: Plan) -> None:
    """Install what stacks and scorers need."""
    for stack in {item.planned.stack.name: item.planned.stack for item in plan_.items}.values():
        stack.prepare()
    for scorer in plan_.scorers:
        getattr(scorer, "prepare", lambda: None)()


@dataclass(frozen=True, kw_only=True)
class Executed:
    """The trials of a plan by their keys, and why others were not begun. The trials are light (`evals.light`)."""

    trials: dict[Key, Trial]
    not_started: dict[Key, str]


async def execute(plan_: Plan, bench: Bench, watcher: Watcher, *, jobs: int) -> Executed:
    """Run what is missing, `jobs` trials at a time; every finished one is saved at once."""
    waiting = iter(plan_.todo)
    finished: dict[Key, Trial] = {item.planned.key: item.have for item in plan_.items if item.have}
    not_started: dict[Key, str] = {}

    async def one(planned: Planned) -> None:
        watcher.begin(planned.key)
        try:
            done = await trial.run(planned, bench, lambda running: watcher.stages(planned.key, running))
        except NotStarted as reason:
            not_started[planned.key] = str(reason)
            watcher.drop(planned.key)
        else:
            finished[planned.key] = light(done)
            watcher.end(planned.key, done)

    async def worker() -> None:
        for item in waiting:
            await one(item.planned)

    try:
        async with _ready(plan_, bench), anyio.create_task_group() as group:
            for _ in range(jobs):
                group.start_soon(worker)
    except BaseExceptionGroup as errors:
        raise _first_known(errors) from None
    return Executed(trials=finished, not_started=not_started)


@asynccontextmanager
async def _ready(plan_: Plan, bench: Bench) -> AsyncIterator[None]:
    """Each solver with all that it is to solve: those that call a model connect, and check what can be checked."""
    by_solver: dict[int, list[Planned]] = {}
    for item in plan_.todo:
        if item.state == "solve":
            by_solver.setdefault(id(item.planned.solver), []).append(item.planned)
    async with AsyncExitStack() as stack:
        for planned in by_solver.values():
            ready = getattr(planned[0].solver, "ready", None)
            if ready is not None:
                await stack.enter_async_context(ready([trial.assignment(p, bench, _no_log) for p in planned]))
        yield


def _no_log(_name: str, _content: Mapping[str, object]) -> None:
    """Before a trial has begun there is nothing to keep."""


def _first_known(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell: the first of ours in a group, or else the group itself."""
    known: BaseException | None = errors.subgroup(EvalsError)
    while isinstance(known, BaseExceptionGroup):
        known = known.exceptions[0]
    return known or errors


def new_run(store: Store, plan_: Plan, command: list[str]) -> tuple[str, Path]:
    """Write down which trials belong to this run; its id and its file."""
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    document = {
        "schema_version": 1,
        "id": run_id,
        "evals_version": evals.__version__,
        "started_at": now.isoformat(timespec="seconds"),
        "command": command,
        "trials": [item.planned.key.path.as_posix() for item in plan_.items],
    }
    return run_id, store.add_run(document)


def make_bench(store: Store, sandbox: Sandbox, plan_: Plan) -> Bench:
    """What trials are run with."""
    root = plan_.items[0].planned.task.root
    return Bench(
        store=store,
        sandbox=sandbox,
        scorers=plan_.scorers,
        graders=graders.digest(root),
        slots=Slots(machine.cores()),
    )
