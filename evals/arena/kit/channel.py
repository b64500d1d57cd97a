"""The checks' end of the control channel."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any


class ArenaError(RuntimeError):
    """The arena could not do what a check asked for."""


class Channel:
    """Sends requests to the supervisor, one at a time."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._file = self._socket.makefile("rwb")
        self._turn = threading.Lock()

    def ask(self, do: str, **request: Any) -> Any:
        """The supervisor's answer; raises `ArenaError` where it could not do it."""
        with self._turn:
            self._file.write(json.dumps({"do": do, **request}).encode() + b"\n")
            self._file.flush()
            answer = json.loads(self._file.readline())
        if "error" in answer:
            raise ArenaError(f"{do}: {answer['error']}")
        return answer["ok"]
