"""What runs in CI: a pull request's prompts are evaluated, and the comment is put onto it, over real HTTP."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.commands.hosting import Change, changed_agents
from tests.conftest import Serve
from tests.messages_server import in_turn, text
from tests.project import ROOT, Evals

MARKER = "<!-- evals comparison -->"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def change(evals: Evals) -> Change:
    """A pull request: its head edits a prompt, and would weaken the checks; the working tree is the base."""
    git(evals.folder, "init", "-q", "-b", "main")
    git(evals.folder, "add", "-A")
    git(evals.folder, "commit", "-qm", "base")
    git(evals.folder, "switch", "-qc", "topic")
    prompt = evals.folder / "agents" / "toy.md"
    prompt.write_text(prompt.read_text() + "\nWrite even smaller services.\n")
    (evals.folder / "agents" / "new.md").write_text("---\nname: new\ndescription: x\n---\nNew.\n")
    checks = evals.folder / "fixtures" / "tasks" / "echo" / "tests" / "checks_echo.py"
    checks.write_text("def test_nothing():\n    pass\n")
    git(evals.folder, "add", "-A")
    git(evals.folder, "commit", "-qm", "head")
    head = git(evals.folder, "rev-parse", "HEAD")
    git(evals.folder, "switch", "-q", "main")
    return Change(base=git(evals.folder, "rev-parse", "HEAD"), head=head, number=7)


def environment(folder: Path, change: Change) -> dict[str, str]:
    """As GitHub sets it for a pull request's job."""
    event = {"pull_request": {"number": change.number, "base": {"sha": change.base}, "head": {"sha": change.head}}}
    (folder / "event.json").write_text(json.dumps(event))
    return {
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_OUTPUT": str(folder / "output.txt"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }


def test_changed_agents_are_found(evals: Evals, change: Change) -> None:
    assert changed_agents(change, evals.folder) == ["new", "toy"]
    assert changed_agents(Change(base=change.base, head=change.base, number=None), evals.folder) == []


def test_a_pull_request_is_evaluated_with_the_checks_of_its_base(
    evals: Evals, serve: Serve, change: Change, tmp_path: Path
) -> None:
    server = serve(in_turn(text("Nothing.")))
    env = {**environment(tmp_path, change), **server.env}
    done = evals("ci", "evaluate", "--max-epochs", "2", "--max-cost", "100", **env)
    # A prompt that does nothing gives the same as one that does nothing: three checks failed, on both sides.
    outputs = dict(line.split("=", 1) for line in (tmp_path / "output.txt").read_text().splitlines())
    assert set(outputs) == {"verdict", "difference", "cost", "report"}
    assert outputs["verdict"] == "inconclusive"
    assert float(outputs["cost"]) == pytest.approx(4 * 0.0007)
    assert "::warning file=agents/toy.md::inconclusive: toy (base) -> toy (head)" in done.stdout
    assert "::notice::new: " in done.stdout
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith(MARKER)
    assert "toy &#40;" in summary or "toy (base)" in summary
    report = evals.folder / outputs["report"]
    assert (report / "comment.md").read_text() == summary
    assert json.loads((report / "pull.json").read_text()) == {"schema_version": 1, "number": 7, "head": change.head}
    assert {path.name for path in (report / "toy").iterdir()} >= {"index.html", "junit.xml", "comparison.json"}
    assert len(json.loads((report / "toy" / "report.json").read_text())["tasks"][0]["checks"]) == 3
    prompts = {json.dumps(request["system"]) for request in server.requests}
    assert len(prompts) == 2
    asked = len(server.requests)
    evals("ci", "evaluate", "--agent", "toy", "--max-epochs", "2", **env)
    assert len(server.requests) == asked


def test_without_a_key_there_is_no_verdict(evals: Evals, change: Change, tmp_path: Path) -> None:
    done = evals("ci", "evaluate", **environment(tmp_path, change))
    assert "toy: was not evaluated, since there is no key for a model here" in done.stdout
    assert "verdict=not-evaluated" in (tmp_path / "output.txt").read_text()
    assert "No verdict" in (tmp_path / "summary.md").read_text()


def test_an_event_that_is_none_is_said(evals: Evals, tmp_path: Path) -> None:
    assert "GITHUB_EVENT_PATH" in evals("ci", "evaluate", status=2).stderr
    (tmp_path / "event.json").write_text('{"action": "star"}')
    refused = evals("ci", "evaluate", status=2, GITHUB_EVENT_PATH=str(tmp_path / "event.json"))
    assert "is neither of a pull request nor of a push" in refused.stderr


class Hub:
    """As much of GitHub's REST interface as a comment takes."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.head = "c" * 40
        self.tokens: set[str] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def add(self, body: str, kind: str = "Bot") -> dict[str, Any]:
        number = len(self.comments) + 1
        found = {"id": number, "body": body, "user": {"type": kind}, "html_url": f"{self.url}/c/{number}"}
        self.comments.append(found)
        return found

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        where, _, query = path.partition("?")
        if where == "/repos/o/r/pulls/7":
            return 200, {"head": {"sha": self.head}}
        if where == "/repos/o/r/issues/7/comments" and method == "GET":
            page = int(query.rpartition("page=")[2])
            return 200, self.comments[(page - 1) * 100 : page * 100]
        if where == "/repos/o/r/issues/7/comments" and method == "POST":
            return 201, self.add(body["body"])
        if where.startswith("/repos/o/r/issues/comments/") and method == "PATCH":
            found = self.comments[int(where.rpartition("/")[2]) - 1]
            found["body"] = body["body"]
            return 200, found
        return 404, {"message": "Not Found"}

    def _handler(hub) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                hub.tokens.add(self.headers.get("authorization", ""))
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, document = hub.answer(self.command, self.path, body)
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET  # noqa: N815
            do_PATCH = do_GET  # noqa: N815

        return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A server that keeps comments."""
    found = Hub()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def kept(evals: Evals) -> Path:
    """What an evaluation has left."""
    folder = evals.folder / "evals-report"
    folder.mkdir()
    (folder / "comment.md").write_text(f"{MARKER}\n### improved\n")
    (folder / "pull.json").write_text(json.dumps({"schema_version": 1, "number": 7, "head": "c" * 40}))
    return folder


def posting(hub: Hub, tmp_path: Path, head: str = "c" * 40) -> dict[str, str]:
    event = {"workflow_run": {"id": 99, "head_sha": head}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    return {
        "GITHUB_API_URL": hub.url,
        "GITHUB_SERVER_URL": "https://example.com",
        "GITHUB_TOKEN": "ghs-secret",
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
    }


def test_one_comment_is_kept_up_to_date(evals: Evals, hub: Hub, kept: Path, tmp_path: Path) -> None:
    for number in range(130):
        hub.add(f"comment {number}")
    hub.add(f"{MARKER}\nI say I am the report", kind="User")
    env = posting(hub, tmp_path)
    first = evals("ci", "comment", **env)
    assert first.stdout.strip() == f"{hub.url}/c/132"
    assert hub.comments[-1]["body"].startswith(f"{MARKER}\n### improved")
    assert "[the whole report](https://example.com/o/r/actions/runs/99)" in hub.comments[-1]["body"]
    (kept / "comment.md").write_text(f"{MARKER}\n### regressed\n")
    evals("ci", "comment", **env)
    assert len(hub.comments) == 132
    assert "### regressed" in hub.comments[-1]["body"]
    assert hub.comments[-2]["body"].endswith("I say I am the report")
    assert hub.tokens == {"Bearer ghs-secret"}


def test_a_report_of_another_commit_is_not_posted(evals: Evals, hub: Hub, kept: Path, tmp_path: Path) -> None:
    refused = evals("ci", "comment", status=2, **posting(hub, tmp_path, head="d" * 40))
    assert "the report is of dddd" in refused.stderr
    (kept / "comment.md").write_text("### anything\n")
    assert "does not begin with" in evals("ci", "comment", status=2, **posting(hub, tmp_path)).stderr
    (kept / "pull.json").write_text('{"schema_version": 1, "number": "7; rm", "head": "x"}')
    assert "pull.json: number: found" in evals("ci", "comment", status=2, **posting(hub, tmp_path)).stderr
    assert "GITHUB_TOKEN: is not set" in evals("ci", "comment", status=2).stderr
    assert hub.comments == []


ACTION = yaml.safe_load((ROOT / "action.yml").read_text())


def test_everything_that_the_workflows_use_is_pinned_by_digest() -> None:
    texts = (ROOT / "action.yml").read_text() + (ROOT / "docs" / "ci.md").read_text()
    used = re.findall(r"uses: (\S+)", texts)
    assert len(used) >= 6
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name) or name == "OWNER/evals@COMMIT" for name in used)


