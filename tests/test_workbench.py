"""A solver's tools, in the real sandbox."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from evals import workspace
from evals.types import MIB, Job, Limits, Sandbox, Session, Stack, ToolAnswer

EDITOR = "str_replace_based_edit_tool"
Call = tuple[str, dict[str, Any], float]
Use = Callable[..., tuple[list[ToolAnswer], dict[str, bytes]]]


def bash(command: str, seconds: float = 20.0) -> Call:
    return "bash", {"command": command}, seconds


def edit(command: str, path: str = "/workspace/a.txt", **arguments: Any) -> Call:
    return EDITOR, {"command": command, "path": path, **arguments}, 20.0


@pytest.fixture
def use(sandbox: Sandbox, stack: Stack, tmp_path: Path) -> Use:
    """Makes calls in one session; their answers, and the workspace at the end."""
    archive = tmp_path / "start.tar.gz"
    archive.write_bytes(workspace.archive({"a.txt": b"one\ntwo\nthree\n"}))

    def run(*calls: Call, **limits: Any) -> tuple[list[ToolAnswer], dict[str, bytes]]:
        async def session() -> tuple[list[ToolAnswer], dict[str, bytes]]:
            job = Job(workspace=archive, main=stack.tool(limits=Limits(**limits)))
            async with sandbox.open(job) as opened:
                answers = [await opened.call(name, given, seconds=seconds) for name, given, seconds in calls]
                return answers, dict((await opened.collect()).files)

        return anyio.run(session)

    return run


def test_the_shell_keeps_its_folder_and_variables(use: Use) -> None:
    answers, files = use(bash("cd /tmp; WORD=kept; true"), bash("echo $WORD in $PWD; echo x > /workspace/b.txt"))
    assert answers[1] == ToolAnswer(output="kept in /tmp", is_error=False)
    assert files["b.txt"] == b"x\n"


def test_a_server_in_the_background_holds_up_nothing_and_goes_on(use: Use) -> None:
    began = time.monotonic()
    answers, _ = use(
        bash("python -m http.server 8000 & echo started"),
        bash("for n in $(seq 50); do curl -s localhost:8000/a.txt && break; sleep 0.1; done"),
        bash("sleep 30", 1.0),
        bash("curl -s localhost:8000/a.txt"),
    )
    assert answers[0].output.startswith("started")
    assert answers[1].output == "one\ntwo\nthree"
    assert "[no end within 1 s" in answers[2].output
    assert answers[3] == answers[1]
    assert time.monotonic() - began < 20


def test_a_shell_that_ends_is_told_and_replaced(use: Use) -> None:
    commands = ("echo last; exit 3", "echo new", "exec sleep 0", "set -e; false", "echo on")
    answers, _ = use(*map(bash, commands))
    assert answers[0] == ToolAnswer(
        output="last\n[the shell has ended with status 3; the next command gets a new one]", is_error=True
    )
    assert [answer.output for answer in (answers[1], answers[4])] == ["new", "on"]
    assert answers[3].is_error


def test_restart_ends_what_runs(use: Use) -> None:
    answers, _ = use(bash("sleep 100 & echo $!"), ("bash", {"restart": True}, 20.0), bash("pgrep sleep; true"))
    assert "started anew" in answers[1].output
    assert answers[2].output == "[no output]"


def test_long_output_is_cut_in_the_middle(use: Use) -> None:
    ((answer,), _) = use(bash("seq 100000"))
    assert len(answer.output) < 31_000
    assert answer.output.startswith("1\n2\n")
    assert answer.output.endswith("99999\n100000")
    assert "bytes cut ...]" in answer.output


def test_output_that_is_no_text_is_replaced(use: Use) -> None:
    ((answer, after), _) = use(bash(r"printf '\xff\xfe ok \x1b[31m'"), bash("echo fine"))
    assert "ok" in answer.output
    assert after.output == "fine"


BREAKING = {
    "kills the tools": "kill -9 $PPID",
    "speaks in their place": "echo nonsense > /proc/$PPID/fd/1; kill -9 $PPID",
    "takes all memory": "python -c 'l = []\nwhile True: l.append(bytearray(10**7))'",
    "makes countless files": "python -c 'import itertools\nfor n in itertools.count(): open(str(n), \"w\").close()'",
}


@pytest.mark.parametrize("kind", BREAKING)
def test_an_agent_that_breaks_its_sandbox_gets_a_new_one_with_its_files(use: Use, kind: str) -> None:
    calls = (bash("echo kept > kept.txt"), bash(BREAKING[kind], 60.0), bash("cat kept.txt"))
    answers, files = use(*calls, memory=300 * MIB)
    assert answers[1].is_error
    assert "started anew" in answers[1].output
    # Too many files are still there; the sandbox cannot last then, and is told so each time.
    assert answers[2].output == "kept" or (kind == "makes countless files" and "more files" in answers[2].output)
    assert files.get("kept.txt") == b"kept\n" or kind == "makes countless files"


def test_nothing_of_the_host_is_seen(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    # The folders above the stack's packages and the interpreter are there, and nothing else in them.
    others = f"-type f -not -path '*/environments/*' -not -path '{sys.base_prefix}/*'"
    answers, _ = use(
        bash("env; cat /proc/*/environ | tr '\\0' '\\n' | grep -c ANTHROPIC"),
        bash("cat /etc/shadow || touch /usr/x || curl -m 3 http://192.0.2.1/"),
        bash(f"find /home /root {others} 2>/dev/null; ls -d /control"),
    )
    assert "sk-ant" not in answers[0].output
    assert "ANTHROPIC" not in answers[0].output
    assert answers[1].is_error
    assert answers[2].output.splitlines()[0] == "ls: cannot access '/control': No such file or directory"


def test_links_out_of_the_workspace_are_not_taken_over(use: Use) -> None:
    _, files = use(bash("ln -s /etc/passwd link; mkfifo pipe; echo x > real"))
    assert set(files) == {"a.txt", "real"}


def test_a_call_that_nobody_waits_for_any_longer_does_not_hold_up_the_end(
    sandbox: Sandbox, stack: Stack, tmp_path: Path
) -> None:
    async def session() -> dict[str, bytes]:
        async with sandbox.open(Job(workspace=archive, main=stack.tool(limits=Limits()))) as opened:
            with anyio.move_on_after(1):
                await opened.call("bash", {"command": "echo x > x; sleep 100"}, seconds=200)
            return dict((await opened.collect()).files)

    archive = tmp_path / "start.tar.gz"
    archive.write_bytes(workspace.archive({}))
    began = time.monotonic()
    assert anyio.run(session) == {"x": b"x\n"}
    assert time.monotonic() - began < 20


def test_a_session_leaves_nothing_behind(sandbox: Sandbox, stack: Stack) -> None:
    async def session() -> Session:
        async with sandbox.open(Job(workspace=None, main=stack.tool(limits=Limits()))) as opened:
            await opened.call("bash", {"command": "sleep 4242 &"}, seconds=5)
            return opened

    anyio.run(session)
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"4242" in command for command in commands)


EDITS: list[tuple[Call, str, bytes]] = [
    (edit("str_replace", old_str="two", new_str="2"), "2\t2\n", b"one\n2\nthree\n"),
    (edit("str_replace", old_str="two\n"), "was changed", b"one\nthree\n"),
    (edit("insert", insert_line=0, insert_text="zero"), "zero", b"zero\none\ntwo\nthree\n"),
    (edit("insert", insert_line=3, new_str="four\n"), "four", b"one\ntwo\nthree\nfour\n"),
    (edit("create", "/workspace/a.txt", file_text="new"), "was overwritten", b"new"),
    (edit("view", view_range=[2, -1]), "2\ttwo\n     3\tthree", b"one\ntwo\nthree\n"),
    (edit("view", "a.txt"), "1\tone", b"one\ntwo\nthree\n"),
    (edit("view", "/workspace"), "/workspace/a.txt", b"one\ntwo\nthree\n"),
]

MISTAKES: list[tuple[Call, str]] = [
    (edit("str_replace", old_str="e", new_str="x"), "stands 3 times"),
    (edit("str_replace", old_str="nine", new_str="x"), "stands 0 times"),
    (edit("str_replace", old_str="", new_str="x"), "is empty"),
    (edit("view", view_range=[9, 10]), "does not fit: the file has 3 lines"),
    (edit("view", view_range="all"), "has to be a list of two line numbers"),
    (edit("insert", insert_line=99, insert_text="x"), "has to be a number from 0 to 3"),
    (edit("view", "/workspace/nothing"), "does not exist"),
    (edit("create", "/usr/x", file_text="x"), "cannot be written"),
    (edit("create", "/workspace/a.txt/b", file_text="x"), "cannot be written"),
    (edit("create", file_text=7), "`file_text` is missing or not a text"),
    (edit("undo_edit"), "`command` is 'undo_edit'; there are: view"),
    ((EDITOR, {}, 5.0), "`command` is None"),
    (("Grep", {"pattern": "("}, 5.0), "is no regular expression"),
    (("Glob", {"pattern": ""}, 5.0), "cannot be used"),
    (("bash", {}, 5.0), "`command` is missing"),
]


def test_the_editor_edits(use: Use) -> None:
    for call, words, content in EDITS:
        (answer,), files = use(call)
        assert words in answer.output, call
        assert not answer.is_error, call
        assert files["a.txt"] == content, call


def test_mistakes_are_told_and_change_nothing(use: Use) -> None:
    answers, files = use(*(call for call, _ in MISTAKES))
    for answer, (call, words) in zip(answers, MISTAKES, strict=True):
        assert words in answer.output, call
        assert answer.is_error, call
    assert files == {"a.txt": b"one\ntwo\nthree\n"}


def test_files_are_found(use: Use) -> None:
    answers, _ = use(
        bash("mkdir -p x/y; echo 'def two(): ...' > x/y/b.py"),
        ("Glob", {"pattern": "**/*.py"}, 5.0),
        ("Grep", {"pattern": "TWO", "-i": True}, 5.0),
        ("Grep", {"pattern": "two", "glob": "*.py"}, 5.0),
        ("Grep", {"pattern": "nowhere"}, 5.0),
    )
    assert answers[1].output == "/workspace/x/y/b.py"
    assert answers[2].output == "/workspace/a.txt:2:two\n/workspace/x/y/b.py:1:def two(): ..."
    assert answers[3].output == "/workspace/x/y/b.py:1:def two(): ..."
    assert answers[4].output == "[no line matches]"
