"""A seccomp filter for sandboxed programs: what ordinary programs never need is refused.

Built as classic BPF (`man 2 seccomp`, `struct sock_filter`), since bubblewrap loads a compiled filter.
System call numbers are the kernel's own (`arch/x86/entry/syscalls/syscall_64.tbl`,
`include/uapi/asm-generic/unistd.h`).
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_LOAD, _JEQ, _JGE, _JSET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_NAMESPACE_FLAGS = 0x7E020080  # CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SOCKET_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink

# name: (x86_64, aarch64); None where the architecture lacks it
_REFUSED: dict[str, tuple[int | None, int]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, 1_000_000),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}


@dataclass(frozen=True, kw_only=True)
class _Machine:
    audit: int
    column: int
    clone: int
    clone3: int
    ioctl: int
    socket: int
    has_x32: bool


_MACHINES = {
    "x86_64": _Machine(audit=0xC000003E, column=0, clone=56, clone3=435, ioctl=16, socket=41, has_x32=True),
    "aarch64": _Machine(audit=0xC00000B7, column=1, clone=220, clone3=435, ioctl=29, socket=198, has_x32=False),
}


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _fail(number: int) -> bytes:
    return _step(_RETURN, _ERRNO | number)


def _argument(index: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def _refuse(number: int, error: int) -> bytes:
    return _step(_JEQ, number, 0, 1) + _fail(error)


def _clone_rule(machine: _Machine) -> bytes:
    # clone3 passes its flags in memory, where a filter cannot look: say that it does not exist,
    # and libraries fall back to clone.
    rule = _argument(0) + _step(_JSET, _NAMESPACE_FLAGS, 0, 1) + _fail(errno.EPERM) + _step(_RETURN, _ALLOW)
    return _refuse(machine.clone3, errno.ENOSYS) + _step(_JEQ, machine.clone, 0, 4) + rule


def _ioctl_rule(machine: _Machine) -> bytes:
    rule = _argument(1) + _refuse(_TIOCSTI, errno.EPERM) + _refuse(_TIOCLINUX, errno.EPERM)
    return _step(_JEQ, machine.ioctl, 0, 6) + rule + _step(_RETURN, _ALLOW)


def _socket_rule(machine: _Machine) -> bytes:
    families = b"".join(_step(_JEQ, family, 0, 1) + _step(_RETURN, _ALLOW) for family in _SOCKET_FAMILIES)
    length = 1 + 2 * len(_SOCKET_FAMILIES) + 1
    return _step(_JEQ, machine.socket, 0, length) + _argument(0) + families + _fail(errno.EAFNOSUPPORT)


def program(name: str | None = None) -> bytes:
    """The compiled filter for a machine (`platform.machine()`); raises `KeyError` for an unknown one."""
    machine = _MACHINES[name or platform.machine()]
    steps = _step(_LOAD, _ARCHITECTURE) + _step(_JEQ, machine.audit, 1, 0) + _step(_RETURN, _KILL)
    steps += _step(_LOAD, _NUMBER)
    if machine.has_x32:
        steps += _step(_JGE, 0x40000000, 0, 1) + _fail(errno.ENOSYS)
    for numbers in _REFUSED.values():
        number = numbers[machine.column]
        if number is not None:
            steps += _refuse(number, errno.EPERM)
    steps += _clone_rule(machine) + _ioctl_rule(machine) + _socket_rule(machine)
    return steps + _step(_RETURN, _ALLOW)
