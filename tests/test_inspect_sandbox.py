"""Our sandbox under Inspect AI: Inspect's own checks of a sandbox, and an evaluation that runs in it."""

import inspect
import os
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


def test_an_evaluation_runs_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import Sample
    from inspect_ai.solver import Generate, TaskState, solver
    from inspect_ai.util import sandbox

    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")

    @solver
    def look() -> Any:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            found = await sandbox().exec(["bash", "-c", "python -c 'import fastapi'; echo $? $SECRET_OF_THE_HOST; ls"])
            state.metadata["found"] = found.stdout.split()
            return state

        return solve

    sample = Sample(input="look", files={"given.txt": "given"})
    task = Task(dataset=[sample], solver=look(), sandbox=("bubblewrap", "python-fastapi"))
    (log,) = evaluate(task, model="mockllm/model", log_dir=str(tmp_path), display="none")
    assert log.status == "success"
    assert log.samples is not None
    assert log.samples[0].metadata["found"] == ["0", "given.txt"]
    assert not list(Path("/tmp").glob("evals-inspect-*"))
