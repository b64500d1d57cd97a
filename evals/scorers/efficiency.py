"""How fast and how lean the service is under a fixed load, beside the reference solution's.

    value = mean of the parts, each r / (1 + r)
    throughput: r = calls a second / the reference's
    latency:    r = the reference's 95th percentile / its own
    memory:     r = the reference's peak / its own

A half is as good as the reference; 1 is never reached, so that better is always seen. The reference runs in the same
arena before and after the delivery, and its figures are the means of both. Where more than 1% of the calls fail, or the
service does not start, the value is 0: a service that refuses is quick.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

from evals import workspace
from evals.environments import Environments
from evals.errors import Fault
from evals.types import MIB, Delivery, Finished, Job, Limits, Program, Sandbox, Score, Scored

_NAME = "efficiency"
_THREADS = 8
_FAILED_SHARE = 0.01
_REPORT = "/results/report.json"
_ENV = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one service did under the load: calls a second, 95th percentile in seconds, peak memory in bytes."""

    throughput: float
    latency: float
    memory: float


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """The scorer `efficiency`."""

    environments: Environments
    name: str = _NAME
    gives: tuple[str, ...] = (_NAME,)
    optional: bool = True

    @property
    def _lock(self) -> str:
        return resources.files("evals.scorers").joinpath("data", "checks.lock").read_text("utf-8")

    def prepare(self) -> None:
        """The load is made with what the checks are made with."""
        self.environments.ensure("checks", self._lock)

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """The reference, the delivery, the reference again."""
        folder = load_of(delivery)
        if folder is None:
            return Scored(scores=(Score(name=_NAME, value=0.0, reason="the task has no load to measure with"),))
        reference = await self._reference(delivery, folder, sandbox)
        own = figures(await self._run(delivery, folder, sandbox))
        if isinstance(own, str):
            return Scored(scores=(Score(name=_NAME, value=0.0, reason=own),))
        return Scored(scores=(to_score(own, reference),))

    async def _reference(self, delivery: Delivery, folder: Path, sandbox: Sandbox) -> list[Figures]:
        archive = delivery.scratch / f"efficiency-{delivery.digest[:12]}.tar.gz"
        solution = workspace.collect(delivery.task.path / "solution" / delivery.stack.name).files
        archive.write_bytes(workspace.archive({**delivery.stack.starting_files(), **solution}))
        found = [figures(await self._run(replace(delivery, archive=archive), folder, sandbox)) for _ in range(2)]
        failed = [each for each in found if isinstance(each, str)]
        if failed:
            raise Fault(_NAME, f"the reference solution could not be measured: {failed[0]}")
        return [each for each in found if not isinstance(each, str)]

    async def _run(self, delivery: Delivery, folder: Path, sandbox: Sandbox) -> Finished:
        python = str(self.environments.path("checks", self._lock) / "bin" / "python")
        service = replace(delivery.stack.service(), control=False)
        main = self._program(delivery, folder, python)
        collect = {"report": _REPORT}
        job = Job(workspace=delivery.archive, main=main, service=service, helper_python=python, collect=collect)
        return await sandbox.run(job)

    def _program(self, delivery: Delivery, folder: Path, python: str) -> Program:
        settings = {
            "load": "/load",
            "seed": delivery.task.id,  # one load for all deliveries of a task
            "env": dict(delivery.task.service_env),
            "many_clients": True,
            "threads": _THREADS,
            "report": _REPORT,
        }
        packages = self.environments.path("checks", self._lock)
        code = "import sys; sys.path.insert(0, '/kit'); from evals.arena.kit.measure import main; main()"
        return Program(
            argv=(python, "-I", "-B", "-c", code, json.dumps(settings)),
            env=_ENV,
            read_only=((packages, str(packages)), (folder, "/load")),
            limits=Limits(wall=240.0, cpu=600, memory=1024 * MIB),
            cwd="/results",
            workspace=False,
            control=True,
        )


def load_of(delivery: Delivery) -> Path | None:
    """The folder of a task's `load.py`: its own, or that of a task whose checks it shares."""
    task = delivery.task
    folders = [task.path / "load", *(path.parent / "load" for path in task.shared_checks)]
    return next((folder for folder in folders if (folder / "load.py").is_file()), None)


def figures(finished: Finished) -> Figures | str:
    """What a run of the load gave, or why it gave nothing that counts."""
    try:
        report = json.loads(finished.files["report"])
    except (KeyError, ValueError):
        return f"the load did not end: {finished.reason}: {finished.output[-500:]}"
    if "unmet" in report:
        return str(report["unmet"])
    if report["failed"] > _FAILED_SHARE * report["calls"]:
        return f"{report['failed']} of {report['calls']} calls failed"
    latencies = report["latencies"]
    return Figures(
        throughput=report["calls"] / report["seconds"],
        latency=latencies[int(0.95 * (len(latencies) - 1))],
        memory=float(report["peak_memory"]),
    )


def to_score(own: Figures, reference: Sequence[Figures]) -> Score:
    """The ratios and what follows from them."""
    ratios = {
        "throughput": own.throughput / fmean(each.throughput for each in reference),
        "latency": fmean(each.latency for each in reference) / own.latency,
        "memory": fmean(each.memory for each in reference) / own.memory,
    }
    value = fmean(ratio / (1 + ratio) for ratio in ratios.values())
    return Score(name=_NAME, value=value, reason=_told(own, ratios), details=_details(own, reference, ratios))


def _told(own: Figures, ratios: Mapping[str, float]) -> str:
    shown = (f"{own.throughput:.0f}/s", f"{own.latency * 1000:.0f} ms", f"{own.memory / MIB:.0f} MiB")
    parts = zip(ratios.items(), shown, strict=True)
    return ", ".join(f"{name} {text} ({ratio:.2f}x the reference)" for (name, ratio), text in parts)


def _details(own: Figures, reference: Sequence[Figures], ratios: Mapping[str, float]) -> dict[str, Any]:
    return {"ratios": dict(ratios), "own": vars(own), "reference": [vars(each) for each in reference]}


def create(environments: Environments) -> Efficiency:
    """The scorer; nothing is installed before `prepare`."""
    return Efficiency(environments=environments)
