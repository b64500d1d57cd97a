"""One member of the sandbox: a program in namespaces of its own, with limits, under watch."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evals.arena import processes
from evals.arena.spec import Limits, Member, Spec

SANDBOX_ID = 1000
"""The user and group that a member sees itself as."""

_POLL_SECONDS = 0.1
_DATA_FACTOR = 4
_LOWEST = 19
"""The priority of what runs in the background (`man 7 sched`)."""

_TMP_BYTES = 256 * 1024 * 1024


class Output:
    """What a member prints: the beginning and the end are kept, the middle is counted and dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self.total += len(data)
        room = self._limit // 2 - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        del self._tail[: max(0, len(self._tail) - self._limit // 2)]

    def text(self) -> str:
        """What was kept, with a note where something was cut; bytes that are no UTF-8 are replaced."""
        dropped = self.total - len(self._head) - len(self._tail)
        note = f"\n[... {dropped} bytes cut ...]\n".encode() if dropped else b""
        return bytes(self._head + note + self._tail).decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a member ended: `reason` is `exit` or the limit that it ran into."""

    reason: str
    status: int


def arguments(spec: Spec, member: Member, binds: list[tuple[str, str]], *, nests: bool = False) -> list[str]:
    """The bubblewrap command line of one member's layer. With `nests`, layers can be made within."""
    argv = [spec.bwrap, "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    argv += ["--unshare-cgroup-try", "--hostname", "sandbox", *([] if nests else ["--disable-userns"])]
    argv += ["--uid", str(SANDBOX_ID), "--gid", str(SANDBOX_ID)]
    argv += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in member.env.items():
        argv += ["--setenv", name, value]
    # First, since an interpreter or an environment may lie below the host's /tmp.
    argv += ["--size", str(_TMP_BYTES), "--tmpfs", "/tmp"]
    for source, target in (*spec.system, *member.read_only):
        argv += ["--ro-bind", source, target]
    for target, name in spec.links:
        argv += ["--symlink", target, name]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    argv += ["--size", str(_TMP_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    for source, target in binds:
        argv += ["--bind", source, target]
    return [*argv, "--remount-ro", "/", "--chdir", member.cwd]


def bounds(limits: Limits) -> dict[int, int]:
    """The kernel's limits for each process, by their numbers."""
    return {
        resource.RLIMIT_CPU: limits.cpu,
        # Not RLIMIT_AS: runtimes that reserve address space (Node, Java) break under it. With room to
        # spare, since thread stacks count whole; what is really used is bounded by the watcher.
        resource.RLIMIT_DATA: _DATA_FACTOR * limits.memory,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_NOFILE: limits.files,
        resource.RLIMIT_FSIZE: limits.file_size,
        resource.RLIMIT_CORE: 0,
    }


def _set_limits(limits: Limits, *, background: bool) -> Callable[[], None]:
    wanted = bounds(limits)

    def apply() -> None:
        if background:
            os.nice(_LOWEST)
        for kind, bound in wanted.items():
            resource.setrlimit(kind, (bound, bound))

    return apply


def _in_background(root: int) -> bool:
    """Give what runs below a process the lowest priority as a group; whether that is done.

    Where the kernel shares out by sessions (`man 7 sched`, autogroups), what a process asks for counts within its own
    session alone. Bubblewrap has made one by the time there are several processes below.
    """
    below = list(processes.descendants(root))
    if len(below) < 2:
        return False
    try:
        with open(f"/proc/{below[-1]}/autogroup", "w") as file:
            file.write(str(_LOWEST))
    except BlockingIOError:
        return False  # others have asked for such a change a moment ago
    except OSError:
        pass  # there are no such groups, or it has ended
    return True


def _seccomp_file(spec: Spec) -> int:
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, base64.b64decode(spec.seccomp))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Jail:
    """A running member. Start it with `Jail.start`; `wait` tells how it ended."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits, *, background: bool = False) -> None:
        self.process = process
        self.output = Output(limits.output)
        self._limits = limits
        self._background = background
        self._reason = "exit"
        self._peak_memory = 0
        self._reader = asyncio.create_task(self._read())
        self._watcher = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        spec: Spec,
        member: Member,
        binds: list[tuple[str, str]],
        *,
        uid: int | None,
        talk: bool = False,
        nests: bool = False,
        keep: tuple[int, ...] = (),
    ) -> Jail:
        """Start a member with `binds` (host path, path inside) writable.

        `uid` is the user to become where the supervisor is root. With `talk`, the member's standard
        input and output stay with the caller, and only its standard error is kept. With `nests`, it may make layers
        within its own, and has no seccomp filter: only for programs of ours. Descriptors in `keep` stay open.
        """
        filters = () if nests else (_seccomp_file(spec),)
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments(spec, member, binds, nests=nests),
                *(word for descriptor in filters for word in ("--add-seccomp-fd", str(descriptor))),
                *("--", *member.argv),
                stdin=pipe if talk else asyncio.subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe if talk else asyncio.subprocess.STDOUT,
                pass_fds=(*filters, *keep),
                preexec_fn=_set_limits(member.limits, background=member.background),
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
                env={},
                limit=1 << 22,
            )
        finally:
            for descriptor in filters:
                os.close(descriptor)
        return cls(process, member.limits, background=member.background)

    async def _read(self) -> None:
        stream = self.process.stderr or self.process.stdout
        assert stream is not None
        while data := await stream.read(65536):
            self.output.feed(data)

    async def _watch(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._limits.wall
        while self.process.returncode is None:
            if self._background:
                self._background = not _in_background(self.process.pid)
            memory = self.memory()
            self._peak_memory = max(self._peak_memory, memory)
            if memory > self._limits.memory:
                self.kill("memory")
            elif asyncio.get_running_loop().time() > deadline:
                self.kill("wall")
            await asyncio.sleep(_POLL_SECONDS)

    def kill(self, reason: str = "killed") -> None:
        """End the member and all that it started: its pid namespace dies with bubblewrap's monitor.

        Killed while it still sets up, the monitor would leave a child behind that waits for it for ever, and holds our
        pipes: so it is stopped first, and its descendants are killed with it.
        """
        if self.process.returncode is not None:
            return
        # The first reason is why it ends.
        self._reason = reason if self._reason == "exit" else self._reason
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGSTOP)
            for pid in (*processes.descendants(self.process.pid), self.process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """The member's own processes, without bubblewrap's monitor and init."""
        return list(processes.descendants(self.process.pid))[1:]

    def terminate(self) -> None:
        """Ask the member's first process to end (SIGTERM)."""
        for pid in self.pids()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def memory(self) -> int:
        """Bytes of anonymous memory that the member holds now."""
        return sum(processes.anonymous_memory(pid) for pid in self._watched())

    def _watched(self) -> Iterable[int]:
        """All of its processes, and those that only hold its layer."""
        return processes.descendants(self.process.pid)

    def peak_memory(self) -> int:
        """The most that it held so far: by sampling, and as the kernel counted it."""
        return max(self._peak_memory, processes.peak_anonymous_memory(self._watched()))

    async def wait(self) -> Ended:
        """Wait until nothing of the member is left, and its output is read."""
        status = await self.process.wait()
        self._watcher.cancel()
        await self._reader
        if self._reason == "exit" and status == 128 + signal.SIGXCPU:
            self._reason = "cpu"
        return Ended(reason=self._reason, status=status)

    async def wait_at_most(self, seconds: float) -> None:
        """Wait for the end, or for `seconds`, whichever comes first."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), seconds)
