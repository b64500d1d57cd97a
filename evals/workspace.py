"""Workspaces: collected files, deterministic archives, and their digests."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from evals import digests
from evals.arena.collection import JUNK, MAX_FILE_BYTES, Collected, collect
from evals.errors import InputError

__all__ = [
    "JUNK",
    "MAX_FILE_BYTES",
    "Collected",
    "archive",
    "collect",
    "digest",
    "read_archive",
]


def digest(files: Mapping[str, bytes]) -> str:
    """Identity of a workspace: paths and contents."""
    return digests.of_files(files)


def archive(files: Mapping[str, bytes]) -> bytes:
    """A `.tar.gz` that depends on the files alone: no time, owner or order goes in."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(files[path]), 0o644
            tar.addfile(member, io.BytesIO(files[path]))
    return gzip.compress(plain.getvalue(), mtime=0)


def _is_safe(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts


def read_archive(data: bytes, source: str) -> dict[str, bytes]:
    """The files of an archive that `archive` made; `InputError` where it is something else."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for member in tar:
                if not member.isreg() or not _is_safe(member.name) or member.size > MAX_FILE_BYTES:
                    raise InputError(f"{source}: {member.name!r} is not a regular file of a workspace")
                content = tar.extractfile(member)
                files[member.name] = content.read() if content is not None else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise InputError(f"{source}: is not a readable .tar.gz archive: {error}") from None
    return files
