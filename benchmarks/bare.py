"""A sandbox without a sandbox, for a floor to measure against: the same programs, as plain processes of this machine.

Run as a program it is the supervisor of one job: `bare.py FOLDER` reads the job from standard input, as the real one
does, and runs it below FOLDER. Only deliveries that are known may be run so.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402

from evals.arena import control, helpers, instances, jail, processes, supervisor  # noqa: E402
from evals.arena.spec import Member, Spec, parse  # noqa: E402
from evals.sandboxes import job as jobs  # noqa: E402
from evals.types import Finished, Job  # noqa: E402

_HERE = {
    "from evals.arena.kit.run import main; main()": "from evals.arena.kit import run; "
    "run.CONTROL_SOCKET = '/control/socket'; run.main()",
    "from evals.arena.database import main; main()": "from evals.arena import database; "
    "database._STATE = '/state'; database.main()",
}
"""Programs of ours that name a path of the sandbox, with that path where it can be put elsewhere."""


class Bare(jail.Jail):
    """A member without a layer: paths that it would see are put where they really are."""

    @classmethod
    async def start(
        cls, spec: Spec, member: Member, binds: list[tuple[str, str]], *, uid: int | None, talk: bool = False
    ) -> Bare:
        """Start a member as a plain process."""
        places = {target: source for source, target in (*member.read_only, *binds)} | {"/kit": str(ROOT)}
        # Whole names alone, longest first, each once.
        names = "|".join(re.escape(target) for target in sorted(places, key=len, reverse=True))

        def at(text: str) -> str:
            return re.sub(rf"(?<![\w.-])({names})(?![\w-])", lambda found: places[found[1]], text)

        argv = list(member.argv)
        for ours, here in _HERE.items():
            argv = [word.replace(ours, here) for word in argv]
        argv = [at(word) for word in argv]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=pipe if talk else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe if talk else asyncio.subprocess.STDOUT,
            cwd=at(member.cwd),
            env={name: at(value) for name, value in member.env.items()},
            limit=1 << 22,
        )
        return cls(process, member.limits)

    def kill(self, reason: str = "killed") -> None:
        """End it and its descendants."""
        if self.process.returncode is None:
            self._reason = reason if self._reason == "exit" else self._reason
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """Its processes, the first one first."""
        return [self.process.pid, *processes.descendants(self.process.pid)]


async def _nothing(*_: object) -> None:
    """Files are counted in a sandbox's own file system alone."""


def main() -> None:
    """The supervisor of one job."""
    folder = Path(sys.argv[1])
    for module in (supervisor, control, instances, helpers):
        for name, value in (("ETC", "etc"), ("MAIN", "main"), ("SERVICES", "services"), ("Jail", Bare)):
            if hasattr(module, name):
                setattr(module, name, folder / value if isinstance(value, str) else value)
    supervisor.write_etc()
    supervisor.write_etc = lambda: None
    supervisor.watch_inodes = _nothing
    spec = parse(json.loads(sys.stdin.buffer.readline()))
    asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    print(json.dumps(asyncio.run(supervisor.run(spec))), flush=True)


@dataclass(kw_only=True)
class BareSandbox:
    """Runs jobs as plain processes; `cpu` adds up the seconds of processor time that they took."""

    name: str = "bare"
    cpu: float = 0.0
    _bwrap: Path = field(default_factory=jobs.find_bwrap)

    def _spec(self, job: Job) -> dict[str, Any]:
        laid = jobs.lay(job, self._bwrap)
        text = json.dumps(laid.spec(uid=None))
        for source, target in laid.inputs:
            if target.startswith("/inputs/"):
                text = text.replace(f'"{target}"', json.dumps(source))
        found: dict[str, Any] = json.loads(text)
        if found["service"]:
            found["service"]["preload"] = []  # each service is started as anybody would start it
        return found

    async def run(self, job: Job) -> Finished:
        """Run a job to its end; nothing else runs meanwhile."""
        return await anyio.to_thread.run_sync(self._run, job)

    def _run(self, job: Job) -> Finished:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            given = json.dumps(self._spec(job)).encode() + b"\n"
            process = subprocess.Popen(
                [sys.executable, __file__, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            with process.stdin as to, process.stdout as answers:  # type: ignore[union-attr]
                to.write(given)
                to.close()
                answer = answers.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu += usage.ru_utime + usage.ru_stime
            return jobs.finished(jobs.answer_in(answer, b"", process.returncode), time.perf_counter() - began)


if __name__ == "__main__":
    main()
