"""Runs with a model through the command line: solved, graded, counted, interrupted, recorded."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.messages_server import KEY, Reply, in_turn, text, use
from tests.project import Evals, leftovers, wait_for

EDITOR = "str_replace_based_edit_tool"
RUN = ("run", "--agent", "toy", "--solver", "live")
Files = dict[str, bytes]


def deliver(files: Files, **more: Any) -> list[Reply]:
    """Answers that write files, one a turn, and an end."""
    written = [{"command": "create", "path": f"/workspace/{p}", "file_text": d.decode()} for p, d in files.items()]
    calls = [use(EDITOR, arguments, f"toolu_{n}", **more) for n, arguments in enumerate(written)]
    return [*calls, text("Delivered.", **more)]


def stored(evals: Evals, pattern: str) -> list[Path]:
    return sorted(evals.output.glob(f"trials/**/{pattern}"))


def holds_key(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_live_trial_is_solved_graded_and_counted(evals: Evals, serve: Serve, solution: Files) -> None:
    server = serve(in_turn(*deliver(solution)))
    done = evals("run", "--agent", "toy", "--record", "tape", **server.env)
    assert done.stderr.splitlines()[0] == "solver: live"
    assert "model: claude-sonnet-5-5, effort high; 1 trials to solve" in done.stderr
    assert "3 of 3 checks passed" in done.stderr
    assert "$0.0042" in done.stdout
    (trial,) = evals.trials()
    assert trial["composite"] == pytest.approx(1)
    assert trial["solution"]["cost_usd"] == pytest.approx(0.0042)  # type: ignore[index]

    shown = evals("show", "--transcript", str(trial["id"])).stdout
    assert all(words in shown for words in ("You write small services.", "app/main.py was created", "ended: done, $"))
    (path,) = stored(evals, "*.trajectory.json")
    trajectory = json.loads(path.read_text())
    assert [step["source"] for step in trajectory["steps"][:3]] == ["system", "user", "agent"]
    assert trajectory["final_metrics"]["total_cost_usd"] == pytest.approx(0.0042)
    assert holds_key(evals.folder) == []
    assert KEY not in done.stdout + done.stderr


def test_a_replay_gives_the_same_without_key_and_network(evals: Evals, serve: Serve, solution: Files) -> None:
    server = serve(in_turn(*deliver(solution)))
    first = json.loads(evals(*RUN, "--record", "tape", "--json", **server.env).stdout)
    server.close()
    again = evals("run", "--agent", "toy", "--replay", "tape", "--output", "second", "--json")
    assert again.stderr.startswith("solver: live (answers from tape)")
    second = json.loads(again.stdout)
    assert second["tasks"][0]["scores"] == first["tasks"][0]["scores"]
    names = [{p.name for p in (evals.folder / run / "workspaces").iterdir()} for run in ("reports", "second")]
    assert names[0] == names[1]


BAD: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    ((*RUN,), {"ANTHROPIC_API_KEY": "sk-ant-wrong"}, "401 authentication_error: invalid x-api-key"),
    ((*RUN, "--model", "claude-nope"), {}, "--model claude-nope: the Messages API has no such model"),
    ((*RUN, "--effort", "extreme"), {}, "--effort: found 'extreme'; there are: low"),
    ((*RUN, "--batch"), {}, "--batch: goes with --solver single-shot; found live"),
    (("run", "--agent", "toy", "--solver", "single-shot", "--max-turns", "3"), {}, "--max-turns: has no effect under"),
    (("run", "--agent", "toy", "--solver", "claude-code", "--record", "a"), {}, "--record: has no effect under"),
    ((*RUN, "--record", "a", "--replay", "b"), {}, "--record: does not go with --replay"),
    ((*RUN, "--replay", "nowhere"), {}, "--replay nowhere: is not a folder"),
    (("run", "--agent", "toy", "--solver", "nop", "--max-turns", "3"), {}, "--max-turns: the solver nop calls no"),
]


@pytest.mark.parametrize(("arguments", "env", "words"), BAD)
def test_what_cannot_be_run_costs_nothing(
    evals: Evals, serve: Serve, *, arguments: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    server = serve(in_turn(text("never")))
    done = evals(*arguments, status=2, **{**server.env, **env})
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert server.requests == []
    assert evals.trials() == []


@pytest.mark.slow
def test_a_run_ends_with_what_its_budget_allows(evals: Evals, serve: Serve) -> None:
    # $0.60 a trial: 60,000 output tokens at $10 a million.
    usage = {"input_tokens": 0, "output_tokens": 60_000}
    server = serve(in_turn(text("Nothing.", usage=usage)))
    budget = ("--epochs", "4", "--jobs", "1", "--max-trial-cost", "1", "--max-cost", "2.5", "--json")
    done = evals(*RUN, *budget, status=3, **server.env)
    assert "1 of 4 trials were not begun: a trial may cost $1.00" in done.stderr
    assert "of $2.50 (--max-cost) $1.80 are spent" in done.stderr
    found = json.loads(done.stdout)
    assert found["tasks"][0]["trials"] == 3
    assert found["tasks"][0]["cost_usd"] == pytest.approx(1.8)
    plan = json.loads(evals(*RUN, *budget[:-3], "--dry-run", "--json", **server.env).stdout)
    assert (plan["todo"], plan["cost_usd"], plan["cost_at_most_usd"]) == (1, pytest.approx(0.6), 1.0)
    assert plan["cost_basis"] == "mean of 3 stored trials"
    evals(*RUN, *budget, **server.env)
    assert len(evals.trials()) == 4


def test_what_the_api_refuses_is_a_fault_and_no_score(evals: Evals, serve: Serve) -> None:
    server = serve(in_turn(Reply(status=400, error="invalid_request_error", message="tools.0: not supported")))
    done = evals(*RUN, "--json", status=3, **server.env)
    (trial,) = json.loads(done.stdout)["trials"]
    assert trial["fault"]["stage"] == "solve"
    assert "tools.0: not supported" in trial["fault"]["reason"]
    assert json.loads(done.stdout)["tasks"][0]["composite"] is None


def test_what_a_fault_has_cost_is_counted(evals: Evals, serve: Serve) -> None:
    refused = Reply(status=400, error="invalid_request_error", message="no more")
    server = serve(in_turn(text("wait", stop="pause_turn"), refused))
    done = evals(*RUN, "--json", status=3, **server.env)
    result = json.loads(done.stdout)
    assert result["tasks"][0]["cost_usd"] == pytest.approx(0.0007)
    (trial,) = evals.trials()
    assert trial["fault"]["cost_usd"] == pytest.approx(0.0007)  # type: ignore[index]
    assert "spent: $0.0007" in done.stderr
    assert stored(evals, "*.trajectory.json")


def test_broken_files_are_named(evals: Evals, serve: Serve) -> None:
    server = serve(in_turn(text("done")))
    evals(*RUN, "--record", "tape", **server.env)
    (entry,) = (evals.folder / "tape").glob("toy/**/0001.json")
    entry.write_text(entry.read_text().replace('"status": 200', '"status": "fine"'))
    broken = evals(*RUN, "--replay", "tape", "--no-resume", status=2)
    assert '0001.json: status: found "fine"' in broken.stderr
    (events,) = stored(evals, "*-1.events.jsonl")
    events.write_text(events.read_text().replace('"turn": 1', '"turn": "one"'))
    shown = evals("show", "--transcript", str(events), status=2)
    assert f"{events}, line 2" in shown.stderr
    (evals.output / "batches").mkdir()
    (evals.output / "batches" / "x.json").write_text("{}")
    batch = evals("run", "--agent", "toy", "--solver", "single-shot", "--batch", status=2, **server.env)
    assert "x.json: the document: found {}" in batch.stderr


def interrupted(evals: Evals, process: subprocess.Popen[str]) -> str:
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert leftovers(process.pid) == []
    assert list((evals.output / ".scratch").glob("run-*")) == []
    return output


def test_a_run_interrupted_in_a_stream_goes_on(evals: Evals, serve: Serve, solution: Files, end_group) -> None:
    replies = deliver(solution)
    slow = {"on": True}

    def script(request: dict[str, Any], turn: int, _before: int) -> Reply:
        reply = replies[min(turn, len(replies) - 1)]
        return Reply(**{**vars(reply), "delay": 30.0}) if slow["on"] and turn == 3 else reply

    server = serve(script)
    process = evals.start(*RUN, "--epochs", "2", "--jobs", "2", **server.env)
    end_group.append(process)
    wait_for(lambda: sum(1 for r in server.requests if len(r["messages"]) == 7) == 2, 60)
    assert "what has finished is kept" in interrupted(evals, process)
    unfinished = stored(evals, "unfinished-*.events.jsonl")
    assert len(unfinished) == 2
    assert evals.trials() == []
    shown = evals("show", "--transcript", str(unfinished[0])).stdout
    assert "app/main.py" in shown or "turn 3" in shown
    slow["on"] = False
    result = json.loads(evals(*RUN, "--epochs", "2", "--json", **server.env).stdout)
    assert [trial["fault"] for trial in result["trials"]] == [None, None]


@pytest.mark.slow
def test_finished_trials_become_recordings(evals: Evals, serve: Serve, solution: Files) -> None:
    server = serve(in_turn(*deliver(solution)))
    evals(*RUN, **server.env)
    evals("run", "--agent", "toy", "--solver", "nop")
    (run_id, nop) = [row["run"] for row in json.loads(evals("list", "runs", "--json").stdout)]
    found = json.loads(evals("record", run_id, "--json").stdout)
    assert found[0]["new"] is True
    document = json.loads((evals.folder / found[0]["path"] / "recording.json").read_text())
    assert (document["model"], document["kind"], document["cost_usd"]) == ("claude-sonnet-5-5", "agent", 0.0042)
    assert "(was there already)" in evals("record", run_id).stdout
    assert "only what a model has delivered is recorded" in evals("record", nop, status=2).stderr
    graded = json.loads(evals("run", "--agent", "toy", "--solver", "recorded", "--json").stdout)
    assert graded["tasks"][0]["composite"] == pytest.approx(1)


def answer(solution: Files) -> Reply:
    files = [{"path": path, "content": data.decode()} for path, data in solution.items()]
    return text(json.dumps({"files": files, "notes": "All of it."}))


@pytest.mark.slow
def test_a_batch_is_taken_up_after_an_interruption(evals: Evals, serve: Serve, solution: Files, end_group) -> None:
    server = serve(in_turn(answer(solution)))
    server.batch_polls = 1000
    command = ("run", "--agent", "toy", "--solver", "single-shot", "--batch", "--epochs", "2")
    process = evals.start(*command, **server.env)
    end_group.append(process)
    wait_for(lambda: any("msgbatch_1" in path for path in server.paths), 60)
    interrupted(evals, process)
    server.batches["msgbatch_1"]["polls"] = 0
    done = evals(*command, "--json", **server.env)
    assert "batch msgbatch_1, submitted earlier, is taken up" in done.stderr
    assert list(server.batches) == ["msgbatch_1"]
    result = json.loads(done.stdout)
    assert result["tasks"][0]["composite"] == pytest.approx(1)
    # Half of $0.0007 for each of two answers.
    assert result["tasks"][0]["cost_usd"] == pytest.approx(2 * 0.5 * (100 * 2 + 50 * 10) / 1e6)


@pytest.mark.slow
def test_a_comparison_ends_with_what_its_budget_allows(evals: Evals, serve: Serve) -> None:
    server = serve(in_turn(text("Nothing.", usage={"input_tokens": 0, "output_tokens": 60_000})))
    asked = (*RUN, "--against", "toy:terse", "--until-verdict", "--jobs", "1", "--max-trial-cost", "1")
    done = evals(*asked, "--max-cost", "2.5", status=2, **server.env)
    assert "before there is anything to compare" in done.stderr
    assert len(evals.trials()) == 3
    done = evals(*asked, "--max-cost", "3", "--json", status=None, **server.env)
    found = json.loads(done.stdout)
    assert "budget" in found["ended"]
    assert found["verdict"] == "inconclusive"
    # The second round was begun, and had no room for its second trial: what it measured is kept for the next call.
    assert len(evals.trials()) == 7
