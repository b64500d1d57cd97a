"""Faults of the machine in the middle of a run: nothing that has finished is lost, none is scored, all are told."""

import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from evals.arena.processes import descendants
from evals.errors import Fault
from evals.sandboxes import bubblewrap
from evals.types import Job, Limits, Program, Sandbox
from tests.project import ROOT, Evals, leftovers, wait_for

RUN = ("run", "--agent", "toy", "--solver", "oracle", "--jobs", "1")
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk of its own")


def sleeper(seconds: float, wall: float) -> Job:
    program = Program(argv=("/bin/sleep", str(seconds)), env={}, cwd="/", workspace=False, limits=Limits(wall=wall))
    return Job(workspace=None, main=program)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def supervisors(pid: int, runs: str = "sleep") -> list[int]:
    """The one that has entered a sandbox, and runs such a program there."""
    ready = [child for child in descendants(pid) if "evals.arena.warm" in command_line(child) and is_inside(child)]
    return [child for child in ready if any(runs in command_line(below) for below in descendants(child))][-1:]


def is_inside(pid: int) -> bool:
    """Whether a process is in a process table of its own: what it was forked from has the same command line."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("NSpid:") and len(line.split()) > 2 for line in lines)


async def during(sandbox: Sandbox, job: Job, act: Callable[[], None]) -> str:
    """What becomes of a job while which something is done to it."""
    async with anyio.create_task_group() as group:

        async def disturb() -> None:
            await anyio.to_thread.run_sync(act)

        group.start_soon(disturb)
        try:
            told: str = (await sandbox.run(job)).reason
        except Fault as fault:
            told = fault.reason
    return told


def kill(number: signal.Signals, find: Callable[[], list[int]]) -> Callable[[], None]:
    def act() -> None:
        for pid in wait_for(find, every=0.01):
            os.kill(pid, number)

    return act


def test_a_ready_supervisor_that_has_died_is_replaced() -> None:
    sandbox = bubblewrap.create()
    waiting = [pid for pid in descendants(os.getpid()) if "evals.arena.warm" in command_line(pid)]
    assert waiting
    for pid in waiting:
        os.kill(pid, signal.SIGKILL)
    done = anyio.run(sandbox.run, sleeper(0, 10))
    assert (done.reason, done.status) == ("exit", 0)


def test_a_supervisor_that_is_killed_is_a_fault() -> None:
    sandbox = bubblewrap.create()
    told = anyio.run(during, sandbox, sleeper(20, 30), kill(signal.SIGKILL, lambda: supervisors(os.getpid())))
    assert told == "the supervisor ended without an answer"
    assert not [pid for pid in descendants(os.getpid()) if "sleep" in command_line(pid)]


def test_a_layer_that_is_killed_is_a_fault() -> None:
    sandbox = bubblewrap.create()

    def layers() -> list[int]:
        return [pid for pid in descendants(os.getpid()) if "--info-fd" in command_line(pid)] if inside() else []

    def inside() -> list[int]:
        return [pid for pid in descendants(os.getpid()) if command_line(pid).startswith("/bin/sleep 20")]

    told = anyio.run(during, sandbox, sleeper(20, 30), kill(signal.SIGKILL, layers))
    assert told == "the supervisor ended without an answer"
    wait_for(lambda: not inside())


@pytest.mark.slow
def test_a_supervisor_that_hangs_is_a_fault() -> None:
    sandbox = bubblewrap.create()
    told = anyio.run(during, sandbox, sleeper(20, 1), kill(signal.SIGSTOP, lambda: supervisors(os.getpid())))
    assert told == "the supervisor did not answer in time"
    wait_for(lambda: not supervisors(os.getpid()))


@pytest.mark.slow
def test_a_fault_in_a_run_is_recorded_and_tried_again(evals: Evals, end_group) -> None:
    process = evals.start(*RUN, "--epochs", "2")
    end_group.append(process)
    kill(signal.SIGKILL, lambda: supervisors(process.pid, "uvicorn"))()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 3, output
    assert "the supervisor ended without an answer" in output
    faults = [trial["fault"] for trial in evals.trials()]
    assert len(faults) == 2
    assert len([fault for fault in faults if fault]) == 1
    again = json.loads(evals(*RUN, "--epochs", "2", "--json").stdout)
    assert [trial["fault"] for trial in again["trials"]] == [None, None]


@pytest.mark.slow
def test_a_preloading_process_that_dies_is_a_fault_and_no_failed_check(evals: Evals, end_group) -> None:
    process = evals.start(*RUN)
    end_group.append(process)

    def serving() -> list[int]:
        lines = {pid: command_line(pid) for pid in descendants(process.pid)}
        found = [
            pid for pid, line in lines.items() if "evals.arena.preload" in line and line.split()[0].endswith("python")
        ]
        time.sleep(0.2 if len(found) >= 3 else 0)  # until an instance goes on
        return found[:1] if len(found) >= 3 else []  # the one that has made the others

    kill(signal.SIGKILL, serving)()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 3, output
    assert "the process that services are forked from has died" in output
    assert json.loads(evals(*RUN, "--json").stdout)["trials"][0]["fault"] is None


def mounted(evals: Evals, options: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with a disk of its own at `disk`; `$run` in it is a run that keeps its trials there."""
    (evals.folder / "disk").mkdir()
    run = " ".join(f"'{word}'" for word in evals.command(*RUN, "--output", "disk/reports", "--epochs", "4"))
    mount = f"mount -t tmpfs -o {options} none disk"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{mount} && {script.replace('$run', run)}"],
        cwd=evals.folder,
        env=evals.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@AS_ROOT
