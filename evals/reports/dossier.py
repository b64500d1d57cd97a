"""What a report is made from: a run's or a comparison's trials, set out task by task, check by check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import evals
from evals.store import Trial

MARKS = {"passed": "p", "failed": "f", "skipped": "s", "missing": "m", "error": "e"}
"""One letter for the outcome of a check; others are `e`, and `-` stands where a trial has no such check."""

_ABOUT_CHECKS = ("id", "dimension", "sentence", "norm", "clause")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One revision's trials. `role` is `base`, `head` or, where nothing is compared, `run`."""

    role: str
    label: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """Everything that a report shows. `comparisons` are documents of `comparison.schema.json`."""

    title: str
    sides: tuple[Side, ...]
    comparisons: tuple[Mapping[str, Any], ...] = ()

    @property
    def trials(self) -> list[Trial]:
        """All trials, side by side."""
        return [trial for side in self.sides for trial in side.trials]

    @property
    def faults(self) -> list[Trial]:
        """Those that could not be measured."""
        return [trial for trial in self.trials if trial.fault is not None]

    def document(self) -> dict[str, Any]:
        """The report as JSON (`report.schema.json`)."""
        places = dict.fromkeys((trial.key.task, trial.key.stack) for trial in self.trials)
        return {
            "schema_version": 1,
            "evals_version": evals.__version__,
            "title": self.title,
            "sides": [_side(side) for side in self.sides],
            "comparisons": [dict(comparison) for comparison in self.comparisons],
            "tasks": [_task(task, stack, self.sides) for task, stack in places],
        }


def _side(side: Side) -> dict[str, Any]:
    first = side.trials[0].key if side.trials else None
    return {
        "role": side.role,
        "label": side.label,
        "agent": first.agent if first else None,
        "revision": first.revision if first else None,
        "trials": len(side.trials),
        "faults": sum(1 for trial in side.trials if trial.fault is not None),
        "cost_usd": total_cost(side.trials),
    }


def total_cost(trials: Iterable[Trial]) -> float | None:
    """What trials have cost together, or None where none is known."""
    known = [trial.cost_usd for trial in trials if trial.cost_usd is not None]
    return sum(known) if known else None


def checks_of(trial: Trial) -> list[dict[str, Any]]:
    """The acceptance checks of a trial; none of a fault."""
    if trial.fault is not None or "acceptance" not in trial.scores:
        return []
    found: list[dict[str, Any]] = trial.scores["acceptance"]["details"]["checks"]
    return found


def _task(task: str, stack: str, sides: Sequence[Side]) -> dict[str, Any]:
    place = (task, stack)
    trials = [(s.role, trial) for s in sides for trial in s.trials if (trial.key.task, trial.key.stack) == place]
    checks = {check["id"]: check for _, trial in trials for check in checks_of(trial)}
    return {
        "task": task,
        "stack": stack,
        "checks": [{name: check.get(name) for name in _ABOUT_CHECKS} for check in checks.values()],
        "trials": [_trial(role, trial, list(checks)) for role, trial in trials],
    }


def _trial(role: str, trial: Trial, checks: list[str]) -> dict[str, Any]:
    outcomes = {check["id"]: MARKS.get(check["outcome"], "e") for check in checks_of(trial)}
    solution = trial.document["solution"] or {}
    return {
        "id": trial.document["id"],
        "role": role,
        "epoch": trial.key.epoch,
        "composite": trial.document["composite"],
        "scores": {score["name"]: score["value"] for score in trial.document["scores"]},
        "marks": "".join(outcomes.get(name, "-") for name in checks),
        "fault": trial.fault["reason"] if trial.fault else None,
        "ended": solution.get("ended"),
        "cost_usd": trial.cost_usd,
        "tokens": solution.get("tokens"),
        "seconds": round(sum(trial.document["timings"].values()), 3),
        "attacks": len(trial.document["attacks"]),
    }
