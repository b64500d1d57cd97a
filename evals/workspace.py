"""Workspaces: collected files, deterministic archives, and their digests."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import PurePosixPath

from evals import digests
from evals.arena.collection import (
    JUNK,
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_TOTAL_BYTES,
    Collected,
    collect,
    named,
)
from evals.errors import InputError

__all__ = [
    "JUNK",
    "MAX_FILE_BYTES",
    "Collected",
    "archive",
    "collect",
    "digest",
    "of_texts",
    "read_archive",
]

_MAX_NAME_BYTES = 255


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


def of_texts(texts: Mapping[str, str]) -> Collected:
    """A workspace from paths and texts that a model gave: the same bounds as for files on disk."""
    files: dict[str, bytes] = {}
    dropped: list[str] = []
    for path, text in texts.items():
        clean = path.removeprefix("./").removeprefix("/workspace/")
        data = text.encode("utf-8", "replace")
        reason = _why_not(clean, data, files)
        if reason:
            dropped.append(named(path, reason))
        else:
            files[clean] = data
    return Collected(files=files, dropped=tuple(dropped))


def _why_not(path: str, data: bytes, files: Mapping[str, bytes]) -> str | None:
    """Why a file is not taken, or None."""
    parts = PurePosixPath(path).parts
    if not _is_safe(path) or str(PurePosixPath(path)) != path or not path.isprintable():
        return "not a path within the workspace"
    if len(parts) > MAX_DEPTH or any(len(part.encode("utf-8", "replace")) > _MAX_NAME_BYTES for part in parts):
        return "its path is too deep, or a name too long"
    if set(parts) & JUNK:
        return "what tools leave behind is no part of a delivery"
    above = {"/".join(parts[:n]) for n in range(1, len(parts))}
    if above & set(files) or any(other.startswith(f"{path}/") for other in files):
        return "another file stands where it needs a folder, or the other way round"
    if len(data) > MAX_FILE_BYTES or sum(map(len, files.values())) + len(data) > MAX_TOTAL_BYTES:
        return f"{len(data)} bytes are too many"
    return f"the workspace holds more than {MAX_FILES} files" if len(files) >= MAX_FILES else None


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
