"""`evals run --against BASE --until-verdict`: epochs are added in rounds until the verdict is clear.

Every task gets the same number of epochs. Giving more to tasks whose trials differ more (Neyman's allocation) saves
some, but breaks the error rate where the head's trials vary more than the base's: docs/statistics.md.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals import compare, digests, graders, schema
from evals.commands.running import Request, Work, execute_together, plan_of, side_of, work_of
from evals.environments import Environments
from evals.errors import InputError
from evals.pairing import Place, pair
from evals.reports import comparison
from evals.rulings import Gate, Question
from evals.runner import Plan
from evals.stats import sequential
from evals.store import Store, Trial

Tell = Callable[[str], None]

FIRST_EPOCHS = 3


@dataclass(frozen=True, kw_only=True)
class Settling:
    """What is asked beside the run itself. Without `looks`, all epochs are run, and compared once."""

    base: str
    question: Question
    gate: Gate
    looks: bool
    max_epochs: int
    max_cost: float | None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The last comparison, why no more epochs were added, and what this call ran."""

    document: dict[str, Any]
    ended: str
    trials: list[Trial]


@dataclass(kw_only=True)
class _State:
    """What has been done so far."""

    fractions: list[float]
    ran: list[Trial]
    document: dict[str, Any] | None = None

    @property
    def cost(self) -> float:
        """Dollars that this call has spent."""
        return math.fsum(trial.cost_usd or 0.0 for trial in self.ran)


@dataclass(frozen=True, kw_only=True)
class _Arms:
    """Both revisions, where they meet, and how many epochs each place can have at most."""

    base: Work
    head: Work
    base_has: dict[Place, int]
    most: dict[Place, int]


def settle(request: Request, settling: Settling, *, tell: Tell, live: bool) -> Settled:
    """Add epochs to both revisions until the verdict is clear, the budget is spent, or the limit is reached."""
    environments = Environments(cache=request.cache, tell=tell)
    with Store(request.output) as store:
        arms = _arms(request, settling, store, environments)
        state = _State(fractions=[], ran=[])
        last = max(arms.most.values())
        for rounds in sequential.looks(min(FIRST_EPOCHS, last), last) if settling.looks else (last,):
            epochs = {place: min(rounds, most) for place, most in arms.most.items()}
            plans = [_plan(arms.base, store, arms, epochs, is_base=True), _plan(arms.head, store, arms, epochs)]
            ended = _too_dear(plans, state, settling)
            if ended and state.document is not None:
                break
            if ended:
                raise InputError(f"--max-cost {settling.max_cost:g}: {ended}, before there is anything to compare")
            todo = {item.planned.key for plan in plans for item in plan.todo}
            trials = execute_together(plans, request, store, tell=tell, live=live)
            if any(len(found) < len(plan.items) for found, plan in zip(trials, plans, strict=True)):
                ended = "the budget has no room for the whole round"
                break
            state.ran += [trial for found in trials for trial in found if trial.key in todo]
            state.document = _look(trials, arms, epochs, state, settling)
            tell(_progress(state.document, rounds, last))
            ended = "the verdict is clear" if state.document["verdict"] != "inconclusive" else ""
            if ended:
                break
        if state.document is None:
            raise InputError(f"--max-cost: {ended}, before there is anything to compare")
        limit = f"the limit of {last} epochs is reached"
        return Settled(document=state.document, ended=ended or limit, trials=state.ran)


def _progress(document: dict[str, Any], rounds: int, last: int) -> str:
    shown = comparison.interval(document["difference"], document["unit"])
    return f"after {rounds} of at most {last} epochs: {document['verdict']}, {shown}"


def _arms(request: Request, settling: Settling, store: Store, environments: Environments) -> _Arms:
    base = work_of(settling.base, request, environments)
    head = work_of(request.agent, request, environments)
    if base.revision.digest == head.revision.digest:
        raise InputError(f"{settling.base} and {request.agent} are the same revision ({base.revision.short})")
    places = [(task.id, stack) for task in head.tasks for stack in task.stacks if stack in head.stacks]
    most = {place: min(_offered(work, place, settling.max_epochs) for work in (base, head)) for place in places}
    if not all(most.values()):
        none = ", ".join(task for (task, _), count in most.items() if not count)
        raise InputError(f"the solver {request.solver} has nothing of one of the revisions for {none}")
    return _Arms(base=base, head=head, most=most, base_has={place: _has(base, place, store) for place in places})


def _parts(work: Work, place: Place) -> tuple[Any, Any]:
    return next(task for task in work.tasks if task.id == place[0]), work.stacks[place[1]]


def _offered(work: Work, place: Place, limit: int) -> int:
    offered = work.solver.epochs(work.revision, *_parts(work, place))
    return limit if offered is None else min(limit, len(offered))


def _has(work: Work, place: Place, store: Store) -> int:
    """How many of the base's epochs, from the first on, the store has graded as they would be graded now."""
    task, stack = _parts(work, place)
    grading = graders.grading(task, stack)
    settings = work.solver.settings(work.revision)
    found = {
        trial.key.epoch
        for trial in store.revision_trials(work.revision.agent, work.revision.digest)
        if (trial.key.task, trial.key.stack) == place
        and (trial.key.solver, trial.key.kind, trial.key.model) == (settings.solver, settings.kind, settings.model)
        and trial.key.settings == digests.of_options(settings.options)
        and trial.document["digests"]["grading"] == grading
        and trial.fault is None
    }
    count = 0
    while count + 1 in found:
        count += 1
    return count


def _plan(work: Work, store: Store, arms: _Arms, epochs: dict[Place, int], *, is_base: bool = False) -> Plan:
    """The trials of one revision; the base's also hold what the store has of it already."""
    has = arms.base_has if is_base else dict.fromkeys(epochs, 0)
    return plan_of(work, store, {place: max(count, has[place]) for place, count in epochs.items()})


def _too_dear(plans: Sequence[Plan], state: _State, settling: Settling) -> str:
    """Why the next round is not begun, or nothing. What a trial costs is known from those that have run."""
    if settling.max_cost is None:
        return ""
    each = statistics.fmean([trial.cost_usd for trial in state.ran if trial.cost_usd is not None] or [0.0])
    expected = each * sum(len(plan.todo) for plan in plans)
    if state.cost + expected > settling.max_cost:
        return f"the budget is spent: ${state.cost:.2f} so far, about ${expected:.2f} for the next round"
    return ""


def _look(
    trials: list[list[Trial]], arms: _Arms, epochs: dict[Place, int], state: _State, settling: Settling
) -> dict[str, Any]:
    """Compare what there is, at the level that this look may spend."""
    state.fractions.append(_information(arms, epochs) / _information(arms, arms.most))
    level = sequential.levels(state.fractions, settling.question.alpha)[-1]
    base, head = side_of(arms.base, trials[0]), side_of(arms.head, trials[1])
    question = replace(settling.question, level=level)
    document = compare.compare(base, head, pair(base, head), question, settling.gate)
    schema.check(document, "comparison", "comparison")
    return document


def _information(arms: _Arms, epochs: dict[Place, int]) -> float:
    """What so many epochs tell, up to the trials' variance: that of a difference of two means, over places."""
    parts = [1 / max(count, arms.base_has[place]) + 1 / count for place, count in epochs.items()]
    return 1 / math.fsum(parts)
