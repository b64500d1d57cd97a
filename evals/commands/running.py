"""Running and looking: run, dry run, list, show, rescore."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from evals import plugins, runner
from evals.catalog import agents, recordings, tasks
from evals.environments import Environments
from evals.errors import InputError
from evals.pairing import Side
from evals.reports import terminal
from evals.runner import Item, Plan
from evals.store import Store, Trial
from evals.trial import Planned
from evals.types import Revision, Solver, Stack, Task

Tell = Callable[[str], None]

Listing = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Head and rows of a table."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `evals run` is asked for."""

    agent: str
    tasks: tuple[str, ...]
    stacks: tuple[str, ...]
    epochs: int | None
    solver: str
    model: str | None
    jobs: int
    output: Path
    root: Path
    cache: Path
    resume: bool
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Rescore:
    """What `evals rescore` is asked for."""

    run: str
    jobs: int
    output: Path
    root: Path
    cache: Path
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run: its trials in the order of the plan, and for a rescore what has changed."""

    run_id: str
    path: Path
    trials: list[Trial]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Work:
    """What trials of one revision are planned from."""

    revision: Revision
    tasks: list[Task]
    stacks: dict[str, Stack]
    solver: Solver


def work_of(agent: str, request: Request, environments: Environments) -> Work:
    """Read what a request names, for one agent."""
    revision = agents.load(agent, request.root)
    if revision.unknown_fields:
        names = ", ".join(revision.unknown_fields)
        environments.tell(f"{revision.spelled}: front matter fields that are not known, and have no effect: {names}")
    wanted = tasks.load_all(list(dict.fromkeys(request.tasks)), request.root)
    stacks = runner.load_stacks(wanted, list(request.stacks), environments)
    solver = plugins.factory("solvers", request.solver)(request.root, request.model)
    return Work(revision=revision, tasks=wanted, stacks=stacks, solver=solver)


def plan_of(work: Work, store: Store, epochs: runner.Epochs, *, again: bool = False) -> Plan:
    """Every trial of so many epochs, and what is to be done for it."""
    return runner.plan(store, work.revision, work.tasks, work.stacks, work.solver, epochs=epochs, again=again)


def _plan(request: Request, store: Store, environments: Environments) -> Plan:
    work = work_of(request.agent, request, environments)
    return plan_of(work, store, request.epochs, again=not request.resume)


def execute(plan: Plan, store: Store, environments: Environments, *, jobs: int, tell: Tell, live: bool) -> list[Trial]:
    """Run what a plan lacks; its trials in order."""
    scorers = runner.load_scorers(environments)
    if plan.todo:
        runner.prepare(plan, scorers)
        sandbox = plugins.factory("sandboxes", "bubblewrap")()
        bench = runner.make_bench(store, sandbox, scorers, slots=max(jobs, os.cpu_count() or 1))
        with terminal.progress(len(plan.todo), live=live) as watcher:
            return anyio.run(_run_all, plan, bench, watcher, jobs, tell)
    return [item.have for item in plan.items if item.have]


def execute_together(
    plans: Sequence[Plan],
    request: Request,
    store: Store,
    environments: Environments,
    *,
    tell: Tell,
    live: bool,
) -> list[list[Trial]]:
    """Run what several plans lack as one run, side by side; the trials of each plan."""
    both = Plan(items=tuple(item for plan in plans for item in plan.items))
    if both.todo:
        runner.new_run(store, both, list(request.command))
    trials = iter(execute(both, store, environments, jobs=request.jobs, tell=tell, live=live))
    return [[next(trials) for _ in plan.items] for plan in plans]


def side_of(work: Work, trials: Sequence[Trial]) -> Side:
    """What is compared of a revision that was run."""
    revision = work.revision
    return Side(label=revision.spelled, agent=revision.agent, revision=revision.digest, trials=tuple(trials))


async def _run_all(plan: Plan, bench: Any, watcher: Any, jobs: int, tell: Tell) -> list[Trial]:
    try:
        return await runner.execute(plan, bench, watcher, jobs=jobs)
    except anyio.get_cancelled_exc_class():
        tell("interrupted: what has finished is kept, and the same command goes on from there")
        raise


def run(request: Request, *, tell: Tell, live: bool) -> Result:
    """Run what is missing and gather the whole."""
    environments = Environments(cache=request.cache, tell=tell)
    with Store(request.output) as store:
        plan = _plan(request, store, environments)
        have = len(plan.items) - len(plan.todo)
        if have:
            tell(f"{have} of {len(plan.items)} trials are in {request.output} already")
        run_id, path = runner.new_run(store, plan, list(request.command))
        trials = execute(plan, store, environments, jobs=request.jobs, tell=tell, live=live)
        return Result(run_id=run_id, path=path, trials=trials)


def dry_run(request: Request) -> dict[str, Any]:
    """The plan of a run, its expected cost in US dollars and its expected time; nothing is written."""
    plan = _plan(request, Store(request.output), Environments(cache=request.cache))
    seconds, known = plan.expected_seconds()
    return {
        "trials": [
            {"task": i.planned.key.task, "stack": i.planned.key.stack, "epoch": i.planned.key.epoch, "state": i.state}
            for i in plan.items
        ],
        "todo": len(plan.todo),
        "cost_usd": 0.0,
        "cost_basis": f"the solver {request.solver} calls no model",
        "seconds": seconds / min(request.jobs, max(1, len(plan.todo))),
        "time_basis": f"{known} of {len(plan.todo)} from earlier attempts, 60 s assumed for each other",
    }


def listing(what: str, *, root: Path, output: Path) -> Listing:
    """Head and rows of `evals list`."""
    lists = {"agents": lambda: _agents(root), "tasks": lambda: _tasks(root), "runs": lambda: _runs(output)}
    if what not in lists:
        raise InputError(f"cannot list {what!r}; there are: {', '.join(lists)}")
    return lists[what]()


def _agents(root: Path) -> Listing:
    recorded = recordings.load_all(root)
    rows: list[tuple[str, ...]] = []
    for name, variant in agents.names(root):
        spelled = f"{name}:{variant}" if variant else name
        revision = agents.load(spelled, root)
        count = sum(1 for recording in recorded if recording.revision == revision.digest)
        rows.append((spelled, revision.short, str(count), revision.description.split("\n")[0][:120]))
    return ("agent", "revision", "recordings", "description"), rows


def _tasks(root: Path) -> Listing:
    rows: list[tuple[str, ...]] = [
        (task.id, task.version, ", ".join(task.stacks), str(len(task.checks)), task.title)
        for task in tasks.load_all([], root)
    ]
    return ("task", "version", "stacks", "checks", "title"), rows


def _runs(output: Path) -> Listing:
    rows: list[tuple[str, ...]] = [
        (document["id"], str(len(document["trials"])), "evals " + " ".join(document["command"]))
        for document in Store(output).runs()
    ]
    return ("run", "trials", "command"), rows


def show(name: str, *, output: Path) -> tuple[Trial, str | None]:
    """A trial, and the end of its service's log."""
    trial = Store(output).find_trial(name)
    log = trial.path.with_name(f"{trial.path.stem}.service.log")
    return trial, log.read_text("utf-8", "replace")[-6000:] if log.is_file() else None


