"""Whole tasks: the reference solution passes every check, nothing passes none, recordings are graded."""

import json
from pathlib import Path

import pytest

from tests.project import ROOT, Evals

pytestmark = pytest.mark.slow

TASKS = [
    f"{name}{sort}" for name in ("csv-import-jobs", "jwt-auth", "registration-endpoint") for sort in ("", "-brief")
]
RUN = ("run", "--agent", "backend-implementation-engineer", "--root", str(ROOT), "--json")


@pytest.fixture
def real(tmp_path: Path) -> Evals:
    """The command line on the shipped tasks, with an output of its own."""
    return Evals(tmp_path)


def test_the_reference_solutions_pass_everything(real: Evals) -> None:
    # One of each pair: all of them are measured twenty times over for their cards.
    tasks = ["csv-import-jobs-brief", "jwt-auth", "registration-endpoint-brief"]
    chosen = [argument for task in tasks for argument in ("--task", task)]
    result = json.loads(real(*RUN, *chosen, "--solver", "oracle").stdout)
    assert {row["task"]: row["faults"] for row in result["tasks"]} == dict.fromkeys(tasks, 0)
    assert [trial["failed_checks"] for trial in result["trials"]] == [[]] * len(tasks)
    assert all(row["composite"] > 0.99 for row in result["tasks"])


def test_doing_nothing_passes_nothing(real: Evals) -> None:
    result = json.loads(real(*RUN, "--solver", "nop").stdout)
    assert [row["composite"] for row in result["tasks"]] == [0] * len(TASKS)


def test_real_deliveries_are_graded_without_a_fault(real: Evals) -> None:
    result = json.loads(real(*RUN, "--task", "registration-endpoint").stdout)
    assert [trial["fault"] for trial in result["trials"]] == [None]
    assert result["trials"][0]["failed_checks"] == []
