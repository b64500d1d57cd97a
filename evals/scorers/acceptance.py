"""Acceptance: the task's hidden checks against the running service, in an arena of its own.

The checks speak HTTP to a service that runs as another user, in another process table and file system.
Whatever happens to a check but passing is a failure: one that is missing, skipped or in error too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from evals import workspace
from evals.environments import Environments
from evals.errors import Fault
from evals.types import MIB, Check, Delivery, Finished, Job, Limits, Program, Sandbox, Score, Scored

_MAX_ROUNDS = 6
_KEPT_LOG = 64 * 1024
_REPORT = "/results/report.jsonl"
_ENV = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one check."""

    outcome: str
    expected: str = ""
    came: str = ""
    seconds: float = 0.0


@dataclass(kw_only=True)
class _Progress:
    """Outcomes so far, over the rounds that it took."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    troubled: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)


def _events(data: bytes) -> list[dict[str, Any]]:
    lines = data.decode("utf-8", "replace").splitlines()
    events = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            break  # the line on which the writer was killed
    return events


def _take_event(event: Mapping[str, Any], progress: _Progress, troubled: set[str]) -> None:
    if event["outcome"] == "arena":
        troubled.add(event["id"])
        if event["id"] in progress.troubled:
            progress.stuck.add(event["id"])
            came = f"the arena failed twice: {event['came']}"
            progress.outcomes[event["id"]] = Outcome(outcome="failed", expected="a service to work with", came=came)
        return
    progress.outcomes[event["id"]] = Outcome(
        outcome="passed" if event["outcome"] == "passed" else "failed",
        expected=event["expected"],
        came=event["came"],
        seconds=event["seconds"],
    )


def _take_round(finished: Finished, progress: _Progress) -> None:
    """Read one round's report; a check on which the checks' process died has failed."""
    events = _events(finished.files.get("report", b""))
    if not events or events[0]["event"] != "begin":
        raise Fault("acceptance", f"the checks did not start ({finished.reason}): {finished.output[-2000:]}")
    troubled: set[str] = set()
    for event in events:
        if event["event"] == "check":
            _take_event(event, progress, troubled)
    progress.troubled |= troubled
    started = [event["id"] for event in events if event["event"] == "start"]
    if events[-1]["event"] != "end" and started and started[-1] not in progress.outcomes:
        came = f"the checks' process ended in the middle ({finished.reason}, status {finished.status})"
        progress.outcomes[started[-1]] = Outcome(outcome="failed", expected="an end of this check", came=came)
    progress.logs.extend(f"--- instance {log.instance} ---\n{log.log}" for log in finished.services)


def _described(check: Check, outcome: Outcome) -> dict[str, Any]:
    return {
        "id": check.id,
        "dimension": check.dimension,
        "sentence": check.sentence,
        "norm": check.norm,
        "clause": check.clause,
        "outcome": outcome.outcome,
        "expected": outcome.expected,
        "came": outcome.came,
        "seconds": outcome.seconds,
    }


def _dimensions(checks: Iterable[Check], outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for check in checks:
        row = table.setdefault(check.dimension, {"passed": 0, "total": 0})
        row["total"] += 1
        row["passed"] += outcomes[check.id].outcome == "passed"
    return table


def to_score(checks: tuple[Check, ...], found: Mapping[str, Outcome]) -> Score:
    """The weighted share of checks passed; a check without an outcome has failed."""
    missing = Outcome(outcome="failed", expected="an outcome", came="none: the check was not reached")
    outcomes = {check.id: found.get(check.id, missing) for check in checks}
    passed = [check for check in checks if outcomes[check.id].outcome == "passed"]
    value = sum(check.weight for check in passed) / sum(check.weight for check in checks)
    return Score(
        name="acceptance",
        value=value,
        reason=f"{len(passed)} of {len(checks)} checks passed",
        details={
            "passed": len(passed),
            "total": len(checks),
            "dimensions": _dimensions(checks, outcomes),
            "checks": [_described(check, outcomes[check.id]) for check in checks],
        },
    )


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """The scorer `acceptance`."""

    environments: Environments
    name: str = "acceptance"
    gives: tuple[str, ...] = ("acceptance",)

    @property
    def _lock(self) -> str:
        return resources.files("evals.scorers").joinpath("data", "checks.lock").read_text("utf-8")

    def prepare(self) -> None:
        """Install what the checks need, once."""
        self.environments.ensure("checks", self._lock)

    def _checks_program(self, delivery: Delivery, ids: list[str], python: str, packages: Path) -> Program:
        shared = [(path, f"/checks-of/{path.parent.name}") for path in delivery.task.shared_checks]
        settings = {
            "checks": "/checks",
            "shared": [target for _, target in shared],
            "ids": ids,
            "seed": delivery.seed,
            "env": dict(delivery.task.service_env),
            "seconds": delivery.task.check_seconds,
            "any_errors": delivery.task.any_errors,
            "many_clients": delivery.task.many_clients,
            "report": _REPORT,
        }
        code = "import sys; sys.path.insert(0, '/kit'); from evals.arena.kit.run import main; main()"
        return Program(
            argv=(python, "-I", "-B", "-c", code, json.dumps(settings)),
            env=_ENV,
            read_only=((packages, str(packages)), (delivery.task.path / "tests", "/checks"), *shared),
            limits=Limits(wall=delivery.task.acceptance_seconds, cpu=1800, memory=2048 * MIB, processes=1024),
            cwd="/results",
            workspace=False,
            control=True,
        )

    async def _round(self, delivery: Delivery, sandbox: Sandbox, ids: list[str]) -> Finished:
        packages = self.environments.path("checks", self._lock)
        python = str(packages / "bin" / "python")
        job = Job(
            workspace=delivery.archive,
            main=self._checks_program(delivery, ids, python, packages),
            service=replace(delivery.stack.service(), control=False),
            helper_python=python,
            collect={"report": _REPORT},
        )
        return await sandbox.run(job)

    async def _blame(self, delivery: Delivery, sandbox: Sandbox, progress: _Progress) -> None:
        """Whose fault is it that the arena failed? The delivery's, where it works with the reference; else ours."""
        folder = delivery.task.path / "solution" / delivery.stack.name
        archive = delivery.scratch / f"reference-{delivery.digest[:12]}.tar.gz"
        archive.write_bytes(workspace.archive(workspace.collect(folder).files))
        ids = sorted(progress.stuck)
        finished = await self._round(replace(delivery, archive=archive), sandbox, ids)
        events = _events(finished.files.get("report", b""))
        passed = {event["id"] for event in events if event["event"] == "check" and event["outcome"] == "passed"}
        if passed != progress.stuck:
            raise Fault("acceptance", f"the arena fails with the reference too: {', '.join(ids)}")

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Run all checks; those that a dying checks' process kept from running get another round."""
        progress = _Progress()
        for _ in range(_MAX_ROUNDS):
            ids = [check.id for check in delivery.task.checks if check.id not in progress.outcomes]
            if not ids:
                break
            finished = await self._round(delivery, sandbox, ids)
            _take_round(finished, progress)
            if finished.reason == "wall":
                break  # the time of all checks together is up: what was not reached has failed
        if progress.stuck:
            await self._blame(delivery, sandbox, progress)
        log = "\n".join(progress.logs)
        return Scored(scores=(to_score(delivery.task.checks, progress.outcomes),), logs={"service": log[-_KEPT_LOG:]})


def create(environments: Environments) -> Acceptance:
    """The scorer; nothing is installed before `prepare`."""
    return Acceptance(environments=environments)
