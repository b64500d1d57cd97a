"""The tool `bash`: one shell that lives as long as the trial, and commands with a time limit.

A command is read from a file, and what it prints goes to a file. So a server that it leaves in the background holds
no pipe of ours: the shell is waited for, never its children.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from evals.arena import processes
from evals.workbench.answers import ToolError, cut


class Shell:
    """A bash process. `run` gives what a command printed, or raises `ToolError` with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._statuses = self._pipe = -1
        self._where = "/workspace"

    def _start(self) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            cwd=self._where if os.path.isdir(self._where) else "/workspace",
        )
        os.close(writing)
        self._process, self._statuses, self._pipe = process, reading, writing
        return process

    def _tell(self, text: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # A shell that has ended is noticed when its status is read.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(text.encode("utf-8", "surrogateescape"))
            self._process.stdin.flush()

    def restart(self) -> str:
        """End the shell and all that it started."""
        self._end(keep=set())
        self._start()
        return "The shell was started anew; everything that the old one ran has ended."

    def run(self, command: str, seconds: float) -> str:
        """Run a command for so long at most."""
        process = self._process or self._start()
        before = set(processes.descendants(process.pid))
        self._count += 1
        script, output = (self._folder / f"{self._count}.{kind}" for kind in ("sh", "out"))
        script.write_bytes(command.encode("utf-8", "surrogateescape"))
        self._tell(
            f"{{ source {script}; }} </dev/null >{output} 2>&1 {self._pipe}>&-\n"
            f'printf "%s %s\\n" $? "$PWD" >&{self._pipe}\n'
        )
        try:
            status = self._status(seconds)
        except TimeoutError:
            self._end(keep=before)
            printed = _printed(output)
            raise ToolError(
                f"{printed}\n[no end within {seconds:g} s: the command was killed, and the shell is new]"
            ) from None
        finally:
            script.unlink(missing_ok=True)
        printed = _printed(output)
        if status is None:
            # It ended by itself (`exit`, `exec`): what it left in the background goes on.
            code = process.wait()
            self._forget()
            raise ToolError(f"{printed}\n[the shell has ended with status {code}; the next command gets a new one]")
        if status != 0:
            raise ToolError(f"{printed}\n[exit status {status}]")
        return printed or "[no output]"

    def _status(self, seconds: float) -> int | None:
        """The command's exit status; None where its shell has ended. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._statuses], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            piece = os.read(self._statuses, 65536)
            if not piece:
                return None
            line += piece
        status, _, where = line.decode("utf-8", "surrogateescape").rstrip("\n").partition(" ")
        self._where = where or self._where
        # The pipe is open to whatever the agent runs: a line that is not ours is a failed command.
        return int(status) if status.isdigit() else 1

    def _end(self, keep: set[int]) -> None:
        """Kill the shell and what it runs, but for what ran before."""
        if self._process is None:
            return
        found = [pid for pid in processes.descendants(self._process.pid) if pid not in keep]
        for pid in (self._process.pid, *found):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._forget()

    def _forget(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        os.close(self._statuses)
        self._process = None


def _printed(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return cut(file)
    except OSError:
        return ""


def create() -> Shell:
    """A shell whose files lie in a folder of its own."""
    return Shell(Path(tempfile.mkdtemp(prefix="shell-")))
