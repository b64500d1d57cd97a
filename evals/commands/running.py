"""Running: run, dry run, rescore."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anyio

from evals import graders, plugins, runner
from evals.catalog import agents, tasks
from evals.commands import sandboxing
from evals.commands.costs import Cost, expected
from evals.environments import Environments
from evals.errors import InputError
from evals.pairing import Side
from evals.reports import terminal
from evals.runner import Executed, Item, Plan
from evals.store import Store, Trial, load_trial
from evals.trial import Planned
from evals.types import Revision, Scorer, Solver, SolverOptions, Stack, Task

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `evals run` is asked for."""

    agent: str
    tasks: tuple[str, ...]
    stacks: tuple[str, ...]
    epochs: int | None
    solver: str
    options: SolverOptions
    jobs: int
    output: Path
    root: Path
    cache: Path
    resume: bool
    command: tuple[str, ...]
    scorers: tuple[str, ...] = ()
    sandbox: str | None = None

    @cached_property
    def made_solver(self) -> Solver:
        """The one solver of a request: what all its revisions may cost together is its to keep."""
        made: Solver = plugins.factory("solvers", self.solver)(self.options)
        return made


@dataclass(frozen=True, kw_only=True)
class Rescore:
    """What `evals rescore` is asked for."""

    run: str
    scorers: tuple[str, ...]
    jobs: int
    output: Path
    root: Path
    cache: Path
    command: tuple[str, ...]
    sandbox: str | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run: its trials in the order of the plan, and for a rescore what has changed."""

    run_id: str
    path: Path
    trials: list[Trial]
    changes: tuple[str, ...] = ()
    not_started: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Work:
    """What trials of one revision are planned from."""

    revision: Revision
    tasks: list[Task]
    stacks: dict[str, Stack]
    solver: Solver
    scorers: tuple[Scorer, ...]


def work_of(agent: str, request: Request, environments: Environments) -> Work:
    """Read what a request names, for one agent."""
    revision = agents.load(agent, request.root)
    if revision.unknown_fields:
        names = ", ".join(revision.unknown_fields)
        environments.tell(f"{revision.spelled}: front matter fields that are not known, and have no effect: {names}")
    wanted = tasks.load_all(list(dict.fromkeys(request.tasks)), request.root)
    stacks = runner.load_stacks(wanted, list(request.stacks), environments)
    scorers = graders.load(environments, request.root, request.scorers, wanted)
    return Work(revision=revision, tasks=wanted, stacks=stacks, solver=request.made_solver, scorers=scorers)


def plan_of(work: Work, store: Store, epochs: runner.Epochs, *, again: bool = False) -> Plan:
    """Every trial of so many epochs, and what is to be done for it."""
    parts = (work.revision, work.tasks, work.stacks, work.solver)
    return runner.plan(store, *parts, scorers=work.scorers, epochs=epochs, again=again)


def _plan(request: Request, store: Store, environments: Environments) -> Plan:
    work = work_of(request.agent, request, environments)
    return plan_of(work, store, request.epochs, again=not request.resume)


def execute(plan: Plan, store: Store, *, jobs: int, tell: Tell, live: bool, sandbox: str | None = None) -> Executed:
    """Run what a plan lacks."""
    if not plan.todo:
        return Executed(trials={item.planned.key: item.have for item in plan.items if item.have}, not_started={})
    runner.prepare(plan)
    bench = runner.make_bench(store, sandboxing.make(sandbox), plan)
    with terminal.progress(len(plan.todo), live=live) as watcher:
        return anyio.run(_run_all, plan, bench, watcher, jobs, tell)


def execute_together(
    plans: Sequence[Plan],
    request: Request,
    store: Store,
    *,
    tell: Tell,
    live: bool,
) -> list[list[Trial]]:
    """Run what several plans lack as one run, side by side; the trials of each plan, without those not begun."""
    both = Plan(items=tuple(item for plan in plans for item in plan.items), scorers=plans[0].scorers)
    if both.todo:
        _tell_cost(both, request, store, tell)
        runner.new_run(store, both, list(request.command))
    executed = execute(both, store, jobs=request.jobs, tell=tell, live=live, sandbox=request.sandbox)
    for line in not_started(both, executed):
        tell(line)
    return [trials_of(plan, executed) for plan in plans]


def trials_of(plan: Plan, executed: Executed) -> list[Trial]:
    """The trials of a plan in its order."""
    keys = (item.planned.key for item in plan.items)
    return [executed.trials[key] for key in keys if key in executed.trials]


def not_started(plan: Plan, executed: Executed) -> tuple[str, ...]:
    """A line for those that were not begun."""
    keys = [item.planned.key for item in plan.items if item.planned.key in executed.not_started]
    if not keys:
        return ()
    return (f"{len(keys)} of {len(plan.items)} trials were not begun: {executed.not_started[keys[0]]}",)


def side_of(work: Work, trials: Sequence[Trial]) -> Side:
    """What is compared of a revision that was run; its trials are read again, since a run keeps them light."""
    revision = work.revision
    trials = [load_trial(trial.path) for trial in trials]
    return Side(label=revision.spelled, agent=revision.agent, revision=revision.digest, trials=tuple(trials))


async def _run_all(plan: Plan, bench: Any, watcher: Any, jobs: int, tell: Tell) -> Executed:
    try:
        return await runner.execute(plan, bench, watcher, jobs=jobs)
    except anyio.get_cancelled_exc_class():
        tell("interrupted: what has finished is kept, and the same command goes on from there")
        raise
    finally:
        for spent in {getattr(item.planned.solver, "spent", 0.0) for item in plan.todo} - {0.0}:
            tell(f"spent: ${spent:.4f}")


def run(request: Request, *, tell: Tell, live: bool) -> Result:
    """Run what is missing and gather the whole."""
    environments = Environments(cache=request.cache, tell=tell)
    with Store(request.output) as store:
        plan = _plan(request, store, environments)
        have = len(plan.items) - len(plan.todo)
        if have:
            tell(f"{have} of {len(plan.items)} trials are in {request.output} already")
        _tell_cost(plan, request, store, tell)
        run_id, path = runner.new_run(store, plan, list(request.command))
        executed = execute(plan, store, jobs=request.jobs, tell=tell, live=live, sandbox=request.sandbox)
        lines = not_started(plan, executed)
        return Result(run_id=run_id, path=path, trials=trials_of(plan, executed), not_started=lines)


def _tell_cost(plan: Plan, request: Request, store: Store, tell: Tell) -> None:
    """Before money is spent: with what model, how much is expected, and how much it can be at most."""
    todo = [item.planned for item in plan.todo if item.state == "solve"]
    if not todo or not hasattr(todo[0].solver, "ready"):
        return
    settings = todo[0].solver.settings(todo[0].revision)
    cost = _expected(plan, request, store)
    shown = "not known" if cost.usd is None else f"about ${cost.usd:.2f}"
    most = min(value for value in (cost.most, request.options.max_cost) if value is not None)
    tell(f"model: {settings.model}, effort {settings.options['effort']}; {len(todo)} trials to solve")
    tell(f"cost: {shown} ({cost.basis}), at most ${most:.2f}")


def _expected(plan: Plan, request: Request, store: Store) -> Cost:
    todo = [item for item in plan.todo if item.state == "solve"]
    if todo and not hasattr(todo[0].planned.solver, "ready"):
        return Cost(usd=0.0, basis=f"the solver {request.solver} calls no model", most=0.0)
    return expected(plan, store, request.options.max_trial_cost, batch=request.options.batch)


def dry_run(request: Request) -> dict[str, Any]:
    """The plan of a run, its expected cost in US dollars and its expected time; nothing is written."""
    store = Store(request.output)
    plan = _plan(request, store, Environments(cache=request.cache))
    seconds, known = plan.expected_seconds()
    cost = _expected(plan, request, store)
    return {
        "trials": [
            {"task": i.planned.key.task, "stack": i.planned.key.stack, "epoch": i.planned.key.epoch, "state": i.state}
            for i in plan.items
        ],
        "todo": len(plan.todo),
        "cost_usd": cost.usd,
        "cost_basis": cost.basis,
        "cost_at_most_usd": cost.most,
        "seconds": seconds / min(request.jobs, max(1, len(plan.todo))),
        "time_basis": f"{known} of {len(plan.todo)} from earlier attempts, 60 s assumed for each other",
    }


def _regrade_item(trial: Trial, root: Path, known: dict[str, Task], stacks: dict[str, Stack]) -> Item:
    task = known.setdefault(trial.key.task, tasks.load(trial.key.task, root))
    stack = stacks[trial.key.stack]
    solver = plugins.factory("solvers", "nop")(SolverOptions(root=root, output=root))
    planned = Planned(
        key=trial.key,
        revision=_stub_revision(trial),
        task=task,
        stack=stack,
        solver=solver,
        grading=graders.grading(task, stack),
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
        max_turns=None,
        acting_fields=(),
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
        graded = tasks.load_all(names, request.root)
        stacks = runner.load_stacks(graded, [], environments)
        items = tuple(_regrade_item(trial, request.root, known, stacks) for trial in earlier)
        scorers = graders.load(environments, request.root, request.scorers, graded)
        plan = Plan(items=items, scorers=scorers)
        run_id, path = runner.new_run(store, plan, list(request.command))
        executed = execute(plan, store, jobs=request.jobs, tell=tell, live=live, sandbox=request.sandbox)
        trials = trials_of(plan, executed)
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
