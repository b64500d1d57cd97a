"""Figures of a run: per task, means over its scored trials; faults are counted apart and never averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.store import Trial

SCORES = ("acceptance", "own_tests", "coverage", "lint", "types", "deliverables")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One task (on one stack) in a run. Values are means over scored trials, or None where there is none."""

    task: str
    stack: str
    trials: int
    faults: int
    scores: Mapping[str, float | None]
    composite: float | None
    dimensions: Mapping[str, tuple[int, int]]
    seconds: float
    cost_usd: float | None


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _dimensions(trials: Iterable[Trial]) -> dict[str, tuple[int, int]]:
    table: dict[str, tuple[int, int]] = {}
    for trial in trials:
        for name, row in trial.scores["acceptance"]["details"]["dimensions"].items():
            passed, total = table.get(name, (0, 0))
            table[name] = (passed + row["passed"], total + row["total"])
    return table


def names(trials: Iterable[Trial]) -> list[str]:
    """The scores that trials have: the usual ones, then others in the order in which they appear."""
    found = (name for trial in trials if trial.fault is None for name in trial.scores)
    return list(dict.fromkeys((*SCORES, *found)))


def row(task: str, stack: str, trials: list[Trial], scores: Sequence[str] = SCORES) -> Row:
    """The figures of one task's trials."""
    scored = [trial for trial in trials if trial.fault is None]
    known = [trial.cost_usd for trial in trials if trial.cost_usd is not None]
    return Row(
        task=task,
        stack=stack,
        trials=len(trials),
        faults=len(trials) - len(scored),
        scores={name: _mean(t.scores[name]["value"] for t in scored if name in t.scores) for name in scores},
        composite=_mean(trial.document["composite"] for trial in scored),
        dimensions=_dimensions(scored),
        seconds=sum(sum(trial.document["timings"].values()) for trial in trials),
        cost_usd=sum(known) if known else None,
    )


def rows(trials: Iterable[Trial]) -> list[Row]:
    """One row for each task and stack, in the order in which they first appear."""
    trials = list(trials)
    scores, groups = names(trials), dict[tuple[str, str], list[Trial]]()
    for trial in trials:
        groups.setdefault((trial.key.task, trial.key.stack), []).append(trial)
    return [row(task, stack, found, scores) for (task, stack), found in groups.items()]


def failed_checks(trial: Trial) -> list[dict[str, Any]]:
    """The acceptance checks that a trial failed, as they are recorded."""
    if trial.fault is not None:
        return []
    checks = trial.scores["acceptance"]["details"]["checks"]
    return [check for check in checks if check["outcome"] != "passed"]


def to_json(run_id: str, trials: list[Trial]) -> dict[str, Any]:
    """What `evals run --json` prints."""
    return {
        "run": run_id,
        "tasks": [
            {
                "task": r.task,
                "stack": r.stack,
                "trials": r.trials,
                "faults": r.faults,
                "composite": r.composite,
                "scores": dict(r.scores),
                "dimensions": {name: {"passed": p, "total": t} for name, (p, t) in r.dimensions.items()},
                "seconds": round(r.seconds, 3),
                "cost_usd": r.cost_usd,
            }
            for r in rows(trials)
        ],
        "trials": [
            {
                "id": trial.document["id"],
                "task": trial.key.task,
                "stack": trial.key.stack,
                "epoch": trial.key.epoch,
                "composite": trial.document["composite"],
                "fault": trial.fault,
                "failed_checks": [check["id"] for check in failed_checks(trial)],
                "file": str(trial.path),
            }
            for trial in trials
        ],
    }
