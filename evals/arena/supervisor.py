"""The first process of a sandbox: reads a job, runs its main member, answers with one JSON object.

It is the only process that sees the whole sandbox. What the agent wrote runs below it in a jail of
its own and can't reach it: no shared process table, no shared file system, no signal.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import stat
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO

from evals.arena.control import Control
from evals.arena.jail import Jail
from evals.arena.places import ETC, MAIN, Owner, unpack
from evals.arena.spec import Broken, Collect, Spec, parse

_INODE_POLL_SECONDS = 0.25


def write_etc() -> None:
    """The few files under /etc that ordinary programs look for."""
    ETC.mkdir(parents=True)
    ETC.joinpath("passwd").write_text("root:x:0:0::/:/bin/false\nagent:x:1000:1000::/tmp:/bin/sh\n")
    ETC.joinpath("group").write_text("root:x:0:\nagent:x:1000:\n")
    ETC.joinpath("hosts").write_text("127.0.0.1 localhost sandbox\n::1 localhost\n")
    ETC.joinpath("nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")


def uncover_proc() -> None:
    """As root: mount a second, plain `/proc`.

    The kernel lets an inner layer mount one of its own only where a wholly visible one can be seen
    already, and bubblewrap covers parts of the outer layer's when it runs as root.
    """
    import ctypes

    target = b"/box/proc"
    os.makedirs(target)
    libc = ctypes.CDLL(None, use_errno=True)
    flags = 0x2 | 0x4 | 0x8  # MS_NOSUID | MS_NODEV | MS_NOEXEC
    if libc.mount(b"proc", target, b"proc", ctypes.c_ulong(flags), None) != 0:
        raise OSError(ctypes.get_errno(), "cannot mount /box/proc")


def read_bounded(path: Path, limit: int) -> bytes | None:
    """The start of a regular file that a member wrote, or None; never waits on a pipe or a device."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def host_path(inside: str) -> Path:
    """Where the supervisor finds what the main member sees at `inside`."""
    for prefix, place in (("/workspace/", MAIN / "workspace"), ("/results/", MAIN / "results")):
        if inside.startswith(prefix):
            return place / inside.removeprefix(prefix)
    raise ValueError(f"cannot collect {inside}: only /workspace and /results are kept")


def collected(wanted: tuple[Collect, ...]) -> dict[str, str]:
    """The contents of the files asked for, base64, without those that are not there."""
    found = {}
    for item in wanted:
        data = read_bounded(host_path(item.path), item.limit)
        if data is not None:
            found[item.name] = base64.b64encode(data).decode()
    return found


async def watch_inodes(jail: Jail, spec: Spec) -> None:
    """Tmpfs bounds bytes, not files: count them, and end what makes too many."""
    while True:
        usage = os.statvfs(MAIN)
        if usage.f_files - usage.f_ffree > spec.inodes:
            jail.kill("inodes")
        await asyncio.sleep(_INODE_POLL_SECONDS)


async def run(spec: Spec) -> dict[str, Any]:
    """Run the main member to its end."""
    owner = Owner(spec.uid)
    write_etc()
    if spec.uid is not None:
        uncover_proc()
    binds = [(owner.folder(MAIN / "results", "main"), "/results")]
    if spec.main.workspace:
        unpack(spec.workspace or "", MAIN / "workspace")
        binds.append((owner.tree(MAIN / "workspace", "main"), "/workspace"))
    control = Control(spec, owner)
    if spec.main.control:
        binds.append((await control.listen(), "/control"))
    jail = await Jail.start(spec, spec.main, binds, uid=owner.uid("main"))
    inodes = asyncio.create_task(watch_inodes(jail, spec))
    ended = await jail.wait()
    inodes.cancel()
    services = await control.close()
    return {
        "reason": ended.reason,
        "status": ended.status,
        "output": jail.output.text(),
        "peak_memory": jail.peak_memory(),
        "files": collected(spec.collect),
        "services": services,
    }


def _end_with(given: BinaryIO) -> None:
    """End with all that runs here when the host's end of the input is closed: it has ended, or wants no answer."""
    given.read()
    os._exit(1)


def serve(given: BinaryIO, answers: TextIO) -> NoReturn:
    """Read one job, a line, write its result, a line, and end this process."""
    spec = parse(json.loads(given.readline()))
    if spec.held:
        threading.Thread(target=_end_with, args=(given,), daemon=True).start()
    if sys.version_info < (3, 12):  # later releases do so by themselves: no thread for each process that is waited for
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    try:
        asyncio.run(_answer(spec, answers))
    except BaseException as error:  # noqa: BLE001 (whatever it is, the host is to read it)
        said = str(error) if isinstance(error, Broken) else traceback.format_exc(limit=-3)
        print(json.dumps({"error": said}), file=answers, flush=True)
    os._exit(1)


async def _answer(spec: Spec, answers: TextIO) -> NoReturn:
    print(json.dumps(await run(spec)), file=answers, flush=True)
    # Nothing is left to do, and the interpreter would take its time over that, or wait for whoever reads its input.
    os._exit(0)


def main() -> None:
    """Serve over standard input and output."""
    serve(sys.stdin.buffer, sys.stdout)
