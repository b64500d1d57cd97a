"""Services that start with their packages loaded are contained as others are, and are what others are."""

import json
import platform
import re
from pathlib import Path

import anyio
import pytest

from evals import workspace
from evals.sandboxes import job as jobs
from evals.types import MIB, Finished, Job, Limits, Program, Sandbox
from tests import backends
from tests.hostile.attacks import ATTACKS, Attack

_PYTHON = str(jobs.interpreter())
_ENV = {"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "TZ": "UTC"}

_START = r"""
import json, socket, sys, time
connection = socket.socket(socket.AF_UNIX)
connection.connect("/control/socket")
channel = connection.makefile("rwb")

def ask(do, **request):
    channel.write(json.dumps({"do": do, **request}).encode() + b"\n")
    channel.flush()
    return json.loads(channel.readline())["ok"]

made = ask("start", env=json.loads(sys.argv[1]), template={})
deadline = time.monotonic() + 40
while ask("state", instance=made["instance"])["running"] and time.monotonic() < deadline:
    time.sleep(0.02)
print(json.dumps(ask("state", instance=made["instance"])))
print(ask("log", instance=made["instance"]))
"""


sandbox = backends.each(backends.KINDS)


class Serving:
    """Runs `python -m service` to its end, forked where `preload` names something."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        self._archive = folder / "workspace.tar.gz"

    def __call__(
        self,
        source: str,
        *,
        preload: tuple[str, ...] = ("json", "asyncio", "http.server"),
        limits: Limits | None = None,
        files: dict[str, bytes] | None = None,
        env: dict[str, str] | None = None,
    ) -> tuple[dict[str, object], str]:
        self._archive.write_bytes(workspace.archive({"service.py": source.encode(), **(files or {})}))
        argv = (_PYTHON, "-I", "-S", "-c", _START, json.dumps(env or {}))
        main = Program(argv=argv, env=_ENV, cwd="/results", workspace=False, control=True, limits=Limits(wall=60))
        service = Program(
            argv=(_PYTHON, "-m", "service", "{port}", "more"),
            env=_ENV,
            limits=limits or Limits(wall=30),
            preload=preload,
        )
        job = Job(workspace=self._archive, main=main, service=service, disk=64 * MIB)
        done: Finished = anyio.run(self._sandbox.run, job)
        assert done.status == 0, done.output
        state, _, log = done.output.partition("\n")
        return json.loads(state), log


@pytest.fixture
def serving(sandbox: Sandbox, tmp_path: Path) -> Serving:
    """Runs a service."""
    return Serving(sandbox, tmp_path)


# What is measured in the whole of a sandbox (its files, its time) is not a service's own; the rest holds for it too.
OF_SERVICES = [attack for attack in ATTACKS if not {"inodes", "wall"} & set(attack.reasons)]


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls are named by their numbers")
@pytest.mark.parametrize("attack", OF_SERVICES, ids=lambda attack: attack.name.replace(" ", "-"))
def test_an_attack_by_a_service_is_contained(serving: Serving, attack: Attack) -> None:
    limits = Limits(**{"wall": 20.0, **attack.limits})  # type: ignore[arg-type]
    state, log = serving(attack.source, limits=limits, env={"HOST_PORT": "1"})
    assert state["reason"] in (*attack.reasons, "exit"), log[-2000:]
    assert attack.says in log[-2000:], log[-2000:]
    # The checks' socket and the mail sink's stand here, and are out of reach all the same.
    assert not re.search(r"^got\b", log, re.MULTILINE), log[-2000:]


_SEEN = r"""
import ctypes, json, os, resource, signal, sys, threading
with open("/proc/self/status") as file:
    status = dict(line.rstrip("\n").split(":", 1) for line in file if ":" in line)
kept = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "SigIgn", "SigBlk")
namespace = open("/proc/self/uid_map").read().split()
print(json.dumps({
    "argv": sys.argv, "path": sys.path[:1], "main": __name__, "spec": __spec__.name, "cwd": os.getcwd(),
    "env": dict(os.environ), "status": {name: status[name].strip() for name in kept},
    "limits": [resource.getrlimit(n) for n in range(16)], "fds": sorted(os.listdir("/proc/self/fd"))[:3],
    "files": sorted(os.listdir("/")), "here": sorted(os.listdir(".")), "session": os.getsid(0) == os.getpid(),
    "user": os.getuid(), "namespaces": namespace[0], "threads": threading.active_count(),
    "umask": os.umask(0), "int": str(signal.getsignal(signal.SIGINT)), "own": os.access("/proc/self/environ", os.R_OK),
    "stdin": os.readlink("/proc/self/fd/0"), "mounts": sorted({n.split()[4] for n in open("/proc/self/mountinfo")}),
}))
"""


def test_a_fork_is_what_a_usual_start_is(serving: Serving) -> None:
    _, usual = serving(_SEEN, preload=(), env={"WORD": "x"})
    _, forked = serving(_SEEN, env={"WORD": "x"})
    assert json.loads(forked) == json.loads(usual)
    forked_too = json.loads(serving("print(int('evals.arena.preload' in open('/proc/self/cmdline').read()))")[1])
    assert forked_too == 1


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("raise ValueError('no')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 128 + 15),
        ("import os; os._exit(7)", 7),
        ("import atexit, os; atexit.register(os._exit, 9)", 9),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.3), print('later'))).start()", 0),
    ],
)
def test_its_end_is_told_as_any_other(serving: Serving, source: str, status: int) -> None:
    usual, forked = serving(source, preload=()), serving(source)
    assert forked[0]["status"] == usual[0]["status"] == status
    assert forked[0]["reason"] == usual[0]["reason"] == "exit"
    assert ("later" in forked[1]) is ("later" in usual[1])


_WHICH = "print('forked' if 'evals.arena.preload' in open('/proc/self/cmdline').read() else 'usual')\n"


@pytest.mark.parametrize(
    ("files", "env"),
    [
        ({"json.py": b"word = 'mine'"}, {}),
        ({"asyncio/__init__.py": b"word = 'mine'"}, {}),
        ({}, {"PYTHONHASHSEED": "1"}),
    ],
)
def test_where_a_fork_would_not_be_the_same_there_is_none(
    serving: Serving, files: dict[str, bytes], env: dict[str, str]
) -> None:
    _, log = serving(_WHICH, files=files, env=env)
    assert log.startswith("usual")
    _, log = serving(_WHICH, files={"other.py": b""}, env={"OTHER": "1"})
    assert log.startswith("forked")


def test_nothing_of_an_instance_is_left_in_the_next(serving: Serving) -> None:
    source = (
        "import json, os, sys, random\n"
        "print(hasattr(json, 'mine'), os.path.exists('/tmp/mine'), random.random())\n"
        "json.mine = 1\nopen('/tmp/mine', 'w').close()\n"
    )
    lines = [serving(source)[1].split() for _ in range(2)]
    assert [line[:2] for line in lines] == [["False", "False"]] * 2
    assert lines[0][2] != lines[1][2]
