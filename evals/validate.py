"""Is a grader to be trusted? Run it on deliveries whose grade is known, and count.

The reference passes every check, again and again and under load (flakes); nothing passes none; correct
solutions of other make pass every check (false rejections); every seeded defect is caught (kill rate);
attacks on the grader get nothing and are named.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio

import evals
from evals.catalog.cheats import Cheat
from evals.catalog.mutants import Mutant
from evals.errors import Fault
from evals.stats import proportions
from evals.store import Store
from evals.types import Delivery, Sandbox, Scored, Scorer, Stack, Task

Tell = Callable[[str], None]
Files = Mapping[str, bytes]
T = TypeVar("T")

_QUICK_SHARE = 0.2
_QUICK_SEED = 20_260_101


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A task with everything that its grader is measured on."""

    task: Task
    stack: Stack
    reference: Files
    solutions: Mapping[str, Files]
    mutants: tuple[Mutant, ...]
    cheats: tuple[Cheat, ...]
    cheat_base: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the measuring is done with.

    `load` is the number of busy processes beside the oracle's runs, of which `jobs` go on at a time; a card's `load`
    counts both: what disturbs one run.

    `acceptance` judges all deliveries; `others` are the other scorers, which cheats have to fool as well.
    """

    store: Store
    sandbox: Sandbox
    acceptance: Scorer
    others: tuple[Scorer, ...]
    jobs: int
    runs: int
    load: int
    quick: bool
    tell: Tell


@dataclass(kw_only=True)
class _Found:
    """Failed checks of each delivery by its name, and what could not be measured."""

    failed: dict[str, list[str]] = field(default_factory=dict)
    cheats: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


PARTS: Mapping[str, tuple[str, ...]] = {
    "oracle": ("oracle",),
    "nop": ("nop",),
    "solutions": ("solutions",),
    "mutants": ("mutants", "idle_checks", "kept_checks"),
    "cheats": ("cheats",),
}
"""What can be measured by itself, and where it stands in a card."""


async def measure(subject: Subject, bench: Bench, parts: Collection[str] = tuple(PARTS)) -> dict[str, Any]:
    """The report card of a task's grader (`card.schema.json`); parts that are not asked for are empty."""
    mutants = _chosen(subject.mutants) if bench.quick else subject.mutants
    cheats = _chosen(subject.cheats) if bench.quick else subject.cheats
    found = _Found()
    if "oracle" in parts:
        with _load(bench.load):
            runs = {f"oracle {n + 1}": subject.reference for n in range(bench.runs)}
            await _stage(subject, bench, found, runs)
    if "nop" in parts:
        await _stage(subject, bench, found, {"nop": subject.stack.starting_files()})
    if "solutions" in parts:
        await _stage(subject, bench, found, {f"solution {n}": f for n, f in subject.solutions.items()})
    if "mutants" in parts:
        await _stage(subject, bench, found, {f"mutant {m.id}": m.apply(subject.reference) for m in mutants})
    if "cheats" in parts:
        await _try_cheats(subject, bench, found, cheats)
    return _card(subject, bench, mutants, found)


def merged(
    subject: Subject, earlier: Mapping[str, Any], card: Mapping[str, Any], parts: Collection[str]
) -> dict[str, Any]:
    """An earlier card with some parts measured anew; of the mutants, those that were."""
    fields = {field for part in parts for field in PARTS[part]}
    anew = {name: card[name] for name in fields}
    if "mutants" in parts:
        rows = {row["id"]: row for source in (earlier, card) for row in source["mutants"]["each"]}
        anew |= _of_mutants(subject.task, [rows[mutant.id] for mutant in subject.mutants if mutant.id in rows])
    stages = {part.removesuffix("s") for part in parts}
    faults = [fault for fault in earlier["faults"] if fault.split(" ", 1)[0].rstrip(":") not in stages]
    return {
        **earlier,
        **anew,
        "faults": faults + card["faults"],
        "seconds": {**card["seconds"], **earlier["seconds"]},
    }


