"""The live solver: the SDK over real HTTP, tools in the real sandbox."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from evals.errors import EnvironmentFault, Fault, InputError, NotStarted
from tests.conftest import Serve
from tests.messages_server import MODEL, Reply, bash, in_turn, text, use
from tests.solving import Solving

EDITOR = "str_replace_based_edit_tool"
WRITE = bash("mkdir app; echo 'x = 1' > app/main.py; python -c 'import fastapi; print(fastapi.__name__)'")


def test_an_agent_works_in_its_workspace_until_it_is_done(serve: Serve, solving: Solving) -> None:
    create = {"command": "create", "path": "/workspace/NOTES.md", "file_text": "made\n"}
    server = serve(
        in_turn(WRITE, use(EDITOR, create, "toolu_2"), bash("cat NOTES.md; exit 7", "toolu_3"), text("Done."))
    )
    solved = solving.one()
    solution = solved.solution
    assert solution.ended == "done"
    assert solution.files["app/main.py"] == b"x = 1\n"
    assert solution.files["NOTES.md"] == b"made\n"
    assert "requirements.txt" in solution.files
    assert [event["output"] for event in solved.of("tool")] == [
        "fastapi",
        "/workspace/NOTES.md was created.",
        "made\n[the shell has ended with status 7; the next command gets a new one]",
    ]
    assert [event["is_error"] for event in solved.of("tool")] == [False, False, True]
    assert solution.tokens == {"input": 400, "output": 200, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0}
    assert solution.cost_usd == pytest.approx((400 * 2 + 200 * 10) / 1e6)
    assert solution.provenance["final_message"] == "Done."
    results = server.requests[-1]["messages"][-1]["content"]
    assert results[0]["is_error"] is True


def test_what_is_asked_is_the_prompt_the_instruction_and_the_stacks_page(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(text("no")))
    solving.one()
    (request,) = server.requests
    assert request["system"][0]["text"] == "You write small services."
    assert len(request["system"]) == 1
    asked = request["messages"][0]["content"][0]["text"]
    assert asked.startswith("# Echo")
    assert "## How it is run" in asked
    assert request["output_config"] == {"effort": "high"}
    assert [tool["type"] for tool in request["tools"]] == ["bash_20250124", "text_editor_20250728"]
    assert not {"temperature", "top_p", "tool_choice"} & set(request)


def test_breakpoints_let_the_cache_be_read(serve: Serve, solving: Solving) -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    }
    server = serve(in_turn(bash("true", usage=usage), text("done", usage=usage)))
    solution = solving.one().solution
    first, second = server.requests
    hour, short = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral", "ttl": "5m"}
    for request in (first, second):
        assert request["system"][-1]["cache_control"] == hour
        assert request["messages"][0]["content"][-1]["cache_control"] == hour
    assert second["messages"][-1]["content"][-1]["cache_control"] == short
    assert sum("cache_control" in str(message) for message in second["messages"]) == 2
    assert solution.tokens == {
        "input": 20,
        "output": 40,
        "cache_read": 2000,
        "cache_write_5m": 200,
        "cache_write_1h": 400,
    }
    # Sonnet 5.5: $2 in, $10 out, $0.10 read from the cache, $2.50 and $4 written to it, a million tokens each.
    assert solution.cost_usd == pytest.approx((20 * 2 + 40 * 10 + 2000 * 0.1 + 200 * 2.5 + 400 * 4) / 1e6)
    assert solution.provenance["cache_hit_share"] == pytest.approx(2000 / 2620, abs=1e-4)


def test_the_first_epoch_goes_ahead_of_the_others(serve: Serve, solving: Solving) -> None:
    begun: list[int] = []

    def script(_request: dict[str, Any], _turn: int, before: int) -> Reply:
        begun.append(server.most_at_once)
        return text("done", delay=0.5 if before == 0 else 0.1)

    server = serve(script)
    solving(epochs=4)
    assert begun[:2] == [1, 1]
    assert len(begun) == 4
    assert server.most_at_once > 1


def test_thinking_is_given_back_as_it_came(serve: Serve, solving: Solving) -> None:
    thought = {"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "true"}}
    server = serve(in_turn(Reply(blocks=(thought, call), stop="tool_use"), text("done")))
    solving.one()
    assert server.requests[1]["messages"][1]["content"] == [thought, call]


TOOLS = [
    ("", {"bash", EDITOR}, set()),
    ("tools: Read, Grep, Glob\n", {EDITOR, "Grep", "Glob"}, {"bash"}),
    ("tools: Bash\n", {"bash"}, {EDITOR}),
    ("disallowedTools: Bash\n", {EDITOR}, {"bash"}),
    ("tools: [Write, Edit, WebSearch]\n", {EDITOR}, {"bash"}),
]


@pytest.mark.parametrize(("more", "offered", "refused"), TOOLS)
def test_tools_of_the_front_matter_are_honoured(
    serve: Serve, solving: Solving, more: str, offered: set[str], refused: set[str]
) -> None:
    calls = [
        use(name, {"command": "view", "path": "/workspace"}, f"toolu_{n}") for n, name in enumerate(sorted(refused))
    ]
    server = serve(in_turn(*calls, text("done")))
    solved = solving.one(agent=solving.agent("bound", more))
    assert {tool["name"] for tool in server.requests[0]["tools"]} == offered
    assert all("There is no tool" in event["output"] for event in solved.of("tool"))
    if "WebSearch" in more:
        assert solved.told == ["bound: the tool WebSearch cannot be offered by --solver live"]
        assert solved.solution.provenance["tools_not_offered"] == ["WebSearch"]


def test_an_agent_that_may_only_read_writes_nothing(serve: Serve, solving: Solving) -> None:
    create = use(EDITOR, {"command": "create", "path": "/workspace/a", "file_text": "x"})
    found = use("Grep", {"pattern": "fastapi"}, "toolu_2")
    serve(in_turn(create, found, text("done")))
    solved = solving.one(agent=solving.agent("reader", "tools: Read, Grep\n"))
    assert [event["is_error"] for event in solved.of("tool")] == [True, False]
    assert "`command` has to be one of: view" in solved.of("tool")[0]["output"]
    assert "/workspace/requirements.txt:" in solved.of("tool")[1]["output"]
    assert set(solved.solution.files) == {"requirements.txt"}


LIMITS: list[tuple[dict[str, Any], str, str]] = [
    ({"max_turns": 2}, "", "limit: turns"),
    ({}, "maxTurns: 3\n", "limit: turns"),
    ({"max_output_tokens": 1100}, "", "limit: output tokens"),
    ({"max_trial_cost": 0.0112}, "", "limit: cost"),
    ({"max_minutes": 0.05}, "", "limit: time"),
]


@pytest.mark.parametrize(("options", "more", "ended"), LIMITS)
def test_what_is_there_when_a_limit_is_reached_is_the_delivery(
    serve: Serve, solving: Solving, options: dict[str, Any], more: str, ended: str
) -> None:
    command = "sleep 60" if ended == "limit: time" else "true"
    numbers = itertools.count(2)

    def script(_request: dict[str, Any], turn: int, _before: int) -> Reply:
        return WRITE if turn == 0 else bash(command, f"toolu_{next(numbers)}")

    server = serve(script)
    solution = solving.one(agent=solving.agent("bound", more), **options).solution
    assert solution.ended == ended
    assert solution.files["app/main.py"] == b"x = 1\n"
    if "max_trial_cost" in options:
        assert solution.cost_usd is not None
        assert solution.cost_usd <= options["max_trial_cost"]
        assert server.requests[0]["max_tokens"] < 2000


STOPS = [
    (text("I won't.", stop="refusal"), "refusal"),
    (text("It goes on and", stop="max_tokens"), "max_tokens"),
    (text("full", stop="model_context_window_exceeded"), "context window"),
    (
        Reply(status=400, error="invalid_request_error", message="prompt is too long: 1000001 > 1000000"),
        "context window",
    ),
    (Reply(status=413, error="request_too_large", message="too large"), "context window"),
    (text("stop", stop="stop_sequence"), "done"),
    (text("?", stop="something_new"), "something_new"),
]


@pytest.mark.parametrize(("reply", "ended"), STOPS, ids=[f"{r.stop} {r.status}" for r, _ in STOPS])
def test_how_the_model_stops_is_kept(serve: Serve, solving: Solving, reply: Reply, ended: str) -> None:
    serve(in_turn(WRITE, reply))
    solved = solving.one()
    assert solved.solution.ended == ended
    assert solved.of("end")[0]["ended"] == ended
    assert "app/main.py" in solved.solution.files


def test_waiting_for_the_provider_is_not_the_agents_time(serve: Serve, solving: Solving) -> None:
    busy = Reply(status=529, error="overloaded_error", headers={"retry-after": "2"})
    serve(lambda _request, turn, before: busy if before == 0 else (WRITE if turn == 0 else text("done")))
    # Four seconds of waiting, and three to work in.
    assert solving.one(max_minutes=0.05).solution.ended == "done"


def test_calls_that_broke_off_leave_less_to_spend(serve: Serve, solving: Solving) -> None:
    usage = {"input_tokens": 10, "output_tokens": 1000}
    broken = text("x" * 4 * 900, usage=usage, cut=4)
    server = serve(lambda _request, _turn, before: broken if before < 2 else text("done", usage=usage))
    solution = solving.one(max_trial_cost=0.03).solution
    assert solution.cost_usd is not None
    assert solution.cost_usd <= 0.03
    rooms = [request["max_tokens"] for request in server.requests]
    assert rooms == sorted(rooms, reverse=True)
    assert rooms[-1] < rooms[0] - 1500


def test_a_paused_turn_goes_on(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(text("wait", stop="pause_turn"), text("done")))
    assert solving.one().solution.ended == "done"
    assert server.requests[1]["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "wait"}]}


TROUBLES = {
    "rate limit": Reply(status=429, error="rate_limit_error", headers={"retry-after": "0"}),
    "overloaded": Reply(status=529, error="overloaded_error"),
    "internal": Reply(status=500),
    "cut before the message": text("half", cut=0),
    "cut in the message": text("half", cut=4),
    "cut in a tool call": bash("true", cut=5),
    "no JSON": Reply(garbage="event: message_start\ndata: {nonsense\n\n"),
    "out of order": Reply(garbage='event: content_block_delta\ndata: {"type":"content_block_delta","index":3}\n\n'),
    "a page": Reply(garbage="<html>Bad gateway</html>"),
    "overloaded in the stream": text("half", cut=4, inner_error="overloaded_error"),
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_a_call_that_fails_is_made_again(serve: Serve, solving: Solving, kind: str) -> None:
    def script(_request: dict[str, Any], turn: int, before: int) -> Reply:
        return TROUBLES[kind] if before == 0 else (WRITE, text("done"))[turn] if turn == 0 else text("done")

    serve(script)
    solved = solving.one()
    assert solved.solution.ended == "done"
    assert "app/main.py" in solved.solution.files
    assert solved.solution.provenance["retries"] == 2
    assert len(solved.of("retry")) == 2
    lost = solved.solution.provenance["tokens_lost"]
    assert (lost["input"] > 0) == bool(TROUBLES[kind].cut)
    assert solved.solution.tokens is not None
    assert solved.solution.tokens["input"] == 200 + lost["input"]


STOPPED: list[tuple[Reply | None, dict[str, Any], type[Exception], str]] = [
    (None, {"model": "claude-nonsense"}, InputError, "--model claude-nonsense: the Messages API has no such model"),
    (Reply(status=403, error="permission_error", message="not yours"), {}, EnvironmentFault, "not yours"),
    (
        Reply(status=400, error="invalid_request_error", message="Your credit balance is too low"),
        {},
        EnvironmentFault,
        "credit balance",
    ),
]


@pytest.mark.parametrize(("reply", "options", "kind", "words"), STOPPED)
def test_what_no_other_call_would_mend_stops_everything(
    serve: Serve, solving: Solving, *, reply: Reply | None, options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    server = serve(in_turn(reply or text("never")))
    with pytest.raises(kind) as caught:
        solving(**options)
    assert words in str(caught.value)
    assert len(server.requests) == (0 if reply is None else 1)


def test_a_wrong_key_stops_before_anything_is_spent(
    serve: Serve, solving: Solving, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(in_turn(text("never")))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-wrong")
    with pytest.raises(EnvironmentFault, match="401 authentication_error"):
        solving.one()
    assert server.requests == []


def test_an_api_that_cannot_be_reached_stops_before_a_trial(solving: Solving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-x")
    with pytest.raises(EnvironmentFault, match="no answer"):
        solving.one()


def test_no_trial_begins_that_the_budget_has_no_room_for(serve: Serve, solving: Solving) -> None:
    serve(in_turn(text("done")))
    with pytest.raises(NotStarted, match=r"a trial may cost \$5.00, and of \$1.00"):
        solving.one(max_cost=1.0)


def test_a_budget_without_a_price_is_refused(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(text("done")), models=(MODEL, "local-model"))
    with pytest.raises(InputError, match="the price of local-model is not known"):
        solving.one(model="local-model", max_cost=1.0)
    solved = solving.one(model="local-model")
    assert solved.solution.cost_usd is None
    assert "costs are not counted" in solved.told[0]
    assert server.requests[-1]["model"] == "local-model"


def test_the_model_of_the_agent_file_is_used(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(text("done")), models=("claude-haiku-5-5",))
    solving.one(agent=solving.agent("small", "model: haiku\n"), effort="none")
    assert server.requests[0]["model"] == "claude-haiku-5-5"
    assert "output_config" not in server.requests[0]


def test_a_recorded_trial_is_replayed_without_a_network(
    serve: Serve, solving: Solving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = tmp_path / "tape"
    # What tools tell may change from time to time; what the model answered does not.
    server = serve(in_turn(WRITE, bash("date +%N > now.txt; date +%N", "toolu_2"), text("done")))
    recorded = solving.one(record=tape)
    server.close()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    replayed = solving.one(replay=tape)
    first, second = recorded.solution, replayed.solution
    assert {**second.files, "now.txt": b""} == {**first.files, "now.txt": b""}
    assert (second.ended, second.tokens, second.cost_usd) == (first.ended, first.tokens, first.cost_usd)
    assert second.provenance["replayed"] is True
    assert second.provenance["requests_changed_since_recorded"] == [3]
    with pytest.raises(Fault, match="was not recorded"):
        solving.one(replay=tape, effort="low")
    bodies = list((tape / "bodies").iterdir())
    assert len(bodies) == 6
    assert b"x-api-key" not in b"".join(path.read_bytes() for path in tape.rglob("*") if path.is_file())
