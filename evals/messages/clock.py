"""A trial's time: it stands still while the provider is waited for, which is not the agent's doing."""

from __future__ import annotations

import math

import anyio


class Clock:
    """Ends a cancel scope after so many seconds of work. It stands still until `go`."""

    def __init__(self, scope: anyio.CancelScope, seconds: float) -> None:
        self._scope = scope
        self._left = seconds
        self._since: float | None = None

    def go(self) -> None:
        """Work begins, or goes on."""
        if self._since is None:
            self._since = anyio.current_time()
            self._scope.deadline = self._since + self._left

    def halt(self, *, refund: bool = False) -> None:
        """Stand still; with `refund`, what passed since the last `go` does not count."""
        if self._since is not None and not refund:
            self._left -= anyio.current_time() - self._since
        self._since = None
        self._scope.deadline = math.inf
