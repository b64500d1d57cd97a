"""The real Claude Code in the sandbox, against a server of ours; the API is reached through the proxy alone."""

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from evals.errors import Fault, InputError
from tests.conftest import Serve
from tests.messages_server import KEY, Reply, in_turn, text, use
from tests.project import Evals
from tests.solving import Solving

if find_spec("claude_agent_sdk") is None and "claude-code" not in os.environ.get("EVALS_TESTS_REQUIRE", ""):
    pytest.skip("the extra evals[claude-code] is not installed", allow_module_level=True)

Files = dict[str, bytes]
Script = Callable[[dict[str, Any], int, int], Reply]


def write(path: str, content: str, number: int) -> Reply:
    return use("Write", {"file_path": f"/workspace/{path}", "content": content}, f"toolu_{number}")


def run(command: str, number: int) -> Reply:
    return use("Bash", {"command": command, "description": "a test"}, f"toolu_{number}")


def main_loop(script: Script) -> Script:
    """A script for the session itself; side errands, which have no tools, get an answer of their own."""
    errand = text('{"title": "x"}')
    return lambda request, turn, before: script(request, turn, before) if request.get("tools") else errand


def test_a_trial_is_solved_and_graded(evals: Evals, serve: Serve, solution: Files) -> None:
    calls = [write(path, data.decode(), n) for n, (path, data) in enumerate(solution.items())]
    server = serve(main_loop(in_turn(*calls, text("Delivered."))))
    done = evals("run", "--agent", "toy", "--solver", "claude-code", "--json", **server.env)
    result = json.loads(done.stdout)
    assert result["tasks"][0]["composite"] == pytest.approx(1)
    assert result["tasks"][0]["cost_usd"] > 0
    (trial,) = evals.trials()
    assert trial["key"]["solver"] == "claude-code"  # type: ignore[index]
    provenance = trial["solution"]["provenance"]  # type: ignore[index]
    assert provenance["sdk"].startswith("Claude Code ")
    assert provenance["options"]["claude_code"] in provenance["sdk"]
    assert "Delivered." in evals("show", "--transcript", str(trial["id"])).stdout
    assert not any(KEY.encode() in path.read_bytes() for path in evals.folder.rglob("*") if path.is_file())


def test_the_agent_file_is_the_session_and_nothing_of_it_is_delivered(serve: Serve, solving: Solving) -> None:
    server = serve(main_loop(in_turn(run("cat made.txt || echo made > made.txt", 1), text("Done."))))
    agent = solving.agent("bound", "tools: Bash, Read\n")
    solved = solving.one(solver="claude-code", agent=agent)
    assert solved.solution.ended == "done"
    assert solved.solution.files["made.txt"] == b"made\n"
    assert not any(path.startswith(".claude") for path in solved.solution.files)
    request = next(request for request in server.requests if request.get("tools"))
    assert "You write small services." in json.dumps(request["system"])
    offered = {tool["name"] for tool in request["tools"]}
    assert {"Bash", "Read"} <= offered
    assert not {"Write", "Edit", "WebFetch"} & offered
    assert request["model"] == "claude-sonnet-5-5"
    assert "# Echo" in json.dumps(request["messages"][0])


def test_the_sandbox_holds_no_key_and_knows_no_other_way_out(serve: Serve, solving: Solving) -> None:
    out = "curl -s -m 3 http://192.0.2.1 || echo no way; curl -s -m 5 $ANTHROPIC_BASE_URL/v1/models"
    look = f"env | grep -i -E 'key|token'; {out}"
    serve(main_loop(in_turn(run(look, 1), text("Done."))))
    solved = solving.one(solver="claude-code")
    output = solved.of("tool")[0]["output"]
    assert KEY not in output
    assert "ANTHROPIC_API_KEY=held-by-the-proxy" in output
    assert "no way" in output
    assert "only messages pass" in output


LIMITS: list[tuple[dict[str, Any], str]] = [
    ({"max_turns": 2}, "limit: turns"),
    ({"max_trial_cost": 0.02}, "limit: cost"),
    ({"max_minutes": 0.2}, "limit: time"),
]


@pytest.mark.parametrize(("options", "ended"), LIMITS)
def test_limits_are_kept_by_the_proxy(serve: Serve, solving: Solving, options: dict[str, Any], ended: str) -> None:
    def script(_request: dict[str, Any], turn: int, _before: int) -> Reply:
        command = "python -c 'import time; time.sleep(100)'" if ended == "limit: time" else "true"
        usage = {"input_tokens": 10, "output_tokens": 400}
        call = {"command": "echo made > made.txt" if turn == 0 else command, "description": "a test"}
        return use("Bash", call, f"toolu_{turn}", usage=usage)

    serve(main_loop(script))
    solution = solving.one(solver="claude-code", **options).solution
    assert solution.ended == ended
    assert solution.files["made.txt"] == b"made\n"


def test_what_the_api_refuses_is_a_fault(serve: Serve, solving: Solving) -> None:
    serve(lambda *_: Reply(status=400, error="invalid_request_error", message="nothing doing"))
    with pytest.raises(Fault, match="nothing doing"):
        solving.one(solver="claude-code")


def test_a_credential_that_cannot_be_passed_on_is_said(solving: Solving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(InputError, match="needs ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN"):
        solving.one(solver="claude-code")
