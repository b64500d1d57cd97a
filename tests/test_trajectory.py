"""Trajectories: the events of a solver, kept as Harbor's ATIF."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evals import trajectory
from evals.trajectory import Transcript
from tests.conftest import Serve
from tests.messages_server import Reply, bash, in_turn, text
from tests.solving import Solved, Solving

TRIAL = {"id": "0123456789"}


def solved(serve: Serve, solving: Solving) -> Solved:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    call = {"type": "tool_use", "id": "toolu_0", "name": "bash", "input": {"command": "echo \x1b[31mred; exit 1"}}
    busy = Reply(status=529, error="overloaded_error")
    replies = (Reply(blocks=(thought, call), stop="tool_use"), bash("true", "toolu_1"), text("Done."))
    serve(lambda request, turn, before: busy if turn == 1 and before == 0 else in_turn(*replies)(request, turn, before))
    return solving.one()


def test_a_trajectory_tells_each_step(serve: Serve, solving: Solving) -> None:
    found = trajectory.of_events(solved(serve, solving).events, TRIAL)
    assert [step["step_id"] for step in found["steps"]] == [1, 2, 3, 4, 5]
    assert [step["source"] for step in found["steps"]] == ["system", "user", "agent", "agent", "agent"]
    first = found["steps"][2]
    assert first["reasoning_content"] == "Hm."
    assert first["tool_calls"][0]["function_name"] == "bash"
    assert first["observation"]["results"][0]["extra"]["is_error"] is True
    assert found["steps"][3]["extra"]["attempts"] == 2
    assert found["final_metrics"]["total_completion_tokens"] == 150
    assert found["final_metrics"]["total_cost_usd"] == pytest.approx(3 * (100 * 2 + 50 * 10) / 1e6)


def test_events_are_on_disk_at_once_and_a_last_line_may_be_cut(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "unfinished.events.jsonl"
    transcript = Transcript(path)
    assert not path.exists()
    transcript.append("begin", {"n": 1})
    transcript.append("tool", {"output": "\ud800 odd"})
    with open(path, "a") as file:
        file.write('{"at": "2026')
    assert [event["event"] for event in trajectory.read_events(path)] == ["begin", "tool"]


def harbor() -> str | None:
    """A Python that has Harbor: named by EVALS_HARBOR_PYTHON, else python3.12 where it has it."""
    for name in (os.environ.get("EVALS_HARBOR_PYTHON"), shutil.which("python3.12")):
        if name and subprocess.run([name, "-c", "import harbor"], capture_output=True, check=False).returncode == 0:
            return name
    return None


def test_harbors_own_validator_accepts_it(serve: Serve, solving: Solving, tmp_path: Path) -> None:
    python = harbor()
    if python is None:
        pytest.skip("no Python with Harbor was found; name one with EVALS_HARBOR_PYTHON")
    events: list[dict[str, Any]] = solved(serve, solving).events
    for name, part in (("whole", events), ("unfinished", events[:-2])):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(trajectory.of_events(part, TRIAL)))
        command = [python, "-m", "harbor.utils.trajectory_validator", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
