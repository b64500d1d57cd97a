"""Our sandbox under Inspect AI: Inspect's own checks of a sandbox, and an evaluation that runs in it."""

import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest

if find_spec("inspect_ai") is None and "inspect" not in os.environ.get("EVALS_TESTS_REQUIRE", ""):
    pytest.skip("the extra evals[inspect] is not installed", allow_module_level=True)

from inspect_ai.util._sandbox import self_check

from evals.interop.inspect_sandbox import BubblewrapEnvironment

pytestmark = pytest.mark.filterwarnings("default")

CHECKS = dict(inspect.getmembers(self_check, inspect.iscoroutinefunction))
# There is one user, and nobody can add another.
IMPOSSIBLE = {"test_exec_as_user"}


@pytest.mark.parametrize("name", sorted(name for name in CHECKS if name.startswith("test_") and name not in IMPOSSIBLE))
def test_inspects_own_check_passes(name: str) -> None:
    async def run(check: Callable[[Any], Any]) -> None:
        environments = await BubblewrapEnvironment.sample_init("task", None, {})
        try:
            await check(environments["default"])
        finally:
            await BubblewrapEnvironment.sample_cleanup("task", None, environments, False)

    anyio.run(run, CHECKS[name])


SCRIPT = """
import json, sys
from inspect_ai import Task, eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.solver import solver
from inspect_ai.util import sandbox

@solver
def look():
    async def solve(state, generate):
        found = await sandbox().exec(["bash", "-c", "python -c 'import fastapi'; echo $? $SECRET_OF_THE_HOST; ls"])
        state.metadata["found"] = found.stdout.split()
        return state
    return solve

sample = Sample(input="look", files={"given.txt": "given"})
task = Task(dataset=[sample], solver=look(), sandbox=("bubblewrap", "python-fastapi"))
(log,) = evaluate(task, model="mockllm/model", log_dir=sys.argv[1], display="none")
print(json.dumps([log.status, log.samples[0].metadata["found"]]))
"""


def test_an_evaluation_runs_in_it(tmp_path: Path) -> None:
    # In a process of its own, as a user of Inspect has it: found by the entry point alone.
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    env = {**os.environ, "SECRET_OF_THE_HOST": "x"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["success", ["0", "given.txt"]]
    assert not list(Path(tempfile.gettempdir()).glob("evals-inspect-*"))