def test_the_documents_name_the_inputs_and_outputs() -> None:
    text = (ROOT / "docs" / "ci.md").read_text()
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert f"`{name}`" in text, name
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        assert isinstance(yaml.safe_load(block), dict)


def test_no_step_puts_what_others_wrote_into_a_script() -> None:
    scripts = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)


@pytest.mark.slow
def test_the_actions_steps_evaluate_a_pull_request(evals: Evals, serve: Serve, change: Change, tmp_path: Path) -> None:
    server = serve(in_turn(text("Nothing.")))
    origin = tmp_path / "origin.git"
    git(evals.folder, "clone", "-q", "--bare", str(evals.folder), str(origin))
    git(origin, "update-ref", "refs/pull/7/head", change.head)
    git(origin, "branch", "-D", "topic")
    work = tmp_path / "work"
    git(tmp_path, "clone", "-q", "--branch", "main", str(origin), str(work))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "evals").write_text(f'#!/bin/sh\nexec {sys.executable} -c "from evals.cli import main; main()" "$@"\n')
    (programs / "evals").chmod(0o755)
    values = {name: str(found.get("default", "")) for name, found in ACTION["inputs"].items()}
    values.update({"max-epochs": "2", "agents": "toy"})
    env = evals.environment(**environment(tmp_path, change), **server.env)
    env["PATH"] = f"{programs}:{env['PATH']}"
    for step in ACTION["runs"]["steps"]:
        if step.get("id") in ("fetch", "evaluate"):
            given = {name: _filled(value, values) for name, value in step["env"].items()}
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            done = subprocess.run(command, cwd=work, env={**env, **given}, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict=inconclusive" in (tmp_path / "output.txt").read_text()
    assert (work / "evals-report" / "comment.md").is_file()


def _filled(value: str, inputs: dict[str, str]) -> str:
    """What GitHub puts in place of an expression."""
    name = value.removeprefix("${{ ").removesuffix(" }}")
    return "7" if name == "github.event.pull_request.number" else inputs[name.removeprefix("inputs.")]
