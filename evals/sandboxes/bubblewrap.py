"""The default sandbox: bubblewrap in two layers, as root and as an ordinary user.

The outer layer has its own network (loopback alone), process table and file system, and runs our
supervisor (`evals.arena`). Each member runs in an inner layer with a process table and file system of
its own, no capability, a seccomp filter and limits. Ending the outer layer ends everything in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

import evals
from evals.errors import Fault
from evals.sandboxes import warm
from evals.sandboxes.job import (
    CAPABILITIES,
    GRACE_SECONDS,
    SHOWN,
    Laid,
    answer_in,
    find_bwrap,
    finished,
    interpreter,
    kit_command,
    lay,
    probe,
    system_links,
    tools_job,
)
from evals.sandboxes.pipe import end_by_input, session
from evals.types import Finished, Job, Session

_FIRST_UID = 1_600_000_000
_END_SECONDS = 5.0
_INFO_BYTES = 4096
_HOLDER = ("/bin/cat",)
"""Holds an outer layer open: it says what it is told, which shows that the layer is there, and ends with its input."""

_REMEDY = """bubblewrap could not make a sandbox on this machine: {reason}
What helps:
- Ubuntu 23.10 and later: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
- Debian 10 and earlier: sudo sysctl -w kernel.unprivileged_userns_clone=1
- where Docker runs: --sandbox docker, or EVALS_SANDBOX=docker
- in a container: start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined
  --security-opt systempaths=unconfined, or with --privileged
- macOS and Windows: run inside a Linux virtual machine (WSL 2 on Windows)"""


def _parents(targets: list[str]) -> list[str]:
    """Folders above mount points. Made explicitly, since those that bubblewrap makes are closed to others."""
    found = {str(parent) for target in targets for parent in Path(target).parents}
    return sorted(found - {"/"})


def _outer_arguments(bwrap: Path, laid: Laid, command: tuple[str, ...], info: int | None = None) -> list[str]:
    argv = [str(bwrap), "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    # A holder ends with its input. Killed with its parent while it still sets up, bubblewrap would leave a child behind
    # that waits for it for ever.
    argv += ["--info-fd", str(info)] if info is not None else ["--die-with-parent"]
    if os.geteuid() == 0:
        for capability in CAPABILITIES:
            argv += ["--cap-add", capability]
    else:
        argv.append("--unshare-user")
    argv += ["--setenv", "PATH", "/usr/bin:/bin", "--tmpfs", "/tmp"]
    for folder in _parents([target for _, target in laid.inputs]):
        argv += ["--dir", folder]
    for source, target in laid.inputs:
        argv += ["--ro-bind", source, target]
    for target, name in system_links():
        argv += ["--symlink", target, name]
    argv += ["--proc", "/proc", "--dev", "/dev", "--dir", "/box"]
    for place in ("/box/main", "/box/services"):
        argv += ["--size", str(laid.job.disk), "--tmpfs", place]
    return [*argv, "--chdir", "/", "--", *command]


def _spec(laid: Laid) -> dict[str, Any]:
    # A range of users of its own for each sandbox, so that process limits, which the kernel counts by
    # user, are not shared between them.
    first = _FIRST_UID + 16 * random.randrange(1_000_000)  # noqa: S311
    return laid.spec(uid=first if os.geteuid() == 0 else None)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Fault("sandbox", f"could not start bubblewrap: {error}") from error


class Bubblewrap:
    """Runs jobs under bubblewrap."""

    name = "bubblewrap"

    def __init__(self) -> None:
        self._bwrap = find_bwrap()
        self.warm = hasattr(os, "pidfd_open")
        """Whether supervisors are forked from one that is ready; some systems refuse that."""
        self._has_worked = False
        package = Path(evals.__file__).resolve().parent
        capabilities = list(CAPABILITIES.values()) if os.geteuid() == 0 else []
        self._ready = warm.Warm(warm.command(interpreter(), package.parent), capabilities)

    async def run(self, job: Job) -> Finished:
        """Run a job; cancelling kills the outer layer, and with it everything inside."""
        started = time.monotonic()
        with anyio.move_on_after(job.main.limits.wall + GRACE_SECONDS), _translated():
            laid = lay(job, self._bwrap)
            return finished(await self._answer(laid), time.monotonic() - started)
        raise Fault("sandbox", "the supervisor did not answer in time")

    async def _answer(self, laid: Laid) -> dict[str, Any]:
        """By the supervisor that is to be had: what has never worked here is tried once."""
        if self.warm:
            try:
                answer = await self._answer_warm(laid)
            except Fault:
                if self._has_worked:
                    raise
                self.warm = False
            else:
                self._has_worked = True
                return answer
        return await self._answer_cold(laid)

    async def _answer_cold(self, laid: Laid) -> dict[str, Any]:
        """By a supervisor that is started in the outer layer."""
        argv = _outer_arguments(self._bwrap, laid, kit_command("evals.arena.supervisor"))
        done = await anyio.run_process(argv, input=json.dumps(_spec(laid)).encode() + b"\n", check=False, env={})
        return answer_in(done.stdout, done.stderr, done.returncode)

    async def _answer_warm(self, laid: Laid) -> dict[str, Any]:
        """By a supervisor that is ready, and enters the outer layer."""
        self._ready.start()
        async with _layer(self._bwrap, laid) as pid:
            return await self._ready.ask(pid, _spec(laid))

    @contextlib.asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Session]:
        """A session; leaving it ends the outer layer, and with it everything inside."""
        laid = lay(tools_job(job), self._bwrap)
        argv = _outer_arguments(self._bwrap, laid, kit_command("evals.workbench.session"))
        with _translated():
            process = await anyio.open_process(argv, env={})
        async with process, session(process, _spec(laid)) as opened:
            yield opened


@contextlib.asynccontextmanager
async def _layer(bwrap: Path, laid: Laid) -> AsyncIterator[int]:
    """An outer layer that stands open; its first process. Leaving it ends everything in it."""
    # Not a pipe: writing to one whose reader has died would kill bubblewrap, and leave a child that waits for it.
    info = os.memfd_create("info")
    try:
        argv = _outer_arguments(bwrap, laid, _HOLDER, info=info)
        process = await anyio.open_process(argv, env={}, pass_fds=(info,))
        async with process:
            try:
                yield await _first_process(process, info)
            finally:
                with anyio.CancelScope(shield=True):
                    await end_by_input(process, _END_SECONDS)
    finally:
        os.close(info)


async def _first_process(process: Process, info: int) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send(b"\n")
        await process.stdout.receive()
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        assert process.stderr is not None
        said = b"".join([part async for part in process.stderr])
        tail = said.decode("utf-8", "replace").strip()[-SHOWN:]
        raise Fault("sandbox", f"bubblewrap ended with status {await process.wait()}: {tail}") from None
    return int(json.loads(os.pread(info, _INFO_BYTES, 0))["child-pid"])


def create() -> Bubblewrap:
    """The sandbox, after a trial run: `EnvironmentFault` with the remedy where the machine refuses it."""
    sandbox = Bubblewrap()
    probe(sandbox, _REMEDY)
    return sandbox
