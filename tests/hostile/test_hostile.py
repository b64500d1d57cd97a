"""Every attack is contained, and its end is told; nothing of it is left."""

import os
import platform
import re
import socket
from pathlib import Path

import anyio
import pytest

from evals import workspace
from evals.sandboxes import job as jobs
from evals.types import MIB, Job, Limits, Program, Sandbox
from tests import backends
from tests.hostile.attacks import ATTACKS, Attack
from tests.project import ROOT

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are named by their numbers")


sandbox = backends.each(backends.NAMES)


SIGBUS = 128 + 7


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A workspace with one file."""
    path = tmp_path / "workspace.tar.gz"
    path.write_bytes(workspace.archive({"a.txt": b"x"}))
    return path


def processes() -> set[int]:
    """Those of this machine that we can see."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name.replace(" ", "-"))
def test_an_attack_is_contained_and_told(
    sandbox: Sandbox, archive: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    limits = Limits(**{"wall": 20.0, **attack.limits})  # type: ignore[arg-type]
    argv = (str(jobs.interpreter()), "-I", "-S", "-c", attack.source)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        env = {"PATH": "/usr/bin:/bin", "HOST_PORT": str(listener.getsockname()[1])}
        program = Program(argv=argv, env=env, cwd="/", workspace=attack.workspace, limits=limits)
        job = Job(workspace=archive if attack.workspace else None, main=program, disk=64 * MIB, inodes=20_000)
        done = anyio.run(sandbox.run, job)
    assert done.reason in attack.reasons, done.output[-2000:]
    ended_by_us = done.reason in ("wall", "cpu", "memory", "inodes")
    assert (done.status != 0) is (ended_by_us or "cpu" in attack.reasons or done.status == SIGBUS)
    assert attack.says in done.output[-2000:], done.output[-2000:]
    assert not re.search(r"^got\b", done.output, re.MULTILINE), done.output[-2000:]
    assert len(done.output) < 3_000_000


def test_no_process_of_an_attack_is_left(sandbox: Sandbox) -> None:
    before = processes()
    test_daemon = next(attack for attack in ATTACKS if attack.name.startswith("a daemon"))
    argv = (str(jobs.interpreter()), "-I", "-S", "-c", test_daemon.source)
    program = Program(argv=argv, env={"PATH": "/usr/bin:/bin"}, cwd="/", workspace=False, limits=Limits(wall=20))
    anyio.run(sandbox.run, Job(workspace=None, main=program))
    left = []
    for number in processes() - before:
        try:
            with open(f"/proc/{number}/cmdline", errors="replace") as file:
                left += [number] if "time.sleep(3600)" in file.read() else []
        except OSError:
            continue
    assert left == []


def test_the_document_has_every_attack() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    for attack in ATTACKS:
        assert f"| {attack.name} | {attack.contained_by} |" in text
