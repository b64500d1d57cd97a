"""A supervisor that is ready before its sandbox is: it forks into a sandbox that bubblewrap has made.

Starting an interpreter and importing what a supervisor needs takes longer than all of the isolation. So one process
does that once, outside of any sandbox, and waits. For each job the host makes the outer layer with bubblewrap, which
holds it open, and sends a descriptor of its first process. A child of this process joins that layer's namespaces
(`setns(2)`), gives up all that bubblewrap would have taken, and goes on as the supervisor. It needs only the standard
library, and sees nothing of an agent's but what any supervisor sees.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import traceback
from typing import NoReturn

from evals.arena import privileges, supervisor
from evals.arena.privileges import NEW_NET, NEW_OTHERS, NEW_USER

_MAX_MESSAGE = 4096


def _enter(target: int, connection: int, message: dict[str, list[int] | bool]) -> NoReturn:
    """Become a supervisor in the sandbox of `target`, that speaks over `connection`. Does not return."""
    assert isinstance(message["capabilities"], list)
    ours = NEW_OTHERS | NEW_NET | (NEW_USER if message["user"] else 0)
    privileges.join(target, ours)
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    os.dup2(connection, 0)
    os.dup2(connection, 1)
    privileges.close_descriptors()
    os.environ.clear()
    os.environ["PATH"] = "/usr/bin:/bin"
    os.chdir("/")
    privileges.keep_capabilities(message["capabilities"])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with open(0, "rb", closefd=False) as given, open(1, "w", encoding="utf-8", closefd=False) as answers:
        supervisor.serve(given, answers)


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
    privileges.be_subreaper()
    ended = waiting = status = 0
    while status == 0 or ended != waiting:
        if ended == waiting:
            waiting = os.fork()
            if waiting == 0:
                _await_job(asked)
        # Supervisors are waited for as well: they come to this process when what has forked them ends.
        ended, status = os.waitpid(-1, 0)
