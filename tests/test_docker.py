"""The sandbox `docker` from the command line, and what it leaves; its containment is tried in `tests/hostile/`."""

import json
import os
import signal
import subprocess

import pytest

from evals.sandboxes.docker import LABEL
from tests import backends
from tests.project import Evals, wait_for

RUN = ("run", "--agent", "toy", "--solver", "oracle", "--sandbox", "docker", "--jobs", "1")

needs_docker = pytest.fixture(scope="module")(lambda: backends.made("docker"))


def containers() -> list[str]:
    command = ["docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.slow
@pytest.mark.usefixtures("needs_docker")
def test_a_run_in_docker_gives_the_same_grades(evals: Evals) -> None:
    result = json.loads(evals(*RUN, "--json").stdout)
    (row,) = result["tasks"]
    assert row["composite"] == pytest.approx(1)
    assert [trial["sandbox"] for trial in evals.trials()] == ["docker"]
    assert containers() == []
    doctor = evals("doctor", EVALS_SANDBOX="docker", status=None).stdout
    assert "docker works, as " in doctor


@pytest.mark.slow
@pytest.mark.usefixtures("needs_docker")
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_container_is_left(evals: Evals, end_group, stop: signal.Signals) -> None:
    process = evals.start(*RUN, "--epochs", "4")
    end_group.append(process)
    wait_for(evals.trials, 60)
    wait_for(containers, 60)
    os.kill(process.pid, stop)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if stop == signal.SIGKILL else 130), output
    wait_for(lambda: containers() == [], 60)
    assert all(trial["fault"] is None for trial in evals.trials())


def test_without_a_daemon_the_error_says_what_would_help(evals: Evals) -> None:
    done = evals(*RUN, status=2, DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert "docker could not make a sandbox on this machine" in done.stderr
    assert "docker info" in done.stderr
    done = evals(*RUN, status=2, PATH="/nonexistent")
    assert "there is no program `docker`" in done.stderr
    assert evals.trials() == []


def test_an_unknown_sandbox_is_named(evals: Evals) -> None:
    done = evals("run", "--agent", "toy", "--solver", "nop", "--sandbox", "chroot", status=2)
    assert "there is no 'chroot' among sandboxes; there are: bubblewrap, docker" in done.stderr
    done = evals("run", "--agent", "toy", "--solver", "nop", status=2, EVALS_SANDBOX="chroot")
    assert "there is no 'chroot'" in done.stderr
