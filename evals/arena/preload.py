"""Services that start with their packages loaded: forks of one process that has done that once, each in its own layer.

Most of a service's start is importing packages that it has in common with every other start. This process, in a member
of its own, imports them once. For each instance a child asks bubblewrap for the layer that the instance would have had
anyway, joins it (`setns(2)`), gives up every privilege, puts itself under the seccomp filter and its limits, and goes
on as `python -m MODULE`. Nothing of a delivery is ever loaded here: only by children that have gone where it may be.

It is started as `python -c ... DESCRIPTOR MODULE...`, answers with one line of top-level names that are loaded now, and
takes a message for each instance: JSON, with the descriptors of a connection and of where the instance's output goes.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from evals.arena import privileges
from evals.arena.privileges import NEW_OTHERS, NEW_USER

_MAX_MESSAGE = 1 << 17
_HOLDER = "/bin/cat"
_CHILD_PID = "child-pid"
_READY = "ready"
_NAMESPACES = "/proc/sys/user/max_user_namespaces"


class _Layer:
    """A layer of bubblewrap's that stands open, for one instance. An instance closes its plain descriptors with all."""

    def __init__(self, arguments: list[str]) -> None:
        (to, say), (hear, answer), info = os.pipe(), os.pipe(), os.memfd_create("info")
        os.set_inheritable(info, True)
        command = [*arguments, "--info-fd", str(info), "--", _HOLDER]
        given = [(os.POSIX_SPAWN_DUP2, to, 0), (os.POSIX_SPAWN_DUP2, answer, 1)]
        self.process = os.posix_spawn(command[0], command, {}, file_actions=given)
        for descriptor in (to, answer):
            os.close(descriptor)
        os.write(say, b"\n")  # it ends when this end is closed
        if os.read(hear, 1) != b"\n":
            raise OSError("bubblewrap made no layer")
        self.first = int(json.loads(os.pread(info, _MAX_MESSAGE, 0))[_CHILD_PID])

    def end(self) -> None:
        """End it, and all that runs in it."""
        for pid in (self.first, self.process):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _confine(job: dict[str, Any]) -> None:
    """Give up what joining the layer took, for good."""
    with suppress(OSError), open(_NAMESPACES, "w") as file:
        file.write("0")
    for kind, bound in job["limits"].items():
        resource.setrlimit(int(kind), (bound, bound))
    privileges.keep_capabilities()
    privileges.be_dumpable()
    privileges.filter_calls(bytes.fromhex(job["seccomp"]))


def _set_environment(env: dict[str, str], cwd: str) -> None:
    coerced = os.environ.get("LC_CTYPE")  # Python's own doing where nothing says what the locale is (PEP 538)
    os.environ.clear()
    os.environ.update(env, PWD=cwd)  # as bubblewrap does
    if coerced and not {"LC_ALL", "LC_CTYPE", "LANG"} & set(env):
        os.environ["LC_CTYPE"] = coerced
    time.tzset()


class _Gate:
    """Between an instance and its guardian: it says that it is ready, and waits until it may go on."""

    def __init__(self) -> None:
        (self._hear, self._say), (self._wait, self._let) = os.pipe(), os.pipe()

    def say(self, word: str) -> None:
        """In the instance, or what makes it: say a word."""
        os.write(self._say, f"{word}\n".encode())

    def pass_through(self) -> None:
        """In the instance: wait; it ends with its guardian."""
        os.close(self._let)
        if not os.read(self._wait, 1):
            os._exit(1)

    def heard(self) -> int | None:
        """In the guardian: the instance's process, once it is ready; None where it has ended before."""
        os.close(self._say)
        said = b""
        while said.count(b"\n") < 2 and (part := os.read(self._hear, 64)):
            said += part
        words = said.decode().split()  # of two processes, in either order
        return next(int(word) for word in words if word != _READY) if _READY in words else None

    def open(self) -> None:
        """In the guardian: let it go on."""
        os.write(self._let, b"\n")


def _become(job: dict[str, Any], layer: _Layer, output: int, gate: _Gate) -> bool:
    """In the instance's own process: be what it would be after an `exec`. True there; elsewhere false.

    The process between goes at once, so that the guardian, which reaps what is orphaned, is the parent. Whatever fails
    here ends the process without the word that it is ready.
    """
    if os.fork() != 0:
        return False
    try:
        os.setsid()
        privileges.join(os.pidfd_open(layer.first), NEW_OTHERS | NEW_USER)
        pid = os.fork()
        if pid != 0:
            gate.say(str(pid))
            os._exit(0)
        null = os.open("/dev/null", os.O_RDONLY)
        for descriptor, number in ((null, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, number)
        os.chdir(job["cwd"])
        _set_environment(job["env"], job["cwd"])
        _confine(job)
        gate.say(_READY)
        gate.pass_through()
        privileges.close_descriptors()
    except BaseException:  # noqa: BLE001 (nothing may go on as this process does)
        os._exit(1)
    return True


def _guard(job: dict[str, Any], connection: socket.socket, output: int) -> bool:
    """Make an instance, and tell how it goes on and ends. True in the instance itself; elsewhere it does not return.

    It goes on once the supervisor, which is told of its processes, has found them.
    """
    privileges.be_subreaper()
    layer, gate = _Layer(job["layer"]), _Gate()
    if _become(job, layer, output, gate):
        connection.detach()  # closed with all others, and its number is another file's by now
        return True
    os.close(output)
    pid = gate.heard()
    status = 1
    if pid is not None:
        found = {"pid": pid, "layer": layer.process, "first": layer.first}
        connection.sendall(json.dumps(found).encode() + b"\n")
        if connection.recv(1):
            gate.open()
            status = _ended(pid)
    layer.end()
    connection.sendall(json.dumps({"status": status}).encode() + b"\n")
    os._exit(0)


def _ended(pid: int) -> int:
    """Reap what comes until it is this one; its exit status, above 128 for a signal."""
    ended = 0
    while ended != pid:
        ended, status = os.waitpid(-1, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _instance(asked: socket.socket) -> dict[str, Any] | None:
    """Fork for each message; the job in an instance, None at the end."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(asked, _MAX_MESSAGE, 2)
        if not data:
            return None
        connection, output = descriptors
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            job: dict[str, Any] = json.loads(data)
            asked.close()
            try:
                if _guard(job, socket.socket(fileno=connection), output):
                    return job
            except Exception as error:  # noqa: BLE001 (nothing may go on as this process does)
                with suppress(OSError):
                    os.write(output, f"{error!r}\n".encode())
            os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def main() -> dict[str, Any] | None:
    """Load, and wait for instances; returns a job in the process that is to run it, which is in its layer then."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    for name in sys.argv[2:]:
        with suppress(ImportError):
            importlib.import_module(name)
    sys.path.remove("/kit")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.collect()
    gc.freeze()
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    asked.sendall(json.dumps(loaded).encode())
    return _instance(asked)
