"""Kills `evals run` with SIGKILL at random moments and looks at what is left: python benchmarks/kill.py [TIMES].

After each kill: no process, no mount, nothing new in the temporary folder but what the next start sweeps; every
finished trial is there, unchanged, whole, and once. At the end a run goes on from there as if nothing had been.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from evals.store import Store  # noqa: E402
from tests.project import leftovers  # noqa: E402

COMMAND = [sys.executable, "-c", "from evals.cli import main; main()", "run", "--agent", "toy", "--jobs", "2"]
SOLVERS = ("nop", "oracle")
EPOCHS = "2000"
LONGEST = 6.0


def start(project: Path, *more: str) -> subprocess.Popen[str]:
    """A run in a session of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*COMMAND, *more], cwd=project, env=env, start_new_session=True, stdout=quiet, stderr=quiet)


def gone(session: int, seconds: float = 10.0) -> bool:
    """Whether all of a session ends within so many seconds."""
    deadline = time.monotonic() + seconds
    while leftovers(session):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def state(reports: Path) -> dict[str, str]:
    """Every finished trial's file and its digest; each is read and checked against its schema."""
    found = {}
    seen = set()
    for trial in Store(reports).all_trials():
        place = (trial.key, trial.document["digests"]["grading"], trial.document["attempt"])
        assert place not in seen, f"twice: {place}"
        seen.add(place)
        assert trial.fault is None, trial.fault
        found[str(trial.path)] = hashlib.sha256(trial.path.read_bytes()).hexdigest()
    return found


def surroundings() -> tuple[set[str], int]:
    """What lies in the temporary folder, and how many mounts there are."""
    return set(os.listdir(tempfile.gettempdir())), len(Path("/proc/self/mountinfo").read_text().splitlines())


def main() -> None:
    """200 times unless said otherwise."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    random.seed(7)
    with tempfile.TemporaryDirectory() as name:
        project = Path(name) / "project"
        shutil.copytree(ROOT / "tests" / "data" / "project", project)
        reports = project / "reports"
        before, mounts = surroundings()
        known: dict[str, str] = {}
        for number in range(times):
            process = start(project, "--solver", random.choice(SOLVERS), "--epochs", EPOCHS)
            time.sleep(random.uniform(0.05, LONGEST))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert gone(process.pid), f"kill {number}: still there: {leftovers(process.pid)}"
            found = state(reports) if (reports / "trials").is_dir() else {}
            lost = {path for path, digest in known.items() if found.get(path) != digest}
            assert not lost, f"kill {number}: lost or changed: {lost}"
            known = found
        last = subprocess.run(
            [*COMMAND, "--solver", "nop", "--epochs", "3", "--json"],
            cwd=project,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert len(json.loads(last.stdout)["trials"]) == 3
        after, mounts_after = surroundings()
        scratch = [path.name for path in (reports / ".scratch").glob("run-*")]
        print(f"{times} kills: {len(known)} trials finished, none lost, none doubled, none half-written")
        print(f"processes left: 0; mounts: {mounts} before, {mounts_after} after; scratch folders: {len(scratch)}")
        print(f"new in {tempfile.gettempdir()}: {sorted(after - before) or 'nothing'}")


if __name__ == "__main__":
    main()