def _chosen(all_of_them: tuple[T, ...]) -> tuple[T, ...]:
    """A seeded fifth: the same ones each time."""
    count = max(1, round(len(all_of_them) * _QUICK_SHARE))
    picked = random.Random(_QUICK_SEED).sample(range(len(all_of_them)), min(count, len(all_of_them)))  # noqa: S311
    return tuple(all_of_them[n] for n in sorted(picked))


@contextmanager
def _load(count: int) -> Iterator[None]:
    """Busy processes beside the checks."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


async def _stage(
    subject: Subject, bench: Bench, found: _Found, deliveries: Mapping[str, Files], *, jobs: int | None = None
) -> None:
    began = time.monotonic()
    limit = anyio.CapacityLimiter(jobs or bench.jobs)

    async def one(name: str, files: Files) -> None:
        async with limit:
            try:
                found.failed[name] = await _failed_checks(subject, bench, files)
            except Fault as fault:
                found.faults.append(f"{name}: {fault}")
                bench.tell(f"{subject.task.id}: {name}: fault: {fault.reason[:200]}")
                return
            failed = found.failed[name]
            bench.tell(f"{subject.task.id}: {name}: {', '.join(failed[:3]) or 'passes everything'}")

    async with anyio.create_task_group() as group:
        for name, files in deliveries.items():
            group.start_soon(one, name, files)
    if deliveries:
        stage = next(iter(deliveries)).split(" ", 1)[0]
        found.seconds[stage] = round(time.monotonic() - began, 1)


def _delivery(subject: Subject, bench: Bench, files: Files) -> Delivery:
    digest, archive = bench.store.add_workspace(dict(files))
    return Delivery(
        task=subject.task,
        stack=subject.stack,
        archive=archive,
        digest=digest,
        files=files,
        seed=digest[:16],
        scratch=bench.store.scratch,
    )


async def _failed_checks(subject: Subject, bench: Bench, files: Files) -> list[str]:
    scored = await bench.acceptance.score(_delivery(subject, bench, files), bench.sandbox)
    checks = scored.scores[0].details["checks"]
    return [check["id"] for check in checks if check["outcome"] != "passed"]


async def _try_cheats(subject: Subject, bench: Bench, found: _Found, cheats: tuple[Cheat, ...]) -> None:
    """Grade every cheat with every scorer; what cannot be measured is a fault."""
    began = time.monotonic()
    limit = anyio.CapacityLimiter(bench.jobs)

    async def one(cheat: Cheat) -> None:
        async with limit:
            try:
                row = await _tried(subject, bench, cheat)
            except Fault as fault:
                found.faults.append(f"cheat {cheat.name}: {fault}")
                bench.tell(f"{subject.task.id}: cheat {cheat.name}: fault: {fault.reason[:200]}")
                return
            found.cheats.append(row)
            bench.tell(f"{subject.task.id}: cheat {cheat.name}: {row['named'] or 'not named'}, {row['scores']}")

    async with anyio.create_task_group() as group:
        for cheat in cheats:
            group.start_soon(one, cheat)
    if cheats:
        found.seconds["cheat"] = round(time.monotonic() - began, 1)


async def _tried(subject: Subject, bench: Bench, cheat: Cheat) -> dict[str, Any]:
    """What a cheat got, and how it is named."""
    collected = cheat.deliver(subject.cheat_base, bench.store.scratch)
    delivery = _delivery(subject, bench, collected.files)
    scored: list[Scored] = [await s.score(delivery, bench.sandbox) for s in (bench.acceptance, *bench.others)]
    scores = {score.name: round(score.value, 4) for item in scored for score in item.scores}
    said = [*collected.dropped, *(attack for item in scored for attack in item.attacks)]
    return {
        "name": cheat.name,
        "kind": cheat.kind,
        "scores": scores,
        "too_high": sorted(name for name, highest in cheat.highest.items() if scores.get(name, 0.0) > highest),
        "named": next((text for text in said if cheat.named in text), None),
    }


def _rate(killed: list[bool]) -> dict[str, Any]:
    total = len(killed)
    interval = [round(value, 4) for value in proportions.wilson(sum(killed), total)] if total else None
    rate = sum(killed) / total if total else None
    return {"killed": sum(killed), "total": total, "rate": rate, "interval": interval}


def _mutant_rows(mutants: tuple[Mutant, ...], found: _Found) -> list[dict[str, Any]]:
    return [
        {"id": m.id, "dimension": m.dimension, "subtle": m.subtle, "killed_by": found.failed[f"mutant {m.id}"]}
        for m in mutants
        if f"mutant {m.id}" in found.failed
    ]


def _mutant_part(rows: list[dict[str, Any]]) -> dict[str, Any]:
    dimensions = sorted({row["dimension"] for row in rows})
    return {
        "overall": _rate([bool(row["killed_by"]) for row in rows]),
        "subtle": _rate([bool(row["killed_by"]) for row in rows if row["subtle"]]),
        "by_dimension": {
            name: _rate([bool(row["killed_by"]) for row in rows if row["dimension"] == name]) for name in dimensions
        },
        "each": rows,
    }


def _oracle_part(bench: Bench, found: _Found) -> dict[str, Any]:
    runs = [failed for name, failed in found.failed.items() if name.startswith("oracle ")]
    flakes = sorted({check for failed in runs for check in failed})
    return {
        "runs": len(runs),
        "load": bench.load + min(bench.jobs, bench.runs) - 1,
        "passed": sum(1 for failed in runs if not failed),
        "flakes": {check: sum(1 for failed in runs if check in failed) for check in flakes},
    }


def _of_mutants(task: Task, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What mutants say of the grader, and of each check."""
    killers = {check for row in rows for check in row["killed_by"]}
    idle = [check for check in task.checks if check.id not in killers]
    return {
        "mutants": _mutant_part(rows),
        "idle_checks": [check.id for check in idle if not check.kept_because],
        "kept_checks": {check.id: check.kept_because for check in idle if check.kept_because},
    }


