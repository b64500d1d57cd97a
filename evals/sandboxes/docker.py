"""The sandbox `docker`: a container is the outer layer, where user namespaces are refused but a Docker daemon runs.

The container is empty but for what `bubblewrap`'s outer layer holds, bound read-only from this machine, so nothing is
pulled, and a grade rests on the same files. It runs the same supervisor, which puts each member into the same inner
layer. The container alone is privileged as far as making those layers takes it; members have nothing of that. A
rootless daemon will do. The daemon must see this machine's files: one in another machine (Docker Desktop, DOCKER_HOST
over the network) does not.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import secrets
import shutil
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
from anyio.abc import Process

from evals.errors import EnvironmentFault, Fault
from evals.sandboxes.job import (
    CAPABILITIES,
    GRACE_SECONDS,
    SHOWN,
    Laid,
    answer_in,
    find_bwrap,
    finished,
    kit_command,
    lay,
    probe,
    system_links,
    tools_job,
)
from evals.sandboxes.pipe import end_by_input, session
from evals.types import MIB, Finished, Job, Session

LABEL = "evals-sandbox"
"""Every container of ours has it."""

_IMAGE = "evals-sandbox:1"
_FIRST_UID, _LAST_UID = 1_600_000_000, 1_616_000_000
_FIRST_UID_ROOTLESS, _LAST_UID_ROOTLESS = 10_000, 60_000
"""A rootless daemon has some 65,000 users to give."""

_MOST_PROCESSES = 4096
_SUPERVISOR_BYTES = 512 * MIB
_UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined", "label=disable")

_REMEDY = """docker could not make a sandbox on this machine: {reason}
What helps:
- a daemon that runs, and that this user may ask: docker info
- a daemon that sees this machine's files: not one of another machine, and not Docker Desktop
- without Docker: --sandbox bubblewrap, the default, needs user namespaces and nothing else"""


def _asked(*words: str, given: bytes | None = None) -> str:
    """The answer of Docker's client; `EnvironmentFault` with the remedy where there is none."""
    try:
        done = subprocess.run(["docker", *words], input=given, capture_output=True, check=False, timeout=GRACE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFault(_REMEDY.format(reason=error)) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-SHOWN:]
        raise EnvironmentFault(_REMEDY.format(reason=said or f"status {done.returncode}"))
    return done.stdout.decode("utf-8", "replace").strip()


