"""How much the delivery's own tests notice: the share of sampled mutants of its own code on which they fail.

    value = noticed / (noticed + missed + uncovered)

Mutants are made by Cosmic Ray, and sampled by the trial's seed over all places of the code outside of tests; as many
are tried, in the order of the sample, as fit into the time. It is the delivery's own word, as its tests are.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from evals.environments import Environments
from evals.errors import Fault
from evals.scorers import attack_signs, measures, pytest_options
from evals.types import Delivery, Finished, Job, Limits, Sandbox, Score, Scored

SECONDS = 60.0
"""For all runs of the tests together; the first is without a mutant."""

SAMPLE = 60
_NAME = "test_strength"


@dataclass(frozen=True, kw_only=True)
class TestStrength:
    """The scorer `test_strength`."""

    measures: measures.Measures
    name: str = _NAME
    gives: tuple[str, ...] = (_NAME,)
    optional: bool = True

    def prepare(self) -> None:
        """Cosmic Ray is no package of the stack."""
        self.measures.prepare()

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Sample mutants, then run the tests on each until time is up."""
        if sign := attack_signs.worthless_tests(delivery.files):
            return _scored(0.0, f"not counted: {sign}")
        mutants = await self._mutants(delivery, sandbox)
        if not json.loads(mutants):
            return _scored(0.0, "there is no code to change")
        finished = await _run_tests(delivery, mutants, sandbox)
        found = _read(finished)
        if found is None:
            return _scored(0.0, f"the tests left no result: {finished.reason}, status {finished.status}")
        if found["baseline"] != 0:
            return _scored(0.0, "the tests fail, or do not end, without any change")
        return _strength(found)

    async def _mutants(self, delivery: Delivery, sandbox: Sandbox) -> bytes:
        program = self.measures.tool("mutants.py", delivery.seed, str(SAMPLE), limits=Limits(wall=60.0))
        job = Job(workspace=delivery.archive, main=program, collect={"mutants": "/results/mutants.json"})
        finished = await sandbox.run(job)
        if "mutants" not in finished.files:
            raise Fault(_NAME, f"no mutants could be made: {finished.reason}: {finished.output[-1000:]}")
        return finished.files["mutants"]


async def _run_tests(delivery: Delivery, mutants: bytes, sandbox: Sandbox) -> Finished:
    options = pytest_options.command_line(pytest_options.kept_settings(delivery.files))
    program = delivery.stack.tool("-I", "/tool/strength.py", str(SECONDS), *options, limits=_LIMITS)
    data = Path(str(resources.files("evals.scorers").joinpath("data")))
    with tempfile.TemporaryDirectory(dir=delivery.scratch) as folder:
        sample = Path(folder) / "mutants.json"
        sample.write_bytes(mutants)
        sample.chmod(0o644)
        tools = (
            (data / "tools" / "strength.py", "/tool/strength.py"),
            (data / "coveragerc", "/tool/coveragerc"),
            (data / "guard", pytest_options.GUARD),
            (sample, "/tool/mutants.json"),
        )
        env = {**program.env, "PYTHONPATH": pytest_options.GUARD}
        program = replace(program, read_only=(*program.read_only, *tools), env=env)
        job = Job(workspace=delivery.archive, main=program, collect={"strength": "/results/strength.json"})
        return await sandbox.run(job)


_LIMITS = Limits(wall=SECONDS * 3, cpu=600, processes=512)


def _read(finished: Finished) -> dict[str, Any] | None:
    """What the driver wrote, or None where it is not that: it ran beside the delivery's code."""
    try:
        found = json.loads(finished.files.get("strength", b""))
        known = {"noticed", "missed", "uncovered"}
        ok = isinstance(found["baseline"], int) and all(row["outcome"] in known for row in found["mutants"])
    except (ValueError, KeyError, TypeError):
        return None
    return found if ok else None


def _strength(found: Mapping[str, Any]) -> Scored:
    counts = Counter(row["outcome"] for row in found["mutants"])
    tried = sum(counts.values())
    if not tried:
        return _scored(0.0, f"the tests take {found['baseline_seconds']:.0f} s: no time for a single mutant")
    reason = (
        f"{counts['noticed']} of {tried} mutants noticed; {counts['missed']} missed, {counts['uncovered']} in lines "
        "that no test runs"
    )
    return _scored(counts["noticed"] / tried, reason, mutants=found["mutants"], seconds=found["baseline_seconds"])


def _scored(value: float, reason: str, **details: Any) -> Scored:
    return Scored(scores=(Score(name=_NAME, value=value, reason=reason, details=details),))


def create(environments: Environments) -> TestStrength:
    """The scorer; nothing is installed before `prepare`."""
    return TestStrength(measures=measures.Measures(environments=environments))
