"""Lint: ruff with a fixed rule set of ours; the delivery's configuration and `noqa` are not obeyed."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from evals.environments import Environments
from evals.errors import Fault
from evals.scorers import canary, density
from evals.types import Delivery, Job, Limits, Sandbox, Score, Scored

RULES = ("E4", "E7", "E9", "F", "B", "S", "ASYNC", "C4", "C90", "PIE", "RET", "SIM", "PLE", "PLW", "DTZ", "T20")
"""Rules that find defects and risks; taste in layout is not scored."""

IGNORED = {
    "B008": "FastAPI asks for calls in defaults",
    "S101": "a plain assert is how pytest tests are written, and narrows types elsewhere",
    "S104": "binding is decided by the command line of the stack",
}
TESTS_IGNORED = ("S", "PLW", "DTZ", "SIM")

_SHOWN = 50
_NOQA = re.compile(rb"#\s*(?:ruff:\s*)?noqa", re.IGNORECASE)


def arguments() -> tuple[str, ...]:
    """The command line after `python`."""
    tests = [f"**/{pattern}:{rule}" for pattern in ("tests/**", "test_*.py", "conftest.py") for rule in TESTS_IGNORED]
    return (
        *("-I", "-m", "ruff", "check", "--isolated", "--no-cache", "--ignore-noqa", "--exit-zero"),
        *("--target-version", "py311", "--output-format", "json", "--no-respect-gitignore"),
        *("--select", ",".join(RULES), "--ignore", ",".join(IGNORED)),
        *("--per-file-ignores", ",".join(tests)),
        *("--output-file", "/results/findings.json", "."),
    )


def _finding(raw: dict[str, Any]) -> dict[str, Any]:
    place = f"{str(raw['filename']).removeprefix('/workspace/')}:{raw['location']['row']}"
    return {"place": place, "rule": raw["code"] or "syntax", "message": raw["message"]}


@dataclass(frozen=True, kw_only=True)
class Lint:
    """The scorer `lint`."""

    name: str = "lint"
    gives: tuple[str, ...] = ("lint",)
    background: bool = True

    def prepare(self) -> None:
        """Ruff is a package of the stack."""

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Count ruff's findings per 100 lines of code."""
        program = replace(delivery.stack.tool(*arguments(), limits=Limits(wall=60.0)), background=True)
        job = Job(workspace=delivery.archive, main=program, collect={"findings": "/results/findings.json"})
        finished = await sandbox.run(job)
        if finished.status != 0 or "findings" not in finished.files:
            how = f"{finished.reason}, status {finished.status}: {finished.output[-1000:]}"
            if not await canary.works(delivery, program, sandbox):
                raise Fault("lint", f"ruff does not work here: {how}")
            reason = f"ruff could not read the delivery: {how}"
            return Scored(scores=(Score(name="lint", value=0.0, reason=reason),))
        findings = [_finding(raw) for raw in json.loads(finished.files["findings"])]
        lines = density.code_lines(delivery.files)
        silenced = sum(len(_NOQA.findall(data)) for data in density.python_files(delivery.files).values())
        return Scored(scores=(_to_score(findings, lines, silenced),))


def _to_score(findings: list[dict[str, Any]], lines: int, silenced: int) -> Score:
    rules = Counter(str(finding["rule"]) for finding in findings)
    return Score(
        name="lint",
        value=density.value(len(findings), lines),
        reason=f"{len(findings)} findings in {lines} lines; {silenced} noqa comments, not obeyed",
        details={"findings": findings[:_SHOWN], "rules": dict(rules), "lines": lines, "noqa": silenced},
    )


def create(environments: Environments) -> Lint:
    """The scorer."""
    del environments
    return Lint()