def _card(subject: Subject, bench: Bench, mutants: tuple[Mutant, ...], found: _Found) -> dict[str, Any]:
    task = subject.task
    return {
        "schema_version": 1,
        "task": task.id,
        "version": task.version,
        "digest": task.digest,
        "evals_version": evals.__version__,
        "quick": bench.quick,
        "checks": len(task.checks),
        "oracle": _oracle_part(bench, found),
        "nop": {"passed": [c.id for c in task.checks if c.id not in found.failed.get("nop", [])]},
        "solutions": [
            {"name": name, "failed": found.failed.get(f"solution {name}", ["could not be measured"])}
            for name in subject.solutions
        ],
        **_of_mutants(task, _mutant_rows(mutants, found)),
        "cheats": sorted(found.cheats, key=lambda row: (row["kind"], row["name"])),
        "faults": found.faults,
        "seconds": found.seconds,
    }


def shortcomings(card: Mapping[str, Any], fail_under: float) -> list[str]:
    """What keeps a grader from being trusted; empty where it is."""
    oracle, overall, name = card["oracle"], card["mutants"]["overall"], card["task"]
    found = []
    if oracle["passed"] < oracle["runs"]:
        found.append(f"{name}: the reference failed in {oracle['runs'] - oracle['passed']} of {oracle['runs']} runs")
    if card["nop"]["passed"]:
        found.append(f"{name}: doing nothing passes {', '.join(card['nop']['passed'])}")
    found += [
        f"{name}: {s['name']}, a correct solution, fails {', '.join(s['failed'])}"
        for s in card["solutions"]
        if s["failed"]
    ]
    if overall["total"] and overall["rate"] < fail_under:
        found.append(f"{name}: kill rate {overall['rate']:.1%}, under {fail_under:.1%}")
    found += [f"{name}: the cheat {c['name']} gets {', '.join(c['too_high'])}" for c in card["cheats"] if c["too_high"]]
    found += [f"{name}: the cheat {c['name']} is not named" for c in card["cheats"] if not c["named"]]
    if not card["quick"]:
        found += [f"{name}: {check} kills no mutant and does not say why it is kept" for check in card["idle_checks"]]
    return found + [f"{name}: fault: {fault}" for fault in card["faults"]]
