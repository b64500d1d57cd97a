"""Digests: one way to turn values and folders into identities."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def of_json(value: Any) -> str:
    """SHA-256 (hex) of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(files: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) of paths and contents."""
    return of_json({path: hashlib.sha256(data).hexdigest() for path, data in files.items()})


def folder_files(root: Path, patterns: Iterable[str] = ("**/*",)) -> dict[str, bytes]:
    """The regular files below a folder that match any pattern, by relative path; byte code left out."""
    paths = {path for pattern in patterns for path in root.glob(pattern)}
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(paths)
        if path.is_file() and "__pycache__" not in path.parts
    }


def of_options(options: Mapping[str, Any]) -> str | None:
    """Identity of a solver's options (8 hex digits), or None where it has none."""
    return of_json(dict(options))[:8] if options else None
