"""Trials for other tools: logs of Inspect AI, read again by its own reader, and ATIF trajectories."""

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import reporting
from tests.conftest import Serve
from tests.messages_server import in_turn, text, use
from tests.project import Evals
from tests.reporting import BASE_RUN, HEAD_RUN

EDITOR = "str_replace_based_edit_tool"


def need_inspect() -> Any:
    if find_spec("inspect_ai") is None and "inspect" not in os.environ.get("EVALS_TESTS_REQUIRE", ""):
        pytest.skip("the extra evals[inspect] is not installed")
    import inspect_ai.log

    return inspect_ai.log


@pytest.mark.filterwarnings("default")
def test_inspect_reads_and_lists_the_logs(evals: Evals, serve: Serve) -> None:
    log = need_inspect()
    create = {"command": "create", "path": "/workspace/a.txt", "file_text": "a"}
    server = serve(in_turn(use(EDITOR, create), text("Done.")))
    evals("run", "--agent", "toy", "--solver", "live", **server.env)
    (path,) = evals("export", "latest", "--to", "inspect", "--dir", "logs").stdout.split()
    assert Path(path).name.count("_") == 2
    listed = log.list_eval_logs(str(evals.folder / "logs"))
    assert [(found.task, Path(found.name).name) for found in listed] == [("echo-python-fastapi", Path(path).name)]
    found = log.read_eval_log(str(evals.folder / path))
    assert (found.status, found.eval.model) == ("success", "anthropic/claude-sonnet-5-5")
    (sample,) = found.samples
    assert [message.role for message in sample.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert sample.messages[2].tool_calls[0].arguments == create
    assert sample.scores["acceptance"].value == 0


@pytest.mark.filterwarnings("default")
def test_epochs_and_faults_are_kept(evals: Evals) -> None:
    log = need_inspect()
    reporting.fill(evals.output)
    paths = evals("export", HEAD_RUN, "--to", "inspect").stdout.split()
    assert len(paths) == 2
    echo = log.read_eval_log(str(evals.folder / paths[0]))
    assert [sample.epoch for sample in echo.samples] == [1, 2, 3, 4, 5, 6]
    assert [sample.error is not None for sample in echo.samples] == [False] * 5 + [True]
    assert echo.results.completed_samples == 5
    assert {score.name for score in echo.results.scores} >= {"acceptance", "lint"}


def test_trajectories_are_copied(evals: Evals, serve: Serve) -> None:
    server = serve(in_turn(text("Done.")))
    evals("run", "--agent", "toy", "--solver", "live", **server.env)
    (path,) = evals("export", "latest", "--to", "atif").stdout.split()
    assert json.loads((evals.folder / path).read_text())["schema_version"] == "ATIF-v1.7"


def test_what_cannot_be_exported_is_said(evals: Evals) -> None:
    reporting.fill(evals.output, epochs=1)
    assert "--to: found 'csv'; there are: inspect, atif" in evals("export", BASE_RUN, "--to", "csv", status=2).stderr
    assert "none of these trials has a trajectory" in evals("export", BASE_RUN, "--to", "atif", status=2).stderr
