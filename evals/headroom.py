"""What tasks and checks can still tell apart, from stored trials. Pure: it reads no file and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evals import metrics
from evals.stats import items
from evals.store import Trial

CEILING = 0.999
FLOOR = 0.001
SATURATED = 0.9
"""A task is saturated where at least this share of its trials is at the ceiling."""


def is_saturated(values: Sequence[float]) -> bool:
    """Whether nearly every value is at the ceiling: an equivalence there is worth less."""
    return bool(values) and share_at_ceiling(values) >= SATURATED


def share_at_ceiling(values: Sequence[float]) -> float:
    """The share of values that cannot be higher."""
    return sum(1 for value in values if value >= CEILING) / len(values)


def measure(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """For each task: ceiling, floor, spreads, and what each check tells (`headroom.schema.json`)."""
    by_task: dict[tuple[str, str], dict[str, Trial]] = {}
    for trial in trials:
        if trial.fault is None:
            place = by_task.setdefault((trial.key.task, str(trial.document["digests"]["grading"])), {})
            place[trial.key.path.as_posix()] = trial  # the newest attempt of an epoch
    newest: dict[str, list[Trial]] = {}
    for (task, _), found in sorted(by_task.items(), key=lambda item: max(_when(t) for t in item[1].values())):
        newest[task] = list(found.values())
    return [_of_task(task, found) for task, found in sorted(newest.items())]


def _when(trial: Trial) -> str:
    return str(trial.document["finished_at"])


def _of_task(task: str, trials: list[Trial]) -> dict[str, Any]:
    values = [float(trial.scores[metrics.PRIMARY]["value"]) for trial in trials]
    groups: dict[Any, list[float]] = {}
    for trial, value in zip(trials, values, strict=True):
        key = trial.key
        groups.setdefault((key.revision, key.stack, key.solver, key.kind, key.model), []).append(value)
    within, between = items.spreads(list(groups.values()))
    return {
        "task": task,
        "trials": len(trials),
        "revisions": len({trial.key.revision for trial in trials}),
        "at_ceiling": share_at_ceiling(values),
        "at_floor": sum(1 for value in values if value <= FLOOR) / len(values),
        "saturated": is_saturated(values),
        "spread_between_epochs": within,
        "spread_between_revisions": between,
        "checks": _checks(trials),
    }


def _checks(trials: list[Trial]) -> list[dict[str, Any]]:
    tables = [_outcomes(trial) for trial in trials]
    names = list(tables[0])
    rows = [[bool(table.get(name, False)) for name in names] for table in tables]
    tells = items.item_rest(rows)
    return [
        {"id": name, "passed": sum(row[n] for row in rows) / len(rows), "item_rest": tells[n]}
        for n, name in enumerate(names)
    ]


def _outcomes(trial: Trial) -> Mapping[str, bool]:
    checks = trial.scores[metrics.PRIMARY]["details"]["checks"]
    return {check["id"]: check["outcome"] == "passed" for check in checks}
