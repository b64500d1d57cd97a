"""The live solver against a server of the Messages API that others wrote: npm's `@copilotkit/aimock`."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import npm
from tests.messages_server import KEY
from tests.project import ROOT, Evals
from tests.solving import Solving

SOURCE = ROOT / "tests" / "aimock"
EDITOR = "str_replace_based_edit_tool"
Files = dict[str, bytes]
Fixture = dict[str, Any]
Start = Callable[[list[Fixture]], dict[str, str]]


@pytest.fixture(scope="session")
def installed() -> Path:
    """A folder with the package in it, installed once."""
    return npm.installed(SOURCE)


@pytest.fixture
def start(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server with fixtures; the environment that points to it."""
    running: list[subprocess.Popen[str]] = []

    def serve(fixtures: list[Fixture]) -> dict[str, str]:
        path = tmp_path / "fixtures.json"
        path.write_text(json.dumps({"fixtures": fixtures}))
        # Packages are found from where a module lies.
        shutil.copy(SOURCE / "serve.mjs", installed / "serve.mjs")
        command = ["node", str(installed / "serve.mjs"), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        env = {"ANTHROPIC_BASE_URL": process.stdout.readline().strip(), "ANTHROPIC_API_KEY": KEY}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return env

    yield serve
    for process in running:
        process.kill()
        process.communicate()


USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}


def turn(number: int, response: dict[str, Any], **more: Any) -> Fixture:
    return {"match": {"turnIndex": number, **more.pop("match", {})}, "response": {"usage": USAGE, **response}, **more}


def call(name: str, arguments: dict[str, Any], number: int) -> dict[str, Any]:
    return {"toolCalls": [{"id": f"toolu_{number}", "name": name, "arguments": arguments}]}


def bash(number: int, command: str, **more: Any) -> Fixture:
    return turn(number, call("bash", {"command": command}, number), **more)


def test_a_whole_trial_is_solved_and_graded(evals: Evals, start: Start, solution: Files) -> None:
    files = list(solution.items())
    loop = [
        turn(n, call(EDITOR, {"command": "create", "path": f"/workspace/{p}", "file_text": d.decode()}, n))
        for n, (p, d) in enumerate(files)
    ]
    env = start([*loop, turn(len(files), {"content": "Delivered."})])
    done = evals("run", "--agent", "toy", "--json", **env)
    result = json.loads(done.stdout)
    assert result["tasks"][0]["composite"] == pytest.approx(1)
    answers = len(files) + 1
    assert result["tasks"][0]["cost_usd"] == pytest.approx(answers * (1000 * 2 + 200 * 10) / 1e6)
    shown = evals("show", "--transcript", result["trials"][0]["id"]).stdout
    assert f"turn {answers}: 1000 tokens read (0 cached), 200 written" in shown
    assert "Delivered." in shown


def test_commands_run_in_the_sandbox(start: Start, solving: Solving) -> None:
    start([bash(0, "echo made > made.txt"), bash(1, "cat made.txt"), turn(2, {"content": "Done."})])
    solved = solving.one()
    assert solved.solution.files["made.txt"] == b"made\n"
    assert [event["output"] for event in solved.of("tool")] == ["[no output]", "made"]


def error(status: int, kind: str) -> Fixture:
    once = {"turnIndex": 1, "sequenceIndex": 0}
    return {"match": once, "response": {"error": {"message": "not now", "type": kind}, "status": status}}


TROUBLES: dict[str, Fixture] = {
    "429": error(429, "rate_limit_error"),
    "529": error(529, "overloaded_error"),
    "500": error(500, "api_error"),
    "disconnect": bash(1, "true", match={"sequenceIndex": 0}, truncateAfterChunks=3),
    "dropped": bash(1, "true", match={"sequenceIndex": 0}, chaos={"disconnectRate": 1.0}),
    "malformed": bash(1, "true", match={"sequenceIndex": 0}, chaos={"malformedRate": 1.0}),
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_what_goes_wrong_is_tried_again(start: Start, solving: Solving, kind: str) -> None:
    start([bash(0, "echo made > made.txt"), TROUBLES[kind], bash(1, "cat made.txt"), turn(2, {"content": "Done."})])
    solved = solving.one()
    assert solved.solution.ended == "done"
    assert [event["output"] for event in solved.of("tool")] == ["[no output]", "made"]
    assert solved.solution.provenance["retries"] == 1


def test_a_truncated_answer_ends_the_trial(start: Start, solving: Solving) -> None:
    start([bash(0, "echo made > made.txt"), turn(1, {"content": "It goes on", "finishReason": "length"})])
    solution = solving.one().solution
    assert solution.ended == "max_tokens"
    assert solution.files["made.txt"] == b"made\n"
