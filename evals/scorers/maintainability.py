"""How easily others can go on with the code: complexity, length, duplication and typing, from maintained tools.

    value = mean of the parts
    complexity  = lines of code in functions of cyclomatic complexity up to 10 / lines of code in functions
    length      = lines of code in functions of up to 40 lines / lines of code in functions
    duplication = 1 - share of tokens that stand more than once
    typing      = functions with annotations / functions, in app/

The first three are lizard's, over the code outside of tests; the last is mypy's. The bound of 10 is McCabe's (A
Complexity Measure, IEEE TSE 1976).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from evals.environments import Environments
from evals.errors import Fault
from evals.scorers import measures
from evals.types import Delivery, Job, Limits, Sandbox, Score, Scored

COMPLEX_ABOVE = 10
LONG_ABOVE = 40
_NAME = "maintainability"
_SHOWN = 20
_TOTAL = "total"


@dataclass(frozen=True, kw_only=True)
class Maintainability:
    """The scorer `maintainability`."""

    measures: measures.Measures
    name: str = _NAME
    gives: tuple[str, ...] = (_NAME,)
    background: bool = True
    optional: bool = True

    def prepare(self) -> None:
        """Lizard is no package of the stack; mypy is."""
        self.measures.prepare()

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Run both tools, one after the other."""
        structure = await self._structure(delivery, sandbox)
        if not structure["functions"]:
            return Scored(scores=(Score(name=_NAME, value=0.0, reason="there is no function outside of the tests"),))
        typed = await _typed(delivery, sandbox)
        return Scored(scores=(_to_score(structure, typed),))

    async def _structure(self, delivery: Delivery, sandbox: Sandbox) -> dict[str, Any]:
        program = self.measures.tool("structure.py", limits=Limits(wall=120.0))
        job = Job(workspace=delivery.archive, main=program, collect={"structure": "/results/structure.json"})
        finished = await sandbox.run(job)
        if "structure" not in finished.files:
            raise Fault(_NAME, f"lizard gave nothing: {finished.reason}: {finished.output[-1000:]}")
        found: dict[str, Any] = json.loads(finished.files["structure"])
        return found


async def _typed(delivery: Delivery, sandbox: Sandbox) -> tuple[int, int]:
    """Functions of `app` with annotations, and all; none where mypy could not read it."""
    options = ("--ignore-missing-imports", "--follow-imports=skip", "--linecount-report", "/results/lines")
    argv = ("-I", "-m", "mypy", "--config-file", "/dev/null", "--cache-dir", "/tmp/mypy", *options, "app")
    program = replace(delivery.stack.tool(*argv, limits=Limits(wall=120.0)), background=True)
    job = Job(workspace=delivery.archive, main=program, collect={"lines": "/results/lines/linecount.txt"})
    finished = await sandbox.run(job)
    return typed_functions(finished.files.get("lines", b"").decode("utf-8", "replace"))


def typed_functions(report: str) -> tuple[int, int]:
    """From mypy's line count report: functions with annotations, and all functions."""
    for line in report.splitlines():
        fields = line.split()
        if len(fields) == 5 and fields[4] == _TOTAL:
            return int(fields[2]), int(fields[3])
    return 0, 0


def _to_score(structure: Mapping[str, Any], typed: tuple[int, int]) -> Score:
    functions = structure["functions"]
    parts = {
        "complexity": _share(functions, "complexity", COMPLEX_ABOVE),
        "length": _share(functions, "lines", LONG_ABOVE),
        "duplication": 1.0 - min(1.0, structure["duplicated"]),
        "typing": typed[0] / typed[1] if typed[1] else 0.0,
    }
    worst = sorted(functions, key=lambda found: (-found["complexity"], -found["lines"]))
    return Score(
        name=_NAME,
        value=fmean(parts.values()),
        reason=", ".join(f"{name} {value:.0%}" for name, value in parts.items()),
        details={"parts": parts, "lines": structure["lines"], "functions": worst[:_SHOWN]},
    )


def _share(functions: Sequence[Mapping[str, Any]], measure: str, most: int) -> float:
    """The share of lines in functions whose measure is at most `most`."""
    lines = sum(found["lines"] for found in functions)
    return sum(found["lines"] for found in functions if found[measure] <= most) / lines if lines else 1.0


def create(environments: Environments) -> Maintainability:
    """The scorer; nothing is installed before `prepare`."""
    return Maintainability(measures=measures.Measures(environments=environments))
