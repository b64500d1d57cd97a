"""Joining namespaces, and giving up privileges, by the kernel's own calls."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

NEW_USER = 0x10000000
NEW_NET = 0x40000000
NEW_OTHERS = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x20000000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,PID}; all from `linux/sched.h`."""

_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_LAST_CAPABILITY = 63
_SET_DUMPABLE, _SET_SECCOMP, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 4, 22, 24, 36, 38  # linux/prctl.h
_SECCOMP_MODE_FILTER = 2
_BPF_STEP = 8
_MAX_DESCRIPTOR = 1 << 16

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, value: int, what: str) -> None:
    _called(_libc.prctl(option, value, 0, 0, 0), what)


def join(target: int, namespaces: int) -> None:
    """Join namespaces of the process behind a pidfd (`setns(2)`); children of this one are in its process table."""
    _called(_libc.setns(target, namespaces), "setns")


def keep_capabilities(kept: Iterable[int] = ()) -> None:
    """Keep these capabilities alone, for this process and all that it starts, and gain no new privileges."""
    kept = set(kept)
    for number in range(_LAST_CAPABILITY + 1):
        if number not in kept:
            # Fails where the kernel has no such capability, and where this process may not: then it has none to lose.
            _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0)
    bits = sum(1 << number for number in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", low, low, 0, high, high, 0)  # effective, permitted, inheritable
    _called(_libc.capset(header, sets), "capset")
    _prctl(_SET_NO_NEW_PRIVS, 1, "no_new_privs")


def filter_calls(program: bytes) -> None:
    """Put this process and all that it starts under a compiled seccomp filter (`struct sock_fprog`)."""
    kept = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HL", len(program) // _BPF_STEP, ctypes.addressof(kept))
    _called(_libc.prctl(_SET_SECCOMP, _SECCOMP_MODE_FILTER, described, 0, 0), "seccomp")


def close_descriptors() -> None:
    """Close all but standard input, output and errors."""
    os.closerange(3, _MAX_DESCRIPTOR)


def be_subreaper() -> None:
    """Descendants whose parent ends come to this process, which can wait for them."""
    _prctl(_SET_CHILD_SUBREAPER, 1, "subreaper")


def be_dumpable() -> None:
    """As after an `exec`: the process may read its own files below `/proc`."""
    _prctl(_SET_DUMPABLE, 1, "dumpable")
