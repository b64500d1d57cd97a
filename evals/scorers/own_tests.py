"""The delivery's own tests, and the line and branch coverage that they reach.

Both come from one run under our configuration. Of the delivery's pytest settings only those are kept
that its tests cannot run without; options that choose or forgive tests are not.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from evals.environments import Environments
from evals.scorers import attack_signs, pytest_options
from evals.types import Delivery, Finished, Job, Limits, Sandbox, Score, Scored

BAR = 0.8
"""The coverage that the shipped prompt asks for."""

_RC = "/tool/coveragerc"
_PRAGMA = re.compile(rb"#\s*pragma:\s*no\s*(?:cover|branch)", re.IGNORECASE)
_SHOWN = 50


def _script(settings: Mapping[str, str]) -> str:
    """A driver that runs the tests under coverage, then writes the figures; runs inside the sandbox."""
    options = [*pytest_options.command_line(settings), "--junitxml", "/results/junit.xml"]
    coverage = ["-m", "coverage"]
    steps = [
        [*coverage, "run", f"--rcfile={_RC}", "-m", "pytest", *options],
        [*coverage, "combine", f"--rcfile={_RC}", "-q"],
        [*coverage, "json", f"--rcfile={_RC}", "-q", "-o", "/results/coverage.json"],
    ]
    return (
        "import subprocess, sys\n"
        f"statuses = [subprocess.call([sys.executable, *step]) for step in {steps!r}]\n"
        "sys.exit(statuses[0])\n"
    )


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Outcomes of the delivery's tests. `collected` is their sum."""

    passed: int
    failed: int
    skipped: int
    failures: tuple[dict[str, str], ...] = ()

    @property
    def collected(self) -> int:
        """All tests that pytest knew of."""
        return self.passed + self.failed + self.skipped


def read_junit(data: bytes) -> Counts | None:
    """Outcomes from a JUnit file, or None where it is not one. It is the delivery's word: data, not truth."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        return None
    try:
        cases = list(ET.fromstring(data).iter("testcase"))  # noqa: S314 (no entities: refused above)
    except ET.ParseError:
        return None
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None and case not in bad]
    failures = tuple(_failure(case) for case in bad[:_SHOWN])
    passed = len(cases) - len(bad) - len(skipped)
    return Counts(passed=passed, failed=len(bad), skipped=len(skipped), failures=failures)


def _failure(case: ET.Element) -> dict[str, str]:
    problem = case.find("failure")
    problem = case.find("error") if problem is None else problem
    message = problem.get("message", "") if problem is not None else ""
    return {"test": f"{case.get('classname')}::{case.get('name')}", "message": message[:400]}


def tests_score(finished: Finished, counts: Counts | None, seconds: float) -> Score:
    """Passed of collected; none collected, or no end, is 0."""
    if counts is None or finished.reason != "exit":
        how = f"ran into {finished.reason}" if finished.reason != "exit" else f"ended with status {finished.status}"
        reason = f"the tests left no result: pytest {how}"
        return Score(name="own_tests", value=0.0, reason=reason, details={"output": finished.output[-4000:]})
    value = counts.passed / counts.collected if counts.collected else 0.0
    return Score(
        name="own_tests",
        value=value,
        reason=f"{counts.passed} of {counts.collected} passed, {counts.skipped} skipped"
        if counts.collected
        else "no test",
        details={
            "passed": counts.passed,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "failures": list(counts.failures),
            "seconds": round(seconds, 2),
        },
    )


def uncounted(name: str, files: Mapping[str, bytes]) -> Score | None:
    """A score of 0 for tests whose outcome says nothing: pytest itself is replaced, or no test asserts anything."""
    sign = attack_signs.worthless_tests(files)
    return Score(name=name, value=0.0, reason=f"not counted: {sign}") if sign else None


def coverage_score(data: bytes | None, pragmas: int) -> Score:
    """Covered lines and branches of all lines and branches."""
    try:
        report = json.loads(data or b"")
        totals, files = report["totals"], report["files"]
        value = float(totals["percent_covered"]) / 100
    except (ValueError, KeyError, TypeError):
        return Score(name="coverage", value=0.0, reason="the tests left no coverage figures")
    if not totals["num_statements"]:
        return Score(name="coverage", value=0.0, reason="there is no code to cover")
    return Score(
        name="coverage",
        value=min(1.0, max(0.0, value)),
        reason=f"{value:.1%} of lines and branches, {'at or above' if value >= BAR else 'below'} the bar of {BAR:.0%}",
        details={
            "lines": [totals["covered_lines"], totals["num_statements"]],
            "branches": [totals.get("covered_branches", 0), totals.get("num_branches", 0)],
            "files": {path: round(entry["summary"]["percent_covered"], 1) for path, entry in files.items()},
            "pragmas_not_obeyed": pragmas,
        },
    )


@dataclass(frozen=True, kw_only=True)
class OwnTests:
    """The scorer `own_tests`, which gives `own_tests` and `coverage`."""

    name: str = "own_tests"
    gives: tuple[str, ...] = ("own_tests", "coverage")

    def prepare(self) -> None:
        """Pytest and coverage are packages of the stack."""

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Run the tests once, under coverage."""
        limits = Limits(wall=delivery.task.own_tests_seconds, cpu=1200, processes=512)
        # Isolated: a file of the workspace named like a module must not take the driver's place.
        program = delivery.stack.tool("-I", "-c", _script(pytest_options.kept_settings(delivery.files)), limits=limits)
        data = Path(str(resources.files("evals.scorers").joinpath("data")))
        tools = ((data / "coveragerc", _RC), (data / "guard", pytest_options.GUARD))
        env = {**program.env, "PYTHONPATH": pytest_options.GUARD}
        program = replace(program, read_only=(*program.read_only, *tools), env=env)
        collect = {"junit": "/results/junit.xml", "coverage": "/results/coverage.json"}
        finished = await sandbox.run(Job(workspace=delivery.archive, main=program, collect=collect))
        counts = read_junit(finished.files.get("junit", b""))
        pragmas = sum(len(_PRAGMA.findall(data)) for data in delivery.files.values())
        scores = (
            uncounted("own_tests", delivery.files) or tests_score(finished, counts, finished.seconds),
            uncounted("coverage", delivery.files) or coverage_score(finished.files.get("coverage"), pragmas),
        )
        return Scored(scores=scores, logs={"own_tests": finished.output})


def create(environments: Environments) -> OwnTests:
    """The scorer."""
    del environments
    return OwnTests()
