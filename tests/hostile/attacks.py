"""The attacks: a small program each, what must come of it, and what contains it (the table of docs/security.md)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A program in Python, with a workspace where it needs one. One that prints `got` has got what it must not get.

    `reasons` are ways in which it may end, `says` is a word that its output must hold.
    """

    name: str
    contained_by: str
    source: str
    reasons: tuple[str, ...] = ("exit",)
    says: str = "held"
    limits: Mapping[str, float] = field(default_factory=dict)
    workspace: bool = False


def _attack(name: str, contained_by: str, source: str, **more: object) -> Attack:
    return Attack(name=name, contained_by=contained_by, source=textwrap.dedent(source), **more)  # type: ignore[arg-type]


_SYSCALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def refused(*call):
    # EPERM, EACCES, ENOSYS: not just something wrong with what was asked.
    return libc.syscall(*call) == -1 and ctypes.get_errno() in (1, 13, 38)
"""

ATTACKS = (
    _attack(
        "fork bomb",
        "a limit on processes",
        """
        import os, time
        count = 0
        try:
            while True:
                if os.fork() == 0:
                    time.sleep(30)
                count += 1
        except OSError:
            print("held" if count < 600 else "got", flush=True)
            os._exit(0)
        """,
        limits={"processes": 64},
    ),
    _attack(
        "memory, anonymous",
        "a limit on address space, and the supervisor",
        """
        held = []
        try:
            while True:
                held.append(bytearray(16 * 1024 * 1024))
                if len(held) > 64:
                    print("got")
                    break
        except MemoryError:
            print("held")
        """,
        reasons=("memory", "exit"),
        says="",
        limits={"memory": 256 * MIB},
    ),
    _attack(
        "memory, in files of tmpfs",
        "a sized tmpfs",
        """
        try:
            with open("/tmp/big", "wb", buffering=0) as file:
                for _ in range(4096):
                    file.write(b"x" * (1 << 20))
            print("got")
        except OSError as error:
            print("held", error.errno)
        """,
        limits={"file_size": 8 * 1024 * MIB},
    ),
    _attack(
        "memory, in the page cache",
        "a sized tmpfs, the supervisor; what is read from read-only mounts is the kernel's to drop",
        """
        import mmap, os
        read = 0
        for folder, _, names in os.walk("/usr/lib"):
            for name in names:
                try:
                    with open(os.path.join(folder, name), "rb") as file:
                        read += len(file.read())
                except OSError:
                    pass
            if read > 512 << 20:
                break
        try:
            with open("/tmp/mapped", "wb+") as file:
                file.truncate(1 << 30)
                with mmap.mmap(file.fileno(), 1 << 30) as pages:
                    for at in range(0, 1 << 30, 4096):
                        pages[at] = 1
            print("got")
        except (OSError, ValueError) as error:
            print("held", error)
        """,
        # Touching a page for which there is no room ends the process with SIGBUS.
        reasons=("exit", "memory"),
        says="",
        limits={"file_size": 2 * 1024 * MIB},
    ),
    _attack(
        "filling the disk",
        "a sized tmpfs",
        """
        import errno, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        written = 0
        try:
            for number in range(1000):
                with open(f"/workspace/{number}", "wb", buffering=0) as file:
                    for _ in range(8):
                        written += file.write(bytes(1 << 20))
            print("got")
        except OSError as error:
            print("held" if error.errno == errno.ENOSPC and written <= 64 << 20 else "got", error, written)
        """,
        workspace=True,
    ),
    _attack(
        "filling the disk with empty files",
        "the supervisor, which counts files",
        """
        import os
        for folder in range(1000):
            os.mkdir(f"/workspace/{folder}")
            for number in range(1000):
                open(f"/workspace/{folder}/{number}", "w").close()
        print("got")
        """,
        reasons=("inodes",),
        says="",
        workspace=True,
    ),
    _attack(
        "one huge file",
        "a limit on file size",
        """
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            with open("/tmp/big", "wb", buffering=0) as file:
                for _ in range(64):
                    file.write(b"x" * (1 << 20))
            print("got")
        except OSError as error:
            print("held", error.errno)
        """,
        limits={"file_size": 8 * MIB},
    ),
    _attack(
        "a sparse file",
        "a limit on file size",
        """
        import os, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with open("/tmp/sparse", "wb") as file:
            try:
                os.ftruncate(file.fileno(), 1 << 40)
                print("got")
            except OSError as error:
                print("held", error.errno)
        """,
    ),
    _attack(
        "open files",
        "a limit on descriptors",
        """
        held = []
        try:
            while len(held) < 5000:
                held.append(open("/dev/null"))
            print("got")
        except OSError as error:
            del held
            print("held", error.errno)
        """,
    ),
    _attack(
        "a busy loop",
        "a limit on CPU time",
        "while True: pass",
        reasons=("cpu", "exit"),
        says="",
        limits={"cpu": 1},
    ),
    _attack(
        "sleeping for ever",
        "the supervisor's wall clock",
        "import time\ntime.sleep(3600)",
        reasons=("wall",),
        says="",
        limits={"wall": 1.5},
    ),
    _attack(
        "ignoring signals",
        "SIGKILL to all of a process namespace",
        """
        import signal, time
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        time.sleep(3600)
        """,
        reasons=("wall",),
        says="",
        limits={"wall": 1.5},
    ),
    _attack(
        "a daemon that outlives its parent",
        "the process namespace, which ends with its first process",
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(3600)
            os._exit(0)
        print("held")
        """,
    ),
    _attack(
        "gigabytes of output",
        "the middle of output is dropped",
        """
        import sys
        try:
            for _ in range(2000):
                sys.stdout.write("x" * 1_000_000)
        finally:
            print("\\nheld")
        """,
    ),
    _attack(
        "output that is no UTF-8, and terminal escapes",
        "output is data: decoded with replacement, shown without control characters",
        """
        import os
        os.write(1, b"\\xff\\xfe\\x1b[2J\\x1b]0;owned\\x07 held\\n")
        """,
    ),
    _attack(
        "deep folders",
        "bounded collection, and nothing of the host to fill",
        """
        import os
        os.chdir("/tmp")
        depth = 0
        try:
            for depth in range(3000):
                os.mkdir("d")
                os.chdir("d")
        except OSError:
            pass
        print("held", depth)
        """,
    ),
    _attack(
        "links and hard links out of the sandbox",
        "a mount namespace without the host's files",
        """
        import os
        for target in ("/etc/shadow", "/root/.ssh/id_rsa", "/home", "/box", "/inputs"):
            os.symlink(target, "/tmp/link")
            try:
                print("got", open("/tmp/link").read()[:20])
            except OSError:
                pass
            os.unlink("/tmp/link")
            try:
                os.link(target, "/tmp/hard")
                print("got")
            except OSError:
                pass
        print("held")
        """,
    ),
    _attack(
        "device nodes",
        "no capability, nodev",
        """
        import os, stat
        try:
            os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
            open("/tmp/disk", "rb").read(1)
            print("got")
        except OSError as error:
            print("held", error.errno)
        """,
    ),
    _attack(
        "other trials' files",
        "a mount namespace with what this trial needs",
        """
        import os
        got = []
        for folder, names, files in os.walk("/"):
            if folder.startswith(("/proc", "/usr", "/dev", "/sys")):
                names.clear()
                continue
            found = (*names, *files)
            got += [f"{folder}/{name}" for name in found if name in ("trials", "fixtures", ".scratch")]
            got += [f"{folder}/{name}" for name in files if name.endswith(("events.jsonl", "trajectory.json"))]
        print(f"got {got}" if got else "held")
        """,
        workspace=True,
    ),
    _attack(
        "the processes of others",
        "a process namespace",
        """
        import os
        seen = [name for name in os.listdir("/proc") if name.isdigit()]
        mine = {str(os.getpid()), str(os.getppid()), "1", "2"}
        print("held" if set(seen) <= mine else f"got {seen}")
        """,
    ),
    _attack(
        "keys in the environment and in files",
        "a cleared environment, no home",
        """
        import os
        text = repr(os.environ) + "".join(
            open(f"/proc/{name}/environ", errors="replace").read()
            for name in os.listdir("/proc") if name.isdigit() and os.access(f"/proc/{name}/environ", os.R_OK)
        )
        keys = (".ssh", ".aws", ".netrc", ".config", ".docker", ".pypirc", ".npmrc", ".claude", ".gitconfig")
        homes = ["/root", *(f"/home/{name}" for name in (os.listdir("/home") if os.path.isdir("/home") else ()))]
        found = [f"{home}/{key}" for home in homes for key in keys if os.path.exists(f"{home}/{key}")]
        print("got" if "ANTHROPIC" in text or found else "held", found)
        """,
    ),
    _attack(
        "writing to the system and the packages",
        "read-only mounts",
        """
        import os, sys
        wrote = []
        for folder in ("/usr/lib", "/etc", "/bin", sys.prefix, os.path.dirname(os.__file__), "/kit"):
            try:
                with open(f"{folder}/owned", "w"):
                    wrote.append(folder)
            except OSError:
                pass
        print(f"got {wrote}" if wrote else "held")
        """,
    ),
    _attack(
        "ptrace",
        "seccomp",
        _SYSCALL + 'print("held" if refused(101, 16, os.getppid(), 0, 0) else "got")',
    ),
    _attack(
        "keyrings",
        "seccomp",
        _SYSCALL + 'print("held" if refused(248, b"user", b"k", b"v", 1, -2) and refused(250, 0, -3, 0) else "got")',
    ),
    _attack(
        "mounting",
        "no capability, seccomp",
        _SYSCALL + 'print("held" if refused(165, b"none", b"/tmp", b"tmpfs", 0, None) else "got")',
    ),
    _attack(
        "user namespaces within",
        "no further namespaces, seccomp",
        _SYSCALL + 'print("held" if refused(272, 0x10000000) and refused(272, 0x00020000) else "got")',
    ),
    _attack(
        "changing the root",
        "no capability, seccomp",
        _SYSCALL + 'print("held" if refused(161, b"/tmp") and refused(155, b"/tmp", b"/tmp") else "got")',
    ),
    _attack(
        "io_uring",
        "seccomp",
        _SYSCALL + 'print("held" if refused(425, 8, ctypes.create_string_buffer(256)) else "got")',
    ),
    _attack(
        "BPF and perf events",
        "seccomp",
        _SYSCALL
        + 'print("held" if refused(321, 5, ctypes.create_string_buffer(128), 128) '
        + 'and refused(298, ctypes.create_string_buffer(128), 0, -1, -1, 0) else "got")',
    ),
    _attack(
        "changing the clock",
        "no capability, seccomp",
        _SYSCALL + 'print("held" if refused(227, 0, ctypes.create_string_buffer(16)) else "got")',
    ),
    _attack(
        "kernel modules and rebooting",
        "no capability, seccomp",
        _SYSCALL
        + 'print("held" if refused(175, b"", 0, b"") and refused(169, 0xFEE1DEAD, 672274793, 0x1234567, 0) else "got")',
    ),
    _attack(
        "raw and packet sockets",
        "no capability, seccomp",
        """
        import socket
        got = []
        for family, kind in ((socket.AF_INET, socket.SOCK_RAW), (17, socket.SOCK_RAW), (16, socket.SOCK_RAW), (38, 5)):
            try:
                socket.socket(family, kind, 1 if kind == socket.SOCK_RAW else 0)
                got.append(family)
            except (OSError, ValueError):
                pass
        print(f"got {got}" if got else "held")
        """,
    ),
    _attack(
        "the network, and name servers",
        "a network namespace with loopback alone",
        """
        import socket
        socket.setdefaulttimeout(2)
        for try_it in (
            lambda: socket.create_connection(("192.0.2.1", 80)),
            lambda: socket.create_connection(("169.254.169.254", 80)),
            lambda: socket.getaddrinfo("example.com", 80),
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.53", 53)),
        ):
            try:
                try_it()
                print("got")
            except OSError:
                pass
        print("held")
        """,
    ),
    _attack(
        "services of the host on loopback",
        "a network namespace with loopback alone",
        """
        import os, socket
        port, got = int(os.environ["HOST_PORT"]), []
        for address in ("127.0.0.1", "::1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family) as to:
                try:
                    to.settimeout(2)
                    to.connect((address, port))
                    got.append(address)
                except OSError:
                    pass
        print(f"got {got}" if got else "held")
        """,
    ),
    _attack(
        "Unix sockets of the host",
        "a mount namespace, and a network namespace for abstract names",
        """
        import os, socket
        for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/systemd/private", "/run/dbus/system_bus_socket"):
            try:
                socket.socket(socket.AF_UNIX).connect(path)
                print("got", path)
            except OSError:
                pass
        with open("/proc/net/unix") as file:
            names = [line.split()[-1] for line in file]
        for name in names:
            if name.startswith(("@", "/")):
                try:
                    to = socket.socket(socket.AF_UNIX)
                    to.connect(name.replace("@", chr(0), 1))
                    print("got", name)
                except OSError:
                    pass
        print("held" if not any(name.startswith("@") for name in names) else "got")
        """,
    ),
    _attack(
        "typing into the terminal (TIOCSTI)",
        "a session of its own, seccomp",
        """
        import fcntl, os
        got = 0
        for number in (0, 1, 2):
            try:
                fcntl.ioctl(number, 0x5412, b"x")
                got += 1
            except OSError:
                pass
        try:
            os.open("/dev/tty", os.O_RDWR)
            got += 1
        except OSError:
            pass
        print("got" if got else "held")
        """,
    ),
    _attack(
        "becoming another user",
        "no capability, no new privileges",
        """
        import os, subprocess
        got = []
        for call in (lambda: os.setuid(0), lambda: os.setgroups([0]), lambda: os.chown("/tmp", 0, 0)):
            try:
                call()
                got.append(call)
            except OSError:
                pass
        with open("/proc/self/status") as file:
            status = dict(line.split(":", 1) for line in file if ":" in line)
        caps = [status[name].strip() for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")]
        held = set(caps) == {"0" * 16} and status["NoNewPrivs"].strip() == "1"
        print("held" if held and os.getuid() != 0 or held and not got else f"got {caps} {got}")
        """,
    ),
    _attack(
        "the control channel and the mail sink's workings",
        "sockets that are mounted for the checks alone",
        """
        import glob, os, socket
        got = [path for path in ("/control", "/control/socket", "/run/control") if os.path.exists(path)]
        for port in (1025, 18000, 18001):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1)
                got.append(port)
            except OSError:
                pass
        print(f"got {got}" if got else "held")
        """,
    ),
    _attack(
        "shared memory and queues of others",
        "an IPC namespace",
        """
        with open("/proc/sysvipc/shm") as shm, open("/proc/sysvipc/msg") as msg:
            print("held" if len(shm.readlines()) + len(msg.readlines()) == 2 else "got")
        """,
    ),
)
