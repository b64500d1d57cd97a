"""The sandbox on this machine, for real: what a hostile program sees and what ends it."""

import os
import socket
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from evals import workspace
from evals.sandboxes import job, seccomp
from evals.types import MIB, Finished, Job, Limits, Program, Sandbox, Stack
from tests import backends
from tests.project import ROOT, Evals

PATH = {"PATH": "/usr/bin:/bin"}


sandbox = backends.each(backends.NAMES)


def shell(sandbox: Sandbox, script: str, **limits: float) -> Finished:
    bounds = replace(Limits(wall=20), **limits)  # type: ignore[arg-type]
    program = Program(argv=("/bin/sh", "-c", script), env=PATH, cwd="/", workspace=False, limits=bounds)
    return anyio.run(sandbox.run, Job(workspace=None, main=program))


def python(sandbox: Sandbox, source: str, **limits: float) -> Finished:
    bounds = replace(Limits(wall=20), **limits)  # type: ignore[arg-type]
    argv = (str(job.interpreter()), "-I", "-S", "-c", textwrap.dedent(source))
    program = Program(argv=argv, env=PATH, cwd="/", workspace=False, limits=bounds)
    return anyio.run(sandbox.run, Job(workspace=None, main=program))


def test_a_program_runs_and_tells_its_status(sandbox: Sandbox) -> None:
    done = shell(sandbox, "echo out; echo err >&2; exit 7")
    assert (done.reason, done.status) == ("exit", 7)
    assert done.output == "out\nerr\n"


