"""How long grading takes, against a floor: python benchmarks/grading.py [floor | throughput] [TASK]...

`floor`: for each task the reference is graded as a trial is (acceptance, own tests with coverage, lint, types), then
the same stages run bare, one after the other, as plain processes without any isolation. The floor is what two cores
could make of those with perfect overlap: the longest stage, or half of all processor time, whichever is more.

`throughput`: the references of all tasks as one run, at first on one core with `--jobs 1`, then on all cores with
`--jobs` as it is by default.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402

from benchmarks.bare import BareSandbox  # noqa: E402
from evals import graders, plugins, trial, workspace  # noqa: E402
from evals.catalog import tasks  # noqa: E402
from evals.environments import Environments  # noqa: E402
from evals.store import Store  # noqa: E402
from evals.types import Delivery, Sandbox, Scored, Scorer  # noqa: E402

CORES = os.cpu_count() or 1
TIMES = 2
STAGES = ("acceptance", "own_tests", "lint", "types")
SPECIFIED = ("registration-endpoint", "jwt-auth", "csv-import-jobs")


def passed(scored: list[Scored]) -> bool:
    """Whether nothing but full marks of acceptance came of it: else the two sides did not do the same work."""
    values = {score.name: score.value for item in scored for score in item.scores}
    return values.get("acceptance", 1.0) == 1.0 and values.get("own_tests", 1.0) == 1.0


def graded(delivery: Delivery, scorers: tuple[Scorer, ...], sandbox: Sandbox) -> float:
    """Seconds that a trial's grading takes."""

    async def score() -> list[Scored]:
        return await trial.score(delivery, scorers, sandbox, trial.Slots(CORES), lambda _name: nullcontext())

    began = time.perf_counter()
    scored = anyio.run(score)
    took = time.perf_counter() - began
    assert passed(scored)
    return took


def bare(delivery: Delivery, scorer: Scorer) -> tuple[float, float]:
    """Seconds and processor seconds of one stage without a sandbox."""
    for left in ("mypy", *(path.name for path in Path("/tmp").glob("coverage*"))):
        shutil.rmtree(Path("/tmp") / left, ignore_errors=True)
        if (Path("/tmp") / left).is_file():
            (Path("/tmp") / left).unlink()
    sandbox = BareSandbox()
    began = time.perf_counter()
    scored = anyio.run(scorer.score, delivery, sandbox)
    took = time.perf_counter() - began
    assert passed([scored])
    return took, sandbox.cpu


def floor(name: str) -> None:
    """One task's line."""
    environments = Environments(cache=Path.home() / ".cache" / "evals")
    task = tasks.load(name, ROOT)
    stack = plugins.factory("stacks", task.stacks[0])(environments)
    scorers = tuple(s for s in graders.load(environments, ROOT) if s.name in STAGES)
    for part in (stack, *scorers):
        getattr(part, "prepare", lambda: None)()
    sandbox = plugins.factory("sandboxes", "bubblewrap")()
    files = {**stack.starting_files(), **workspace.collect(task.path / "solution" / stack.name).files}
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        delivery = trial.frozen(files, task, stack, store)
        ours = statistics.median(graded(delivery, scorers, sandbox) for _ in range(TIMES))
        stages = {}
        for scorer in scorers:
            found = sorted(bare(delivery, scorer) for _ in range(TIMES))
            stages[scorer.name] = found[TIMES // 2]
    longest, half = max(wall for wall, _ in stages.values()), sum(cpu for _, cpu in stages.values()) / 2
    least = max(longest, half)
    print(f"{name}: graded in {ours:.1f} s; floor {least:.1f} s; ratio {ours / least:.2f}")
    for stage, (wall, cpu) in stages.items():
        print(f"    {stage:12} bare: {wall:5.1f} s, {cpu:5.1f} s of a processor")
    print(f"    half of all processor time: {half:.1f} s", flush=True)


def batch(jobs: int | None, cores: int, epochs: int) -> float:
    """Seconds for the references of all specified tasks, `epochs` times."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from evals.cli import main; main()", "run", "--solver", "oracle"]
        command += ["--agent", "backend-implementation-engineer", "--output", folder, "--epochs", str(epochs)]
        command += [part for name in SPECIFIED for part in ("--task", name)]
        command += ["--jobs", str(jobs)] if jobs else []
        began = time.perf_counter()
        done = subprocess.run(
            ["taskset", "--cpu-list", f"0-{cores - 1}", *command], cwd=ROOT, capture_output=True, text=True, check=True
        )
        took = time.perf_counter() - began
        assert "failed " not in done.stdout, done.stdout
        return took


def throughput(epochs: int) -> None:
    """Trials an hour on one core and on all."""
    trials = epochs * len(SPECIFIED)
    one = batch(1, 1, epochs)
    print(f"1 core,  --jobs 1:   {trials} trials in {one:.0f} s", flush=True)
    every = batch(None, CORES, epochs)
    print(f"{CORES} cores, by default: {trials} trials in {every:.0f} s; {one / every:.2f} times as many")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=("floor", "throughput"), default="floor")
    parser.add_argument("tasks", nargs="*", default=SPECIFIED)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    if options.what == "throughput":
        throughput(options.epochs)
        return
    for name in options.tasks:
        floor(name)


if __name__ == "__main__":
    main()