def _image() -> bytes:
    """An image without a file: the links of this system, such as `/bin`, and folders that are mounted on."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for target, name in system_links():
            link = tarfile.TarInfo(name.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name in ("box", "tmp", "inputs", "kit"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
    return plain.getvalue()


def _arguments(name: str, laid: Laid, command: tuple[str, ...]) -> list[str]:
    argv = ["docker", "run", "--rm", "--interactive", "--name", name, "--label", LABEL, "--pull", "never"]
    argv += ["--network", "none", "--ipc", "private", "--read-only", "--log-driver", "none", "--workdir", "/"]
    argv += ["--cap-drop", "ALL", *(f"--cap-add={name.removeprefix('CAP_')}" for name in CAPABILITIES)]
    for option in _UNCONFINED:
        argv += ["--security-opt", option]
    programs = [program for program in (laid.job.main, laid.job.service) if program is not None]
    # Tmpfs counts as memory of the container; what each member may hold is the supervisor's to watch.
    memory = _SUPERVISOR_BYTES + 2 * laid.job.disk + 2 * sum(program.limits.memory for program in programs)
    argv += ["--memory", str(memory), "--memory-swap", str(memory), "--pids-limit", str(_MOST_PROCESSES)]
    for place, size in (("/tmp", 64 * MIB), ("/box", 16 * MIB)):
        argv += ["--tmpfs", f"{place}:rw,exec,nosuid,nodev,mode=755,size={size}"]
    for place in ("/box/main", "/box/services"):
        argv += ["--tmpfs", f"{place}:rw,exec,nosuid,nodev,mode=755,size={laid.job.disk}"]
    for source, target in laid.inputs:
        # Quoted as in CSV, since a path may hold a comma.
        argv += ["--mount", f'type=bind,readonly,"source={source}","target={target}"']
    argv += ["--env", "PATH=/usr/bin:/bin", "--entrypoint", command[0]]
    return [*argv, _IMAGE, *command[1:]]


class Docker:
    """Runs jobs in containers of a Docker daemon."""

    name = "docker"

    def __init__(self, *, rootless: bool) -> None:
        self._bwrap = find_bwrap()
        self._users = (_FIRST_UID_ROOTLESS, _LAST_UID_ROOTLESS) if rootless else (_FIRST_UID, _LAST_UID)

    def _spec(self, laid: Laid) -> dict[str, Any]:
        first, last = self._users
        return laid.spec(uid=random.randrange(first, last, 16), held=True)  # noqa: S311

    async def run(self, job: Job) -> Finished:
        """Run a job; cancelling removes the container, and with it everything inside."""
        started = time.monotonic()
        laid = lay(job, self._bwrap)
        with anyio.move_on_after(job.main.limits.wall + GRACE_SECONDS):
            async with _container(laid, "evals.arena.supervisor") as process:
                answer = await _answer(process, self._spec(laid))
            return finished(answer, time.monotonic() - started)
        raise Fault("sandbox", "the supervisor did not answer in time")

    @contextlib.asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Session]:
        """A session; leaving it removes the container, and with it everything inside."""
        laid = lay(tools_job(job), self._bwrap)
        async with (
            _container(laid, "evals.workbench.session") as process,
            session(process, self._spec(laid)) as opened,
        ):
            yield opened


@contextlib.asynccontextmanager
async def _container(laid: Laid, module: str) -> AsyncIterator[Process]:
    """Docker's client with a container of its own, which is gone when the context is left.

    Killed with `evals` itself, the client ends, the container's input with it, and so the supervisor in it.
    """
    name = f"evals-{secrets.token_hex(8)}"
    argv = _arguments(name, laid, kit_command(module))
    # A session of its own: Ctrl-C is for us to handle, and Docker's client would pass it on.
    process = await anyio.open_process(argv, start_new_session=True)
    async with process:
        try:
            yield process
        finally:
            if process.returncode is None:
                with anyio.CancelScope(shield=True):
                    await _removed(process, name)


async def _removed(process: Process, name: str) -> None:
    """End a container, whether it is there already or is still being made.

    Docker's client is left to go on: it alone knows what it has asked for. A container that it still makes has no
    input, and ends at once. Killed between making and starting it, the client would leave it behind.
    """
    assert process.stdin is not None
    await process.stdin.aclose()
    await anyio.run_process(["docker", "rm", "--force", name], check=False)
    if not await end_by_input(process, GRACE_SECONDS):
        await anyio.run_process(["docker", "rm", "--force", name], check=False)


async def _answer(process: Process, spec: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    errors: list[bytes] = []

    async def read_errors(stream: Any) -> None:
        errors.extend([part async for part in stream])

    async with anyio.create_task_group() as group:
        group.start_soon(read_errors, process.stderr)
        with contextlib.suppress(anyio.BrokenResourceError):  # it has ended, and says why
            await process.stdin.send(json.dumps(spec).encode() + b"\n")
        output = b"".join([part async for part in process.stdout])
    return answer_in(output, b"".join(errors), await process.wait())


def create() -> Docker:
    """The sandbox, after a trial run: `EnvironmentFault` with the remedy where there is no daemon that can do it."""
    if shutil.which("docker") is None:
        raise EnvironmentFault(_REMEDY.format(reason="there is no program `docker`"))
    options = _asked("info", "--format", "{{json .SecurityOptions}}")
    if not _asked("images", "--quiet", _IMAGE):
        _asked("import", "-", _IMAGE, given=_image())
    sandbox = Docker(rootless="rootless" in options)
    probe(sandbox, _REMEDY)
    return sandbox
