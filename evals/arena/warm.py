"""A supervisor that is ready before its sandbox is: it forks into a sandbox that bubblewrap has made.

Starting an interpreter and importing what a supervisor needs takes longer than all of the isolation. So one process
does that once, outside of any sandbox, and waits. For each job the host makes the outer layer with bubblewrap, which
holds it open, and sends a descriptor of its first process. A child of this process joins that layer's namespaces
(`setns(2)`), gives up all that bubblewrap would have taken, and goes on as the supervisor. It needs only the standard
library, and sees nothing of an agent's but what any supervisor sees.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import struct
import traceback

from evals.arena import supervisor

_NEW_USER = 0x10000000
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,PID,NET}, from `linux/sched.h`."""

_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_LAST_CAPABILITY = 63
_PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 24, 36, 38  # linux/prctl.h
_MAX_DESCRIPTOR = 1 << 16
_MAX_MESSAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _join(target: int, *, user: bool) -> None:
    """Join the namespaces of the process behind a pidfd; children of this one are in its process table."""
    _called(_libc.setns(target, _NAMESPACES | (_NEW_USER if user else 0)), "setns")


def _keep_capabilities(kept: list[int]) -> None:
    """Keep these capabilities alone, for this process and all that it starts."""
    for number in range(_LAST_CAPABILITY + 1):
        if number not in kept:
            # Fails where the kernel has no such capability, and where this process may not: then it has none to lose.
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    bits = sum(1 << number for number in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", low, low, 0, high, high, 0)  # effective, permitted, inheritable
    _called(_libc.capset(header, sets), "capset")
    _called(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _enter(target: int, connection: int, message: dict[str, list[int] | bool]) -> None:
    """Become a supervisor in the sandbox of `target`, that speaks over `connection`. Does not return."""
    assert isinstance(message["capabilities"], list)
    _join(target, user=bool(message["user"]))
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    os.dup2(connection, 0)
    os.dup2(connection, 1)
    os.closerange(3, _MAX_DESCRIPTOR)
    os.environ.clear()
    os.environ["PATH"] = "/usr/bin:/bin"
    os.chdir("/")
    _keep_capabilities(message["capabilities"])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with open(0, "rb", closefd=False) as given, open(1, "w", encoding="utf-8", closefd=False) as answers:
        supervisor.serve(given, answers)
    os._exit(0)


def _child(target: int, connection: int, message: dict[str, list[int] | bool]) -> None:
    """`_enter`, or one line that says why not."""
    try:
        _enter(target, connection, message)
    except BaseException:  # noqa: BLE001 (whatever it is, the host is to know, and nothing may return from here)
        said = json.dumps({"error": traceback.format_exc(limit=-3)[-2000:]})
        os.write(connection, said.encode() + b"\n")
    os._exit(0)


def _await_job(asked: socket.socket) -> None:
    """Wait for a message, and become a supervisor; status 1 where no more will come. Does not return."""
    data, descriptors, _, _ = socket.recv_fds(asked, _MAX_MESSAGE, 2)
    if not data:
        os._exit(1)
    connection, target = descriptors
    _child(target, connection, json.loads(data))


def main() -> None:
    """Keep one child waiting for the next job on standard input, a socket; ends when the host does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host decides what Ctrl-C means
    asked = socket.socket(fileno=0)
    gc.freeze()
    _called(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")
    ended = waiting = status = 0
    while status == 0 or ended != waiting:
        if ended == waiting:
            waiting = os.fork()
            if waiting == 0:
                _await_job(asked)
        # Supervisors are waited for as well: they come to this process when what has forked them ends.
        ended, status = os.waitpid(-1, 0)