def test_a_disk_that_fills_up_loses_no_finished_trial(evals: Evals) -> None:
    listed = "find disk -name '*-1.json' | sort | xargs sha256sum"
    done = mounted(
        evals,
        "size=64k",
        f"$run; echo status $?; {listed}; mount -o remount,size=64m disk; $run; echo status $?; {listed}",
    )
    first, _, second = done.stdout.partition("status 2\n")
    assert second, done.stdout + done.stderr
    kept = [line for line in second.split("status 0\n")[0].splitlines() if line.endswith(".json")]
    every = [line for line in second.split("status 0\n")[1].splitlines() if line.endswith(".json")]
    assert 1 <= len(kept) < 4, done.stdout
    assert len(every) == 4
    assert set(kept) <= set(every)
    assert "No space left on device; what has finished is kept: make room and run the same command" in done.stderr
    assert "Traceback" not in done.stderr
    assert first.count("composite") <= 1


@AS_ROOT
def test_an_output_that_is_read_only_is_told(evals: Evals) -> None:
    done = mounted(evals, "ro", "$run")
    assert done.returncode == 2
    assert "cannot write to the output folder disk/reports: Read-only file system" in done.stderr


@AS_ROOT
def test_a_cache_that_is_read_only_is_told(evals: Evals) -> None:
    done = mounted(evals, "ro", "EVALS_CACHE=disk $run --output elsewhere")
    assert done.returncode == 2
    assert "cannot write the cache disk: Read-only file system" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
def test_a_clock_that_jumps_changes_nothing(evals: Evals, end_group) -> None:
    clock = evals.folder / "clock"
    clock.write_text("+0")
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    faked = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    process = evals.start(*RUN, "--epochs", "3", **faked, FAKETIME_DONT_FAKE_MONOTONIC="1")
    end_group.append(process)
    for number in range(200):
        clock.write_text(("-3d", "+40d", "-1d")[number % 3])
        time.sleep(0.05)
        if process.poll() is not None:
            break
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    trials = evals.trials()
    assert len(trials) == 3
    days = {str(trial[name])[:10] for trial in trials for name in ("started_at", "finished_at")}
    assert len(days) > 1, "the clock did not jump"
    for trial in trials:
        assert all(0 <= seconds < 60 for seconds in trial["timings"].values())  # type: ignore[attr-defined]
    assert evals(*RUN, "--epochs", "3").stderr.count("are in reports already") == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="setns is named by its number")
def test_where_joining_is_refused_supervisors_are_started_in_their_sandbox() -> None:
    source = """
import anyio, ctypes
from evals.arena import privileges
from evals.sandboxes import bubblewrap
from evals.types import Job, Program
import struct
step = lambda code, value, yes=0, no=0: struct.pack("HBBI", code, yes, no, value)
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
# Whatever calls setns (308) is refused, as by the profile of many a container; all else goes on.
privileges.filter_calls(step(0x20, 0) + step(0x15, 308, 0, 1) + step(0x06, 0x50001) + step(0x06, 0x7FFF0000))
sandbox = bubblewrap.create()
program = Program(argv=("/bin/echo", "works"), env={}, cwd="/", workspace=False)
print(sandbox.warm, anyio.run(sandbox.run, Job(workspace=None, main=program)).output)
"""
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.split() == ["False", "works"], done.stderr


_STARTS = """
import anyio
from evals.sandboxes import bubblewrap
from evals.types import Job, Program
program = Program(argv=("/bin/true",), env={}, cwd="/", workspace=False)
sandbox = bubblewrap.Bubblewrap()

async def again() -> None:
    while True:
        await sandbox.run(Job(workspace=None, main=program))

async def main() -> None:
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(again)

anyio.run(main)
"""


@pytest.mark.slow
def test_a_kill_while_layers_are_made_leaves_none() -> None:
    moments = random.Random(11)
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", _STARTS],
            env={"PYTHONPATH": str(ROOT)},
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0.3, 0.6))
        process.kill()
        process.wait()
        wait_for(lambda session=process.pid: leftovers(session) == [], 10)  # type: ignore[misc]