def test_the_environment_is_clean(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    seen = shell(sandbox, "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'").output
    assert "secret" not in seen
    assert "PATH=/usr/bin:/bin" in seen


def test_the_host_is_out_of_sight(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("host-secret")
    done = shell(sandbox, f"cat {tmp_path}/key {ROOT}/README.md /etc/shadow /kit/evals/__init__.py; ls /box /inputs")
    assert "host-secret" not in done.output
    assert done.output.count("No such file") == 6


def test_nothing_but_its_own_folders_can_be_written(sandbox: Sandbox) -> None:
    done = shell(sandbox, "for p in / /usr /etc /dev /proc; do touch $p/x 2>/dev/null && echo wrote $p; done; echo end")
    assert done.output == "end\n"


def test_only_its_own_processes_are_seen(sandbox: Sandbox) -> None:
    done = shell(sandbox, "ls /proc | grep -c '^[0-9]'")
    assert int(done.output) <= 5


def test_the_network_is_loopback_alone(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = python(
            sandbox,
            f"""
            import socket
            for address in (("127.0.0.1", {port}), ("192.0.2.1", 80)):
                try:
                    socket.create_connection(address, timeout=3)
                    print("connected", address)
                except OSError as error:
                    print("refused")
            print(sorted(name for _, name in socket.if_nameindex()))
            """,
        )
    assert done.output.splitlines() == ["refused", "refused", "['lo']"]


def test_no_capability_is_held_and_none_can_be_had(sandbox: Sandbox) -> None:
    done = shell(
        sandbox, "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; unshare -U true; mount -t tmpfs x /tmp"
    )
    fields = dict(line.split(":\t") for line in done.output.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert done.status != 0


def test_refused_system_calls_fail_and_the_rest_works(sandbox: Sandbox) -> None:
    done = python(
        sandbox,
        """
        import ctypes, socket, threading
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (101, 321, 425, 272, 165, 250):  # ptrace, bpf, io_uring_setup, unshare, mount, keyctl
            print(libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())
        try:
            socket.socket(17, socket.SOCK_RAW)
        except OSError as error:
            print("packet", error.errno)
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        """,
    )
    assert done.output.splitlines() == ["-1 1"] * 6 + ["packet 97", "thread"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_filter_is_whole_instructions_whose_jumps_stay_inside(machine: str) -> None:
    code = seccomp.program(machine)
    assert len(code) % 8 == 0
    steps = [(code[i] | code[i + 1] << 8, code[i + 2], code[i + 3]) for i in range(0, len(code), 8)]
    for place, (kind, if_true, if_false) in enumerate(steps):
        if kind & 7 == 5:
            assert place + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 6


def test_wall_time_is_bounded(sandbox: Sandbox) -> None:
    assert shell(sandbox, "trap '' TERM INT HUP; while :; do sleep 1; done", wall=1).reason == "wall"


def test_cpu_time_is_bounded(sandbox: Sandbox) -> None:
    done = shell(sandbox, "while :; do :; done", cpu=1, wall=15)
    assert done.reason in ("cpu", "exit")
    assert done.status != 0


def test_memory_of_one_process_is_bounded(sandbox: Sandbox) -> None:
    done = python(sandbox, "x = b'a' * 3_000_000_000", memory=200 * MIB)
    assert "MemoryError" in done.output


def test_memory_of_many_processes_is_bounded(sandbox: Sandbox) -> None:
    source = """
    import os, time
    for _ in range(10):
        if os.fork() == 0:
            x = b"a" * 60_000_000
            time.sleep(30)
    time.sleep(30)
    """
    assert python(sandbox, source, memory=200 * MIB).reason == "memory"


def test_a_fork_bomb_is_bounded_and_leaves_others_alone(sandbox: Sandbox) -> None:
    done = shell(sandbox, "f() { f | f & }; f; sleep 2; echo alive", processes=64, wall=10)
    assert done.seconds < 20


def test_processes_that_detach_themselves_end_too(sandbox: Sandbox) -> None:
    mark = f"31{os.getpid()}"
    shell(sandbox, f"(setsid sh -c 'sleep {mark}' >/dev/null 2>&1 &); (sleep {mark} &); echo done")
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1


def test_endless_output_is_cut_in_the_middle(sandbox: Sandbox) -> None:
    done = shell(sandbox, "echo first; head -c 50000000 /dev/zero; echo last", output=10_000)
    assert done.output.startswith("first")
    assert done.output.endswith("last\n")
    assert "bytes cut" in done.output
    assert len(done.output) < 11_000


def test_output_that_is_no_text_is_kept_readable(sandbox: Sandbox) -> None:
    assert "\ufffd" in shell(sandbox, "printf 'a\\377b'").output


def test_disk_and_file_sizes_are_bounded(sandbox: Sandbox, stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "w.tar.gz"
    archive.write_bytes(workspace.archive({"x": b"1"}))
    source = "import os\nfor n in range(8):\n    open(f'f{n}', 'wb').write(b'x' * (8 << 20))\n"
    program = stack.tool("-c", source, limits=Limits(wall=20))
    done = anyio.run(sandbox.run, Job(workspace=archive, main=program, disk=16 * MIB))
    assert "No space left on device" in done.output
    big = stack.tool("-c", "open('f', 'wb').write(b'x' * (8 << 20))", limits=Limits(wall=20, file_size=MIB))
    assert "File too large" in anyio.run(sandbox.run, Job(workspace=archive, main=big)).output


def test_countless_files_are_bounded(sandbox: Sandbox, stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "w.tar.gz"
    archive.write_bytes(workspace.archive({"x": b"1"}))
    source = "n = 0\nwhile True:\n    open(f'f{n}', 'w').close()\n    n += 1\n"
    program = stack.tool("-c", source, limits=Limits(wall=30))
    assert anyio.run(sandbox.run, Job(workspace=archive, main=program, inodes=2000)).reason == "inodes"


def test_files_are_handed_back_and_links_are_not(sandbox: Sandbox, stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "w.tar.gz"
    archive.write_bytes(workspace.archive({"data": b"old"}))
    source = """if True:
        import os
        open("/results/a", "w").write("A" * 100)
        os.symlink("/etc/passwd", "/results/b")
        os.mkfifo("/results/c")
        open("data", "w").write("new")
    """
    program = stack.tool("-c", source, limits=Limits(wall=20))
    collect = {"a": "/results/a", "b": "/results/b", "c": "/results/c", "data": "/workspace/data", "gone": "/results/z"}
    done = anyio.run(sandbox.run, Job(workspace=archive, main=program, collect=collect, collect_bytes=10))
    assert dict(done.files) == {"a": b"A" * 10, "data": b"new"}
    assert workspace.read_archive(archive.read_bytes(), "x") == {"data": b"old"}


def test_the_packages_cannot_be_changed(sandbox: Sandbox, stack: Stack, tmp_path: Path) -> None:
    archive = tmp_path / "w.tar.gz"
    archive.write_bytes(workspace.archive({"x": b"1"}))
    source = "import fastapi, os\nprint(fastapi.__version__)\nopen(fastapi.__file__, 'a')\n"
    done = anyio.run(sandbox.run, Job(workspace=archive, main=stack.tool("-c", source, limits=Limits(wall=20))))
    assert "Read-only file system" in done.output or "Permission denied" in done.output


def test_cancelling_ends_everything(sandbox: Sandbox) -> None:
    mark = f"32{os.getpid()}"

    async def cancelled() -> None:
        with anyio.move_on_after(1):
            program = Program(argv=("/bin/sh", "-c", f"sleep {mark}"), env=PATH, cwd="/", workspace=False)
            await sandbox.run(Job(workspace=None, main=program))

    anyio.run(cancelled)
    assert subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, check=False).returncode == 1


def test_what_runs_in_the_background_gives_way(sandbox: Sandbox) -> None:
    script = "sleep 1; cat /proc/self/autogroup 2>/dev/null; nice"
    program = Program(argv=("/bin/sh", "-c", script), env=PATH, cwd="/", workspace=False)
    usual = anyio.run(sandbox.run, Job(workspace=None, main=program)).output
    given_way = anyio.run(sandbox.run, Job(workspace=None, main=replace(program, background=True))).output
    assert usual.splitlines()[-1] == "0"
    assert given_way.splitlines()[-1] == "19"
    assert all(line.endswith("nice 19") for line in given_way.splitlines()[:-1])


def test_a_machine_without_namespaces_is_told_the_remedy(evals: Evals) -> None:
    command = " ".join(f"'{word}'" for word in evals.command("run", "--agent", "toy", "--solver", "nop"))
    script = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {command}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script],
        cwd=evals.folder,
        env=evals.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "bubblewrap could not make a sandbox on this machine" in done.stderr
    assert "apparmor_restrict_unprivileged_userns" in done.stderr
    assert evals.trials() == []


def _readable_by_all() -> bool:
    places = (ROOT, Path(sys.prefix), job.interpreter())
    return all(
        parent.stat().st_mode & 0o005 for place in places for parent in (place, *place.parents) if place.exists()
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; elsewhere all tests run as one")
def test_an_ordinary_user_has_the_same_sandbox() -> None:
    if not _readable_by_all():
        pytest.skip("the interpreter or the project is closed to other users on this machine")
    source = (
        "import anyio\nfrom evals.sandboxes import bubblewrap\nfrom evals.types import Job, Program\n"
        "p = Program(argv=('/bin/sh', '-c', 'id -u; ls /proc | grep -c ^[0-9]; unshare -U true; echo $?'), "
        "env={'PATH': '/usr/bin:/bin'}, cwd='/', workspace=False)\n"
        "print(anyio.run(bubblewrap.create().run, Job(workspace=None, main=p)).output)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        user=65534,
        group=65534,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
    )
    assert done.stdout.splitlines()[0] == "1000", done.stderr
    assert done.stdout.splitlines()[-2] == "1"
