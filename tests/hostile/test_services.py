"""Every hostile service is contained: the checks go on, and are told what it did."""

from pathlib import Path

import anyio
import pytest

from evals import workspace
from evals.environments import Environments
from evals.scorers.acceptance import create
from evals.types import Job, Limits, Program, Sandbox
from tests import backends
from tests.conftest import cache
from tests.hostile.services import SERVICES, Hostile
from tests.project import ROOT

_CHECK = """
import sys, time
sys.path.insert(0, "/kit")
import httpx
from evals.arena.kit import service
from evals.arena.kit.channel import Channel
from evals.arena.kit.expect import Unmet
service.START_SECONDS, service._ANSWER_SECONDS, service._ANSWER_BYTES = 3.0, 2.0, 8 << 20
channel = Channel("/control/socket")
channel.ask("mail", mode="accept")
began = time.monotonic()
try:
    started = service.Start(channel, {"MAIL_PORT": "{mail_port}"})()
    time.sleep(0.5)
    for _ in range(2):
        answer = started.http.get("/", timeout=3.0)
        print("status", answer.status_code, answer.headers.get("location"))
except (Unmet, httpx.HTTPError) as error:
    print(type(error).__name__, str(error)[:300])
found = channel.ask("mail")
print("mail sink answers", len(found["mails"]), sum(len(mail["content"]) for mail in found["mails"]))
try:
    print("log:", channel.ask("log", instance=0)[:200])
except RuntimeError as error:
    print(error)
print("took", time.monotonic() - began)
"""


sandbox = backends.each(backends.KINDS)


@pytest.fixture(scope="module")
def packages() -> Path:
    """Those of the checks."""
    environments = Environments(cache=cache())
    scorer = create(environments)
    scorer.prepare()
    return environments.path("checks", scorer._lock)


@pytest.mark.slow
@pytest.mark.parametrize("hostile", SERVICES, ids=lambda hostile: hostile.name.replace(" ", "-"))
def test_a_service_is_contained_and_told(sandbox: Sandbox, packages: Path, tmp_path: Path, hostile: Hostile) -> None:
    archive = tmp_path / "workspace.tar.gz"
    archive.write_bytes(workspace.archive({"service.py": hostile.source.encode()}))
    python, env = str(packages / "bin" / "python"), {"PATH": "/usr/bin:/bin"}
    seen, limits = ((packages, str(packages)),), Limits(wall=60)
    job = Job(
        workspace=archive,
        main=Program(
            argv=(python, "-I", "-B", "-c", _CHECK),
            env=env,
            read_only=seen,
            limits=limits,
            cwd="/results",
            workspace=False,
            control=True,
        ),
        service=Program(argv=(python, "-I", "service.py", "{port}"), env=env, read_only=seen, limits=limits),
        helper_python=python,
    )
    done = anyio.run(sandbox.run, job)
    assert (done.reason, done.status) == ("exit", 0), done.output
    assert hostile.told in done.output
    assert "got" not in done.output
    mails = next(line for line in done.output.splitlines() if line.startswith("mail sink answers"))
    assert int(mails.split()[-1]) <= 512 * 1024


def test_the_document_has_every_service() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    for hostile in SERVICES:
        assert f"| {hostile.name} | {hostile.contained_by} |" in text
