"""One answer that holds every file."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import workspace
from evals.errors import Fault
from evals.solvers.single_shot import parse
from tests.conftest import Serve
from tests.messages_server import Reply, in_turn, text
from tests.solving import Solving


def answer(files: dict[str, str], **more: Any) -> Reply:
    found = [{"path": path, "content": content} for path, content in files.items()]
    return text(json.dumps({"files": found, "notes": "Read me."}), **more)


def test_the_files_of_an_answer_are_the_delivery(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(answer({"app/main.py": "x = 1\n", "/workspace/b.txt": "b", "./c.txt": "c"})))
    solution = solving.one(solver="single-shot").solution
    assert solution.ended == "done"
    assert {path: solution.files[path] for path in ("app/main.py", "b.txt", "c.txt")} == {
        "app/main.py": b"x = 1\n",
        "b.txt": b"b",
        "c.txt": b"c",
    }
    assert "requirements.txt" in solution.files
    assert solution.provenance["final_message"] == "Read me."
    (request,) = server.requests
    assert "tools" not in request
    assert request["output_config"]["effort"] == "high"
    assert request["output_config"]["format"]["type"] == "json_schema"
    asked = request["messages"][0]["content"][0]["text"]
    assert asked.startswith("# Echo")
    assert "`requirements.txt`:" in asked
    assert "fastapi==" in asked


def test_files_that_have_no_place_are_named_and_left_out(serve: Serve, solving: Solving) -> None:
    bad = {"a": "file", **dict.fromkeys(("../up", "/etc/passwd", "a/b", "x\0y", "", "n" * 300, ".git/config"), "")}
    serve(in_turn(answer({"ok.txt": "ok", **bad})))
    solution = solving.one(solver="single-shot").solution
    assert set(solution.files) == {"requirements.txt", "ok.txt", "a"}
    assert len(solution.dropped) == len(bad) - 1


STOPS = [
    ("", "refusal", "refusal", set()),
    ('{"files": [{"path": "a", "content": "whole"}, {"path": "b", "content": "ha', "max_tokens", "max_tokens", {"a"}),
    ("Sorry, here is prose.", "end_turn", "no files", set()),
    ("[1, 2]", "end_turn", "no files", set()),
]


@pytest.mark.parametrize(("said", "stop", "ended", "files"), STOPS)
def test_an_answer_that_is_not_whole_is_taken_as_it_stands(
    serve: Serve, solving: Solving, *, said: str, stop: str, ended: str, files: set[str]
) -> None:
    serve(in_turn(text(said, stop=stop)))
    solution = solving.one(solver="single-shot").solution
    assert solution.ended == ended
    assert set(solution.files) - {"requirements.txt"} == files


def test_a_batch_costs_half_and_is_asked_once(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(answer({"a": "a"})))
    found = solving(solver="single-shot", batch=True, epochs=3)
    assert [solved.solution.files["a"] for solved in found] == [b"a"] * 3
    assert [solved.solution.cost_usd for solved in found] == [pytest.approx(0.5 * (100 * 2 + 50 * 10) / 1e6)] * 3
    assert len(server.batches["msgbatch_1"]["requests"]) == 3
    assert "POST /v1/messages" not in server.paths
    solving(solver="single-shot", batch=True, epochs=3)
    assert list(server.batches) == ["msgbatch_1"]
    solving(solver="single-shot", batch=True, epochs=3, again=True)
    assert list(server.batches) == ["msgbatch_1", "msgbatch_2"]


def test_a_request_that_a_batch_could_not_answer_is_a_fault_and_is_asked_again(serve: Serve, solving: Solving) -> None:
    broken = {"on": True}
    refused = Reply(status=500, error="api_error", message="it broke")
    server = serve(lambda *_: refused if broken["on"] else answer({"a": "a"}))
    with pytest.raises(Fault, match="errored it broke"):
        solving.one(solver="single-shot", batch=True)
    broken["on"] = False
    assert solving.one(solver="single-shot", batch=True).solution.files["a"] == b"a"
    assert len(server.batches) == 2


def test_a_batch_holds_no_more_than_the_budget_has_room_for(serve: Serve, solving: Solving) -> None:
    server = serve(in_turn(answer({"a": "a"})))
    # At most 64,000 output tokens, at $10 a million and half the price: $0.32 and a little for each.
    with pytest.raises(Exception, match="has no room for it"):
        solving(solver="single-shot", batch=True, epochs=3, max_cost=0.7)
    assert len(server.batches["msgbatch_1"]["requests"]) == 2


@given(st.text())
def test_any_text_is_read_as_an_answer(said: str) -> None:
    assert isinstance(parse(said), dict)


@given(st.dictionaries(st.text(alphabet="ab./\0é~", max_size=12), st.text(max_size=5), max_size=8))
def test_any_files_give_a_workspace_that_can_be_laid_out(texts: dict[str, str]) -> None:
    found = workspace.of_texts(texts)
    assert workspace.read_archive(workspace.archive(found.files), "x") == dict(found.files)
    assert len(found.files) + len(found.dropped) >= len({path for path in texts if path}) - 4
    assert not any(path.startswith("/") or ".." in path.split("/") for path in found.files)
