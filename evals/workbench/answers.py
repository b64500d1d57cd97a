"""What a tool answers: text of bounded length, or an error that the model is told."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

LIMIT = 30_000
"""Bytes of an answer; more is cut in the middle."""


class ToolError(Exception):
    """A tool call that failed; the text is for the model."""


def cut(file: BinaryIO, limit: int = LIMIT) -> str:
    """The text of a file, its middle cut where it is long; bytes that are no UTF-8 are replaced."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size <= limit:
        return file.read(limit).decode("utf-8", "replace").rstrip("\n")
    head = file.read(limit // 2)
    file.seek(size - limit // 2)
    tail = file.read(limit // 2)
    note = f"\n[... {size - len(head) - len(tail)} bytes cut ...]\n".encode()
    return (head + note + tail).decode("utf-8", "replace").rstrip("\n")


def cut_text(text: str, limit: int = LIMIT) -> str:
    """The same of a text."""
    return cut(io.BytesIO(text.encode("utf-8", "replace")), limit)