def _regrade_item(trial: Trial, root: Path, known: dict[str, Task], stacks: dict[str, Stack]) -> Item:
    task = known.setdefault(trial.key.task, tasks.load(trial.key.task, root))
    stack = stacks[trial.key.stack]
    solver = plugins.factory("solvers", "nop")(root, None)
    planned = Planned(
        key=trial.key,
        revision=_stub_revision(trial),
        task=task,
        stack=stack,
        solver=solver,
        grading=runner.grading_digest(task, stack),
        solved=trial,
    )
    return Item(planned=planned, state="regrade", have=None)


def _stub_revision(trial: Trial) -> Revision:
    """What a record says of its revision: enough to grade, since the prompt plays no part in it."""
    key = trial.key
    return Revision(
        agent=key.agent,
        variant=key.variant,
        digest=key.revision,
        body="",
        description="",
        tools=None,
        disallowed_tools=(),
        model=None,
        unknown_fields=(),
        spelled=trial.document["spelled"],
    )


def _latest_solved(store: Store, document: dict[str, Any]) -> list[Trial]:
    found = []
    for relative in document["trials"]:
        solved = [trial for trial in store.folder_trials(relative) if trial.document["workspace"]]
        if solved:
            found.append(solved[-1])
    if not found:
        raise InputError(f"run {document['id']} has no trial with a workspace to grade")
    return found


def rescore(request: Rescore, *, tell: Tell, live: bool) -> Result:
    """Grade a run's workspaces again, as a new run; tells which grades have changed."""
    environments = Environments(cache=request.cache, tell=tell)
    with Store(request.output) as store:
        earlier = _latest_solved(store, store.run(request.run))
        known: dict[str, Task] = {}
        names = sorted({trial.key.task for trial in earlier})
        stacks = runner.load_stacks(tasks.load_all(names, request.root), [], environments)
        items = tuple(_regrade_item(trial, request.root, known, stacks) for trial in earlier)
        plan = Plan(items=items)
        run_id, path = runner.new_run(store, plan, list(request.command))
        trials = execute(plan, store, environments, jobs=request.jobs, tell=tell, live=live)
        changes = tuple(line for old, new in zip(earlier, trials, strict=True) for line in _changes(old, new))
        return Result(run_id=run_id, path=path, trials=trials, changes=changes)


def _changes(old: Trial, new: Trial) -> list[str]:
    name = f"{new.key.task} epoch {new.key.epoch}"
    before = {k: s["value"] for k, s in old.scores.items()}
    after = {k: s["value"] for k, s in new.scores.items()}
    return [
        f"changed: {name}: {score}: {before.get(score)} before, {after.get(score)} now"
        for score in sorted(set(before) | set(after))
        if before.get(score) != after.get(score)
    ]
