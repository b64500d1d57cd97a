"""Trials as the store keeps them, made without running anything."""

import copy
from pathlib import Path
from typing import Any

from evals.store import Key, Store

CHECKS = ("test_echo", "test_secret_is_refused", "test_survives_a_kill")


def check(name: str, *, passed: bool) -> dict[str, Any]:
    return {
        "id": name,
        "dimension": "contract",
        "sentence": "The word is given back.",
        "outcome": "passed" if passed else "failed",
        "expected": "",
        "came": "",
        "seconds": 0.1,
    }


def document(key: Key, passed: int, change: dict[str, Any]) -> dict[str, Any]:
    """A trial as the store keeps it, with so many of three checks passed."""
    checks = [check(name, passed=n < passed) for n, name in enumerate(CHECKS)]
    details = {
        "passed": passed,
        "total": 3,
        "dimensions": {"contract": {"passed": passed, "total": 3}},
        "checks": checks,
    }
    scores = [
        {"name": "acceptance", "value": round(passed / 3, 6), "reason": f"{passed} of 3", "details": details},
        {"name": "lint", "value": 1.0, "reason": "clean", "details": {}},
    ]
    digest = "0" * 64
    found = {
        "schema_version": 1,
        "key": copy.deepcopy(key.__dict__),
        "digests": dict.fromkeys(("task", "solve", "stack", "graders", "grading"), digest),
        "evals_version": "0.1.0",
        "sandbox": "bubblewrap",
        "seed": "0" * 16,
        "spelled": key.agent,
        "started_at": "2026-01-01T00:00:00+00:00",
        "finished_at": "2026-01-01T00:00:01+00:00",
        "timings": {"solve": 1.0},
        "solution": {
            "ended": "done",
            "provenance": {"turns": 7},
            "cost_usd": 0.25,
            "tokens": {"output": 900},
            "dropped": [],
        },
        "workspace": {"digest": digest, "files": {}},
        "scores": scores,
        "composite": passed / 3,
        "attacks": [],
        "fault": None,
    }
    return {**found, **change}


FAULT: dict[str, Any] = {"scores": [], "composite": None, "fault": {"stage": "solve", "reason": "no answer"}}


def add_run(reports: Path, name: str, revision: str | None = None) -> None:
    """Keep a run that holds every stored trial, or all of one revision."""
    with Store(reports) as store:
        trials = [trial for trial in store.all_trials() if revision in (None, trial.key.revision)]
        found = {
            "schema_version": 1,
            "id": name,
            "evals_version": "0.1.0",
            "started_at": "2026-01-01T00:00:00+00:00",
            "command": ["run"],
            "trials": sorted({trial.key.path.as_posix() for trial in trials}),
        }
        store.add_run(found)
