"""What a hostile solver leaves in its workspace: regular files within bounds are taken, and nothing else is touched."""

from pathlib import Path

import anyio
import pytest

from evals import workspace
from evals.arena.collection import Collected
from evals.types import Job, Limits, Sandbox, Stack
from tests import backends
from tests.project import ROOT

_LEAVE = r"""
import io, os, signal, socket, stat, tarfile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
os.chdir("/workspace")
open("kept.txt", "w").write("kept")

# links and hard links out of the workspace
os.symlink("/etc/passwd", "link")
os.symlink("..", "up")
os.symlink("self", "self")
for target in ("/etc/passwd", "/usr/bin/env"):
    try:
        os.link(target, "hard-" + os.path.basename(target))
        print("got a hard link")
    except OSError:
        pass
os.link("kept.txt", "twice.txt")

# devices, sockets, FIFOs
try:
    os.mknod("device", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    print("got a device")
except OSError:
    pass
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")

# sparse and huge files, deep folders
with open("sparse", "wb") as file:
    try:
        file.truncate(400 << 20)
    except OSError:
        pass
path = "deep"
for _ in range(60):
    os.mkdir(path)
    path += "/d"
open(path.removesuffix("/d") + "/bottom", "w").close()

# names with line breaks, escapes, and bytes that are no UTF-8
for name in (b"line\nbreak", b"\x1b[2Jclear", b"not-\xff-utf8", b"-rf", b"$(touch owned)"):
    open(name, "wb").close()

# an archive that unpacks outside
with tarfile.open("archive.tar", "w") as tar:
    for name in ("../../outside", "/tmp/outside"):
        member = tarfile.TarInfo(name)
        member.size = 3
        tar.addfile(member, io.BytesIO(b"out"))

# closed to others, and gone while it is looked at
os.mkdir("closed")
open("closed/file", "w").write("x")
os.chmod("closed/file", 0)
os.chmod("closed", 0)
if os.fork() == 0:
    os.setsid()
    while True:
        open("flicker", "w").close()
        os.unlink("flicker")
print("left")
"""


sandbox = backends.each(backends.KINDS)


def left(sandbox: Sandbox, stack: Stack, archive: Path) -> tuple[str, Collected]:
    async def session() -> tuple[str, Collected]:
        job = Job(workspace=archive, main=stack.tool(limits=Limits()))
        async with sandbox.open(job) as opened:
            script = f"cat > /tmp/leave.py <<'END'\n{_LEAVE}\nEND\npython /tmp/leave.py > /tmp/said; cat /tmp/said"
            answer = await opened.call("bash", {"command": script}, seconds=60)
            return answer.output, await opened.collect()

    return anyio.run(session)


def test_only_regular_files_are_taken(sandbox: Sandbox, stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "workspace.tar.gz"
    archive.write_bytes(workspace.archive({"a.txt": b"x"}))
    before = sorted(tmp_path.iterdir())
    said, collected = left(sandbox, stack, archive)
    assert said.strip().endswith("left")
    assert "got" not in said
    taken, dropped = collected.files, "\n".join(collected.dropped)
    assert taken["kept.txt"] == taken["twice.txt"] == b"kept"
    assert taken["closed/file"] == b"x"
    assert not {"link", "up", "self", "fifo", "socket", "device", "sparse", "deep/" + "d/" * 59 + "bottom"} & set(taken)
    assert {"line\nbreak", "\x1b[2Jclear", "-rf", "$(touch owned)", "archive.tar"} <= set(taken)
    for name, why in {
        "link": "a symbolic link",
        "up": "a symbolic link",
        "self": "a symbolic link",
        "fifo": "not a regular file",
        "socket": "not a regular file",
        "sparse": "bytes, more than",
        "not-\\udcff-utf8": "its name is not UTF-8",
    }.items():
        assert any(line.startswith(f"{name}: ") and why in line for line in collected.dropped), (name, dropped)
    # Kept as it is, and read back as it is: nothing is ever unpacked outside, and no name is printed raw.
    again = workspace.read_archive(workspace.archive(taken), "again")
    assert again == dict(taken)
    assert "\x1b" not in dropped
    assert sorted(tmp_path.iterdir()) == before
    assert not Path("/tmp/outside").exists()


def test_an_archive_that_unpacks_outside_is_refused(tmp_path: Path) -> None:
    import io
    import tarfile

    from evals.errors import InputError

    for name, kind in (("../out", tarfile.REGTYPE), ("/out", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w:gz") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO(b""))
        with pytest.raises(InputError, match="is not a regular file of a workspace"):
            workspace.read_archive(plain.getvalue(), "archive.tar.gz")


def test_the_document_tells_of_them() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    for name in ("links and hard links", "devices, sockets and FIFOs", "sparse, huge and countless", "odd names"):
        assert f"| left behind: {name}" in text
