"""The small project that tests run against, and the command line as a user has it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "tests" / "data" / "project"
SOLUTION = PROJECT / "fixtures" / "tasks" / "echo" / "solution" / "python-fastapi"


class Evals:
    """The command line, as a user has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "reports"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", "from evals.cli import main; main()", *arguments]

    def environment(self, **env: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ANTHROPIC_")}
        return {**kept, "PYTHONPATH": str(ROOT), **env}

    def __call__(self, *arguments: str, status: Any = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**env),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def trials(self) -> list[dict[str, object]]:
        found = [path for path in self.output.glob("trials/**/*.json") if not path.name.endswith(".trajectory.json")]
        return [json.loads(path.read_text()) for path in sorted(found)]


def leftovers(session: int) -> list[str]:
    """Living processes of a session. Bubblewrap's monitors stay in it; what they watch dies with them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, _, _, its_session = rest.split()[:4]
            if state != "Z" and int(its_session) == session:
                found.append(name)
    return found


T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 30, *, every: float = 0.05) -> T:
    """What a condition gives once that is true; it must come within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(every)
    return found
