"""The host's end of supervisors that are ready before their sandbox is (`evals.arena.warm`)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from evals.errors import Fault
from evals.sandboxes.job import checked

_PIECE = 1 << 16


async def _send(connection: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[connection.send(left) :]
        except BlockingIOError:
            await anyio.wait_writable(connection)


async def _line(connection: socket.socket) -> bytes:
    """What comes up to the first line break, or to the end."""
    parts: list[bytes] = []
    while not (parts and parts[-1].endswith(b"\n")):
        try:
            part = connection.recv(_PIECE)
        except BlockingIOError:
            await anyio.wait_readable(connection)
            continue
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


class Warm:
    """Makes supervisors by forking one process, which is started when it is first needed, and anew when it has died."""

    def __init__(self, command: Sequence[str], capabilities: Sequence[int]) -> None:
        self._command = list(command)
        self._message = {"user": os.geteuid() != 0, "capabilities": list(capabilities)}
        self._asked: socket.socket | None = None
        self._pid = -1

    def start(self) -> None:
        """Begin to get ready, so that the first job waits less."""
        if self._asked is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            null = os.open(os.devnull, os.O_RDWR)
            redirected = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
            redirected += [(os.POSIX_SPAWN_DUP2, null, number) for number in (1, 2)]
            # Not `subprocess`: nobody waits for this process, which ends when our end of the socket is closed.
            self._pid = os.posix_spawn(self._command[0], self._command, {}, file_actions=redirected)
            os.close(null)
        self._asked = ours

    def close(self) -> None:
        """Let it end."""
        if self._asked is not None:
            self._asked.close()
            self._asked = None
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)

    def __del__(self) -> None:
        self.close()

    def _fork(self, target: int, connection: socket.socket) -> None:
        self.start()
        assert self._asked is not None
        message = json.dumps(self._message).encode()
        socket.send_fds(self._asked, [message], [connection.fileno(), target])

    async def ask(self, pid: int, spec: dict[str, Any]) -> dict[str, Any]:
        """The answer of a supervisor in the sandbox of a process to a job; `Fault` where there is none."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                target = os.pidfd_open(pid)
                try:
                    self._fork(target, theirs)
                except OSError:  # it has died; once more with a new one
                    self.close()
                    self._fork(target, theirs)
                finally:
                    os.close(target)
            try:
                await _send(ours, json.dumps(spec).encode() + b"\n")
                answer: dict[str, Any] = json.loads(await _line(ours))
            except (OSError, ValueError):
                raise Fault("sandbox", "the supervisor ended without an answer") from None
        return checked(answer)


def command(interpreter: Path, package_root: Path) -> list[str]:
    """How the process is started: our interpreter, and nothing of its environment."""
    code = f"import sys; sys.path.append({str(package_root)!r}); from evals.arena.warm import main; main()"
    return [str(interpreter), "-I", "-S", "-B", "-c", code]
