"""What `evals` itself costs a trial, and what others cost: python benchmarks/overhead.py [--promptfoo FOLDER].

Each trial is solved by nobody and scored by a scorer that gives what it is told, at first without and then with one
command (`true`) in the real sandbox. Everything else is what any run does: plan, digests, schema, records on disk.
`--promptfoo` names a folder with a `package.json` in which promptfoo is installed; Inspect AI is measured where it is
installed beside `evals` (the extra `inspect`). All run one after the other, with as many at a time as is their default.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402

from evals import plugins, runner  # noqa: E402
from evals.catalog import agents, tasks  # noqa: E402
from evals.environments import Environments  # noqa: E402
from evals.reports import summary  # noqa: E402
from evals.store import Key, Store, Trial  # noqa: E402
from evals.types import Delivery, Job, Program, Sandbox, Score, Scored, SolverOptions  # noqa: E402

CORES = os.cpu_count() or 1
SIZES = (1_000, 3_000, 10_000)
RIVALS = Path(__file__).parent / "rivals"
TRUE = Program(argv=("/usr/bin/true",), env={"PATH": "/usr/bin:/bin"}, cwd="/", workspace=False)
CHECKS = [
    {
        "id": f"test_{number}",
        "dimension": "contract",
        "sentence": "A sentence of the instruction, as long as such sentences are.",
        "norm": None,
        "clause": None,
        "outcome": "passed",
        "expected": "",
        "came": "",
        "seconds": 0.1,
    }
    for number in range(50)
]


class Given:
    """A scorer that gives full marks, with the details of a real one; with `command`, after one in the sandbox."""

    name = "given"
    gives = ("acceptance", "own_tests", "coverage", "lint", "types", "deliverables")

    def __init__(self, *, command: bool) -> None:
        self._command = command

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Score a delivery."""
        if self._command:
            done = await sandbox.run(Job(workspace=None, main=TRUE))
            assert done.status == 0
        details = {"passed": 50, "total": 50, "dimensions": {"contract": {"passed": 50, "total": 50}}, "checks": CHECKS}
        first = Score(name="acceptance", value=1.0, reason="given", details=details)
        return Scored(scores=(first, *(Score(name=name, value=1.0, reason="given") for name in self.gives[1:])))


class Silent:
    """Watches nothing."""

    def begin(self, key: Key) -> None: ...
    def stages(self, key: Key, running: str) -> None: ...
    def end(self, key: Key, finished: Trial) -> None: ...
    def drop(self, key: Key) -> None: ...


def run(trials: int, *, command: bool, jobs: int) -> float:
    """Milliseconds a trial, from the plan to the figures of the run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        shutil.copytree(ROOT / "tests" / "data" / "project", folder)
        environments = Environments(cache=Path.home() / ".cache" / "evals")
        found = tasks.load_all([], folder)
        stacks = runner.load_stacks(found, [], environments)
        solver = plugins.factory("solvers", "nop")(SolverOptions(root=folder, output=folder / "reports"))
        sandbox = plugins.factory("sandboxes", "bubblewrap")()
        with Store(folder / "reports") as store:
            began = time.perf_counter()
            parts = (store, agents.load("toy", folder), found, stacks, solver)
            plan = runner.plan(*parts, scorers=(Given(command=command),), epochs=trials)
            bench = runner.make_bench(store, sandbox, plan)

            async def execute() -> runner.Executed:
                return await runner.execute(plan, bench, Silent(), jobs=jobs)

            done = anyio.run(execute)
            assert len(summary.to_json("run", list(done.trials.values()))["trials"]) == trials
            return 1000 * (time.perf_counter() - began) / trials


def apart(*words: str) -> list[str]:
    """The words that this program prints when it is run anew with others."""
    done = subprocess.run([sys.executable, __file__, *words], check=True, capture_output=True, text=True)
    return done.stdout.split()


def help_seconds(command: list[str]) -> float:
    """Median of ten, after one that is not counted."""
    times = []
    for _ in range(11):
        began = time.perf_counter()
        subprocess.run([*command, "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def printed(*command: str) -> float:
    """The number in the last line that a command prints."""
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def of_evals() -> dict[str, float]:
    """Ours."""
    return {
        "bookkeeping": statistics.median(float(apart("--one", "1000", "plain", str(CORES))[0]) for _ in range(3)),
        "command": statistics.median(float(apart("--one", "300", "command", str(CORES))[0]) for _ in range(3)),
        "help": help_seconds([sys.executable, "-c", "from evals.cli import main; main()"]),
    }


def of_inspect() -> dict[str, float]:
    """Inspect AI's: its `local` sandbox runs the command with no isolation."""
    script = str(RIVALS / "inspect_overhead.py")
    return {
        "bookkeeping": statistics.median(printed(sys.executable, script, "300", "none") for _ in range(3)),
        "command": statistics.median(printed(sys.executable, script, "300", "local") for _ in range(3)),
        "help": help_seconds([str(Path(sys.executable).parent / "inspect")]),
    }


def of_promptfoo(folder: Path) -> dict[str, float]:
    """Promptfoo's: results stay in memory, and the provider runs the command with no isolation."""
    os.environ |= {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"}
    command = ("node", str(RIVALS / "promptfoo_overhead.mjs"), str(folder.resolve()), "300")
    with tempfile.TemporaryDirectory() as home:
        os.environ["PROMPTFOO_CONFIG_DIR"] = home
        return {
            "bookkeeping": statistics.median(printed(*command, "none") for _ in range(3)),
            "command": statistics.median(printed(*command, "command") for _ in range(3)),
            "help": help_seconds([str(folder / "node_modules" / ".bin" / "promptfoo")]),
        }


def table(measured: dict[str, dict[str, float]]) -> None:
    """A row for each, with its ratio to ours."""
    ours = measured["evals"]
    print(f"{'':12} {'bookkeeping':>22} {'one command':>22} {'--help':>18}")
    for name, found in measured.items():
        cells = [
            f"{found[key]:8.{digits}f} {unit} ({found[key] / ours[key]:5.1f} x)"
            for key, unit, digits in (("bookkeeping", "ms", 1), ("command", "ms", 1), ("help", "s", 2))
        ]
        print(f"{name:12} {cells[0]:>22} {cells[1]:>22} {cells[2]:>18}")


def main() -> None:
    """Everything; `--one TRIALS plain|command JOBS` is one run: milliseconds a trial, and its peak memory in MB."""
    if sys.argv[1:2] == ["--one"]:
        took = run(int(sys.argv[2]), command=sys.argv[3] == "command", jobs=int(sys.argv[4]))
        print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--promptfoo", type=Path)
    options = parser.parse_args()
    measured = {"evals": of_evals()}
    if importlib.util.find_spec("inspect_ai") is not None:
        measured["Inspect AI"] = of_inspect()
    if options.promptfoo is not None:
        measured["promptfoo"] = of_promptfoo(options.promptfoo)
    print(f"a trial, {CORES} cores:")
    table(measured)
    alone = float(apart("--one", "300", "command", "1")[0])
    print(f"one command in the sandbox, one trial at a time: {alone:.1f} ms a trial")
    for size in SIZES:
        took, peak = map(float, apart("--one", str(size), "plain", str(CORES)))
        print(f"{size:6} trials: {took:.2f} ms a trial, {peak:.0f} MB at most")


if __name__ == "__main__":
    main()
