"""A small project to run against: an agent, a task that takes seconds, and recordings made of its files."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from evals import workspace
from evals.catalog import agents
from evals.environments import Environments
from evals.plugins import factory
from evals.sandboxes import bubblewrap
from evals.store import Key, Store
from evals.types import Sandbox, Stack
from tests import stored
from tests.messages_server import MessagesServer, Script
from tests.project import PROJECT, SOLUTION, Evals
from tests.solving import Solving

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("evals", deadline=None)
hypothesis.settings.load_profile("evals")


@pytest.fixture
def evals(tmp_path: Path) -> Evals:
    """A copy of the small project, and the command line in it."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder)
    return Evals(folder)


@pytest.fixture
def solution() -> dict[str, bytes]:
    """The files of the small task's reference solution."""
    return dict(workspace.collect(SOLUTION).files)


Record = Callable[..., None]


@pytest.fixture
def record(evals: Evals) -> Record:
    """Keeps files as a recording of the small project's agent."""

    def keep(
        files: Mapping[str, bytes],
        *,
        epoch: int = 1,
        agent: str = "toy",
        cost: float | None = None,
        kind: str = "agent",
    ) -> None:
        revision = agents.load(agent, evals.folder)
        variant = revision.variant or "main"
        folder = evals.folder / "fixtures" / "recordings" / revision.agent / variant / "echo" / f"{kind}-{epoch}"
        folder.mkdir(parents=True)
        digest = hashlib.sha256(b"x").hexdigest()
        document = {
            "schema_version": 1,
            "agent": revision.agent,
            "variant": revision.variant,
            "revision": revision.digest,
            "task": "echo",
            "stack": "python-fastapi",
            "kind": kind,
            "epoch": epoch,
            "system_prompt_sha256": digest,
            "instruction_sha256": digest,
            "workspace": workspace.digest(files),
            "made_by": "a test",
            "model": None,
            "date": "2026-01-01",
            "tokens": None,
            "cost_usd": cost,
            "wall_seconds": None,
            "not_known": [],
            "final_message": "done",
        }
        (folder / "recording.json").write_text(json.dumps(document))
        (folder / "workspace.tar.gz").write_bytes(workspace.archive(files))

    return keep


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The real sandbox."""
    return bubblewrap.create()


def cache() -> Path:
    """Where packages are, as the command line has it."""
    return Path(os.environ.get("EVALS_CACHE", Path.home() / ".cache" / "evals"))


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The real stack, with its packages."""
    made: Stack = factory("stacks", "python-fastapi")(Environments(cache=cache()))
    made.prepare()
    return made


@pytest.fixture
def end_group() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that must be gone after a test, whatever happened in it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


Serve = Callable[..., MessagesServer]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server that speaks the Messages API, and makes it the one that is called."""
    started: list[MessagesServer] = []

    def start(script: Script, **more: Any) -> MessagesServer:
        server = MessagesServer(script, **more)
        started.append(server)
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture
def solving(evals: Evals, stack: Stack, sandbox: Sandbox, tmp_path: Path) -> Solving:
    """Solves the small task without grading."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Solving(evals.folder, stack, sandbox, scratch)


Keep = Callable[..., None]


@pytest.fixture
def keep(evals: Evals) -> Keep:
    """Stores trials of a revision: for each epoch, how many of three checks it passed, or None for a fault."""

    def put(
        agent: str,
        passed: list[int | None],
        *,
        task: str = "echo",
        model: str | None = "m",
        settings: str | None = None,
        **change: Any,
    ) -> None:
        revision = agents.load(agent, evals.folder)
        with Store(evals.folder / "reports") as store:
            for epoch, count in enumerate(passed, 1):
                key = Key(
                    agent=revision.agent,
                    variant=revision.variant,
                    revision=revision.digest,
                    task=task,
                    stack="python-fastapi",
                    solver="live",
                    kind="agent",
                    model=model,
                    epoch=epoch,
                    settings=settings,
                )
                store.add_trial(
                    key, stored.document(key, count or 0, {**change, **(stored.FAULT if count is None else {})}), {}
                )

    return put
