"""`evals plan`: how many epochs and dollars it takes to see an effect."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals import headroom, metrics
from evals.catalog import agents, tasks
from evals.commands.costs import assumed_cost, known_cost
from evals.rulings import values_of
from evals.stats import power, sequential
from evals.store import Store, Trial

ASSUMED_SPREAD = 0.1
"""Standard deviation between trials of one task where nothing is known: a tenth of the scale."""

_FIRST = 3
_MOST_EPOCHS = 10_000


@dataclass(frozen=True, kw_only=True)
class Planning:
    """What `evals plan` is asked for. `spread` and `cost` take the place of what is stored."""

    agent: str
    tasks: tuple[str, ...]
    metric: str
    effect: float
    alpha: float
    power: float
    spread: float | None
    cost: float | None
    output: Path
    root: Path


def plan(request: Planning) -> dict[str, Any]:
    """Epochs, trials and dollars for a comparison of fixed size, and for one that looks as it goes."""
    wanted = tasks.load_all(list(request.tasks), request.root)
    trials = _stored(request, {task.id for task in wanted})
    spread, spread_basis = _spread(request, trials)
    cost, cost_basis = _cost(request, trials)
    count = len(wanted)
    fixed = power.epochs_to_detect(request.effect, spread, count, alpha=request.alpha, power=request.power)
    most, expected = _sequential(request, spread, count)
    return {
        "effect": request.effect,
        "alpha": request.alpha,
        "power": request.power,
        "tasks": [task.id for task in wanted],
        "spread": spread,
        "spread_basis": spread_basis,
        "cost_a_trial_usd": cost,
        "cost_basis": cost_basis,
        "fixed": _size(fixed, count, cost),
        "until_verdict": {"at_most": _size(most, count, cost), "expected": _size(expected, count, cost)},
        "room": _room(trials),
    }


def _room(trials: list[Trial]) -> list[dict[str, Any]]:
    """For each task with stored trials, the scores that can still show a difference: those not at their ceiling."""
    found: dict[tuple[str, str], list[float]] = {}
    for trial in trials:
        for name, score in trial.scores.items():
            found.setdefault((trial.key.task, name), []).append(float(score["value"]))
    rows: dict[str, dict[str, Any]] = {}
    for (task, name), values in found.items():
        row = rows.setdefault(task, {"task": task, "metrics": [], "saturated": []})
        row["saturated" if headroom.is_saturated(values) else "metrics"].append(name)
    return [rows[task] for task in sorted(rows, key=lambda task: (metrics.PRIMARY in rows[task]["saturated"], task))]


def _stored(request: Planning, wanted: set[str]) -> list[Trial]:
    revision = agents.load(request.agent, request.root)
    found = (trial for trial in Store(request.output).all_trials() if trial.key.agent == revision.agent)
    return [trial for trial in found if trial.key.task in wanted and trial.fault is None]


def _spread(request: Planning, trials: list[Trial]) -> tuple[float, str]:
    """The pooled standard deviation within revision, task and settings."""
    if request.spread is not None:
        return request.spread, "given with --spread"
    metric = metrics.named(request.metric, metrics.of_trials(trials))
    cells: dict[Any, dict[int, Trial]] = {}
    for trial in trials:
        key = trial.key
        cell = (key.revision, key.task, key.stack, key.solver, key.kind, key.model)
        cells.setdefault(cell, {})[key.epoch] = trial
    values = [values_of(cell.values(), metric) for cell in cells.values()]
    repeated = [cell for cell in values if len(cell) > 1]
    freedom = sum(len(cell) - 1 for cell in repeated)
    if not freedom:
        return ASSUMED_SPREAD, "assumed: no task has two stored trials of one revision"
    pooled = math.fsum((len(cell) - 1) * statistics.variance(cell) for cell in repeated) / freedom
    # A spread of nothing in few trials is not known to be nothing: one trial in (freedom + 2) might have differed.
    floor = 1 / (freedom + 2) / 4
    return max(math.sqrt(pooled), floor), f"from {freedom + len(repeated)} stored trials"


def _cost(request: Planning, trials: list[Trial]) -> tuple[float | None, str]:
    if request.cost is not None:
        return request.cost, "given with --cost"
    known = known_cost(trials)
    if known is not None:
        return known[0], f"mean of {known[1]} stored trials"
    return assumed_cost("agent", None)


def _sequential(request: Planning, spread: float, count: int) -> tuple[int, float]:
    """The limit of epochs that gives the power when looking as one goes, and the epochs to expect."""
    drift = request.effect / (spread * math.sqrt(2 / count))
    most = max(_FIRST, power.epochs_to_detect(request.effect, spread, count, alpha=request.alpha, power=request.power))
    while True:
        reached, expected = sequential.outlook(drift, sequential.looks(min(_FIRST, most), most), request.alpha)
        if reached >= request.power or most > _MOST_EPOCHS:
            return most, expected
        most = max(most + 1, round(most * 1.05))


def _size(epochs: float, count: int, cost: float | None) -> dict[str, Any]:
    """Of both revisions together."""
    trials = epochs * count * 2
    return {
        "epochs": round(epochs, 1),
        "trials": round(trials, 1),
        "cost_usd": None if cost is None else round(trials * cost, 2),
    }
